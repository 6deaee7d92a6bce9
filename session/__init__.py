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
"""
