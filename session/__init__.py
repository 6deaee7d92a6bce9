"""Keeps the keys: the sealed session, the vault of tokens, renewal, sign-in and out.

What it must not do: know GraphQL or an HTTP framework, read the environment, or let a
token out in any other way than as the value of a request to its own upstream.

The life of a session::

    signIn ──► SessionService ──► limiter ──► Conduit: tokens ──► vault:{vaultKey}
                    │                                              index of the person
                    └─► Session.open ──► SessionCookie ──► Set-Cookie (sealed, no token)

    request ─► SessionCookie.read ─► Session (no Redis yet)
                                        │ first field that needs a token
                                        ▼
                       ConduitAuth / FluxAuth ─► TokenKeeper.resolve   one round trip:
                                        │        record + index entry
                      exp is near, or 401
                                        ▼
                       TokenKeeper.renew: one task per session in the process, one
                       lease over all processes, vault read again, Conduit asked once,
                       written back by compare-and-set (to all devices in `single`)

    signOut / idle / absolute end / renewal refused ─► record deleted first, then the
                       index entry, then (with the last device) the upstream's session

Where to look, from outside to inside:

=====================  ====================================================
`session`              who is asking, for the length of one request
`cookie`, `seal`       the sealed value around it, byte for byte iron-session's
`seal_keys`            its keys, kept as long as they are in use
`auth`                 a request's tokens, as `clients/http.py` asks for them
`flux_tokens`          where a person's Flux token comes from
`accounts`             what a person does: sign up, in, out, list, end
`login_limits`         how often they may try
`even_timing`          sign-ins that tell nothing by how long they take
`endings`              how sessions end
`renewal`              how tokens are read and renewed (`tasks`: uncancelled)
`family`               which sessions share a pair of tokens
`lease`                the lock over all processes
`policy`, `records`    how long sessions live; what lies in the vault
`vault`                the store's protocol; `redis_vault` (`redis_scripts`,
                       `redis_connection`) and `memory` are its implementations
`redis_reader`         all requests' reads over one connection (`shared_read`,
                       `outage`)
`encryption`           a record as it lies there, in the clear or encrypted
                       (`json_text`)
`recent_entries`       index entries that need not be read again
`claims`               writes that a client may repeat (idempotency keys)
`budgets`              what a person may ask for in a minute (LIMIT_COST_PER_MINUTE)
`broadcast`, `watch`   words between processes; sessions of open connections
=====================  ====================================================

For the operator and the reviewer: docs/sessions.md; why a lease: docs/decisions/0006.
"""
