"""The list of settings: every environment variable that this server reads.

One row per variable, so that the reader (`environment.py`), `.env.example` and
`docs/configuration.md` cannot disagree: tests compare all three with this list.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One setting as the operator sees it.

    `default` is the text that counts when nothing is set; None means that nothing is
    assumed, and `meaning` says what then happens.
    """

    name: str
    meaning: str
    example: str
    default: str | None = None
    aliases: tuple[str, ...] = ()
    secret: bool = False


VARIABLES: tuple[Variable, ...] = (
    Variable(
        name="ENVIRONMENT",
        default="development",
        meaning="`development` or `production`. Production wants HTTPS cookies and "
        "random-looking secrets, and turns GraphiQL and introspection off.",
        example="production",
    ),
    Variable(
        name="HOST",
        default="127.0.0.1",
        meaning="Address to listen on; 0.0.0.0 listens on all.",
        # A container must listen on all addresses.
        example="0.0.0.0",  # noqa: S104
    ),
    Variable(
        name="PORT",
        default="8000",
        meaning="Port to listen on; 0 takes a free one and prints it.",
        example="8000",
    ),
    Variable(
        name="WORKERS",
        default="1",
        meaning="Server processes. Sessions are safe with any number.",
        example="2",
    ),
    Variable(
        name="HEAD_TIMEOUT_S",
        default="10",
        meaning="How long a connection may take to send the headers of a request, in "
        "seconds, from its start or from their first byte; then it is closed.",
        example="10",
    ),
    Variable(
        name="KEEPALIVE_TIMEOUT_S",
        default="75",
        meaning="How long a connection is kept that has been answered and asks nothing "
        "more, in seconds. Above the idle time-out of the proxy in front.",
        example="75",
    ),
    Variable(
        name="SHUTDOWN_DELAY_S",
        default="auto",
        meaning="How long after SIGTERM new connections are still taken, in seconds, "
        "while readiness fails and answers close their connections. `auto`: 5 in "
        "production, 0 in development.",
        example="5",
    ),
    Variable(
        name="SHUTDOWN_TIMEOUT_S",
        default="20",
        meaning="How long requests in flight may finish after SIGTERM, in seconds.",
        example="20",
    ),
    Variable(
        name="LOG_LEVEL",
        default="INFO",
        meaning="`DEBUG`, `INFO`, `WARNING` or `ERROR`. Logs are one JSON object a "
        "line on standard error.",
        example="INFO",
    ),
    Variable(
        name="GRAPHIQL",
        default="auto",
        meaning="`on`, `off`, or `auto`: on in development, off in production.",
        example="auto",
    ),
    Variable(
        name="INTROSPECTION",
        default="auto",
        meaning="`on`, `off`, or `auto`: on in development, off in production. Off "
        "also hides /schema.graphql and the names in refusals of documents.",
        example="auto",
    ),
    Variable(
        name="STATUS_PROFILE",
        default="audit",
        meaning="HTTP statuses for application/graphql-response+json: `audit` (what "
        "the graphql-http audit checks) or `draft` (422 for a document that cannot "
        "run, 294 for partial success).",
        example="audit",
    ),
    Variable(
        name="CORS_ORIGINS",
        default="",
        meaning="Origins, beside this server's own, whose pages may call it with the "
        "session cookie. Comma-separated; no wildcard.",
        example="https://app.example.com,https://admin.example.com",
    ),
    Variable(
        name="TRUSTED_PROXY_HOPS",
        default="0",
        meaning="How many reverse proxies of yours stand in front. 0 ignores "
        "X-Forwarded-For; n takes the n-th address from its right.",
        example="1",
    ),
    Variable(
        name="MAX_BODY_BYTES",
        default="1048576",
        meaning="Largest request body; a larger one is refused with 413 while it "
        "arrives.",
        example="1048576",
    ),
    Variable(
        name="BODY_TIMEOUT_S",
        default="10",
        meaning="How long a request body may take to arrive, in seconds; then 408. "
        "Of an upload it is the longest silence, and the span in which at least 1 KiB "
        "a second must come.",
        example="10",
    ),
    Variable(
        name="REQUEST_DEADLINE_S",
        default="15",
        meaning="Time for one GraphQL operation, in seconds. Upstream calls get what "
        "is left of it; fields that miss it are null with UPSTREAM_TIMEOUT.",
        example="15",
    ),
    Variable(
        name="TRUSTED_DOCUMENTS",
        default="off",
        meaning="`off`: any document runs; `log`: those of no manifest are logged; "
        "`prefer`: as log, and those of the manifests are exempt from the "
        "limits on documents; `only`: no others run.",
        example="only",
    ),
    Variable(
        name="TRUSTED_DOCUMENTS_MANIFESTS",
        default="",
        meaning="Manifests of Apollo, Relay or graphql-codegen's client preset, comma-"
        "separated paths. Read again when they change.",
        example="persisted-documents.json",
    ),
    Variable(
        name="TRUSTED_DOCUMENTS_POLL_S",
        default="5",
        meaning="How often manifests are looked at for changes, in seconds.",
        example="5",
    ),
    Variable(
        name="PERSISTED_QUERIES_KEPT",
        default="1000",
        meaning="Documents that clients may store by their hash (Apollo's APQ), per "
        "process; the least recently used go first. 0 turns it off, and so does"
        " TRUSTED_DOCUMENTS=only.",
        example="1000",
    ),
    Variable(
        name="LIMIT_TOKENS",
        default="2000",
        meaning="Words and signs of a document. This and every other LIMIT_ is a "
        "number, `measure:` and a number (what passes it is only logged), or "
        "`off`; see docs/security.md.",
        example="2000",
    ),
    Variable(
        name="LIMIT_NESTING",
        default="60",
        meaning="Brackets of a document that are open at once, counted before it is "
        "parsed.",
        example="60",
    ),
    Variable(
        name="LIMIT_DEPTH",
        default="15",
        meaning="Fields within fields.",
        example="15",
    ),
    Variable(
        name="LIMIT_ALIASES",
        default="100",
        meaning="Aliases in an operation, with fragments spread out.",
        example="100",
    ),
    Variable(
        name="LIMIT_DIRECTIVES",
        default="50",
        meaning="Directives in an operation, with fragments spread out.",
        example="50",
    ),
    Variable(
        name="LIMIT_FIELDS",
        default="1000",
        meaning="Fields in an operation, with fragments spread out.",
        example="1000",
    ),
    Variable(
        name="LIMIT_REPEATED_FIELDS",
        default="20",
        meaning="How often one field, or one fragment, may stand in one selection.",
        example="20",
    ),
    Variable(
        name="LIMIT_ROOT_FIELDS",
        default="50",
        meaning="Fields at the root of an operation.",
        example="50",
    ),
    Variable(
        name="LIMIT_PAGE_SIZE",
        default="100",
        meaning="Largest `first` and `last`.",
        example="100",
    ),
    Variable(
        name="LIMIT_COST",
        default="20000",
        meaning="Cost of an operation, reckoned from @cost and @listSize in the SDL "
        "before it runs.",
        example="20000",
    ),
    Variable(
        name="LIMIT_COST_PER_MINUTE",
        default="off",
        meaning="Cost that one person may ask for in a minute, over all processes; "
        "counted in Redis, one round trip for each operation.",
        example="100000",
    ),
    Variable(
        name="LIMIT_UPSTREAM_CALLS",
        default="60",
        meaning="Upstream calls of one operation; fields that would need more are null"
        " with QUERY_TOO_COMPLEX.",
        example="60",
    ),
    Variable(
        name="LIMIT_OPERATIONS_IN_FLIGHT",
        default="2000",
        meaning="Operations that one process runs at once; one more is refused with "
        "503.",
        example="2000",
    ),
    Variable(
        name="LIMIT_OPERATIONS_PER_PERSON",
        default="200",
        meaning="Operations that one process runs at once for one person (an account, "
        "or the address of who is not signed in); one more is refused with "
        "429.",
        example="200",
    ),
    Variable(
        name="LIMIT_RESPONSE_BYTES",
        default="16777216",
        meaning="Largest answer to an operation.",
        example="16777216",
    ),
    Variable(
        name="FLUX_URL",
        aliases=("NEXT_PUBLIC_FLUX_URL",),
        meaning="Service URL of the Flux project. Without it, slug and hash are read "
        "from flux.json.",
        example="https://api--bloom-atelier--0a1b2c3.vsl-base.com",
    ),
    Variable(
        name="FLUX_CONFIG",
        default="flux.json",
        meaning="Path of flux.json, read only when no Flux URL is set.",
        example="flux.json",
    ),
    Variable(
        name="FLUX_BASE_DOMAIN",
        default="vsl-base.com",
        meaning="Domain under which slug and hash of flux.json are looked up.",
        example="vsl-base.com",
    ),
    Variable(
        name="FLUX_POSTGREST_SCHEMA",
        meaning="Schema named in the profile headers. Needed for dedicated projects "
        "and direct PostgREST; harmless behind the gateway.",
        example="t_5ecfa3ab72d1_api",
    ),
    Variable(
        name="FLUX_MAX_ROWS",
        meaning="`db-max-rows` of the project's PostgREST, if it has one: longer "
        "answers are cut there without a word, so that calls are split below it. More "
        "than LIMIT_PAGE_SIZE.",
        example="1000",
    ),
    Variable(
        name="FLUX_JWT_SECRET",
        aliases=("FLUX_GATEWAY_JWT_SECRET",),
        secret=True,
        meaning="The project's JWT secret. With it each person gets a Flux token of "
        "their own, five minutes long; without it Flux is asked without a token.",
        example="<flux project credentials>",
    ),
    Variable(
        name="FLUX_TOKEN_SOURCE",
        default="auto",
        meaning="`mint`: a token made for each person with FLUX_JWT_SECRET; `vault`: "
        "the `fluxToken` of the vault entry; `none`; `auto`: mint when the secret is "
        "set, else none.",
        example="auto",
    ),
    Variable(
        name="FLUX_JWT_ROLE",
        default="authenticated",
        meaning="`role` claim of those tokens. The gateway ignores it, a dedicated "
        "project uses it.",
        example="authenticated",
    ),
    Variable(
        name="CLIENT_BASE_URL",
        meaning="Base URL of Conduit's client API (its router, usually port 3000), "
        "never of the Admin API (3030). Required.",
        example="http://localhost:3000",
    ),
    Variable(
        name="CONDUIT_CLIENT_ID",
        meaning="`clientid` header, when Conduit's client validation is on.",
        example="<client id>",
    ),
    Variable(
        name="CONDUIT_CLIENT_SECRET",
        secret=True,
        meaning="`clientsecret` header that goes with it.",
        example="<client secret>",
    ),
    Variable(
        name="CONDUIT_OWNERSHIP",
        default="viewer",
        meaning="Who decides what may be changed: `viewer`: posts by their author "
        "only, files out of the viewer's own folder only, whatever Conduit allows; "
        "`upstream`: Conduit, where its row-level authorization is on.",
        example="viewer",
    ),
    Variable(
        name="CONDUIT_STORAGE_AUTHORIZATION",
        default="off",
        meaning="`on` when Conduit's storage guards files for each person: then "
        "metadata comes by storage's own routes only, and `files` is refused.",
        example="off",
    ),
    Variable(
        name="STORAGE_HOSTS",
        meaning="Hosts (`host` or `host:port`, comma-separated) that file bytes may "
        "be fetched from. Without it: the host of CLIENT_BASE_URL, ports of "
        "Conduit's local provider (3100) and of the sandbox (8103).",
        example="files.example.com,localhost:3100",
    ),
    Variable(
        name="STORAGE_REWRITE",
        default="",
        meaning="Where a storage address that only Conduit can reach is really to be "
        "found: `host:port=http://host:port`, comma-separated.",
        example="localhost:3100=http://conduit-storage:3100",
    ),
    Variable(
        name="STORAGE_PRIVATE_HOSTS",
        default="",
        meaning="Storage hosts whose name looks public but may resolve to a private "
        "address, comma-separated. Names without a dot, those ending in .internal, "
        ".local or .svc, and targets of STORAGE_REWRITE need not be listed.",
        example="files.corp.example.com",
    ),
    Variable(
        name="UPLOAD_MAX_BYTES",
        default="268435456",
        meaning="Largest file that can be uploaded (256 MiB).",
        example="268435456",
    ),
    Variable(
        name="UPLOAD_TYPES",
        default="",
        meaning="Media types that can be uploaded (`image/png`, `image/*`), "
        "comma-separated; without it all. A name's ending counts as a type too.",
        example="image/*,application/pdf",
    ),
    Variable(
        name="UPLOAD_TYPES_DENIED",
        default="",
        meaning="Media types that cannot be uploaded, even if UPLOAD_TYPES names them.",
        example="text/html,image/svg+xml",
    ),
    Variable(
        name="REDIS_URL",
        default="redis://127.0.0.1:6379/0",
        secret=True,
        meaning="Redis or Valkey that holds the token vault: `redis://`, `rediss://` "
        "(TLS), `unix://`, or with `+sentinel` or `+cluster` after the scheme.",
        example="redis://127.0.0.1:6379/0",
    ),
    Variable(
        name="SESSION_SECRET",
        secret=True,
        meaning="Password of the session cookie, at least 32 characters, the same as "
        'in the Next.js application; or a JSON map `{"1": "old", "2": "new"}` for '
        "rotation. Required.",
        example="<openssl rand -base64 48>",
    ),
    Variable(
        name="SESSION_COOKIE_DOMAIN",
        meaning="Domain of the cookie, to share it between subdomains. Without it the "
        "cookie belongs to this host alone.",
        example="example.com",
    ),
    Variable(
        name="SESSION_TTL_S",
        default="1209600",
        meaning="Life of the session cookie, in seconds (14 days).",
        example="1209600",
    ),
    Variable(
        name="SESSION_IDLE_S",
        default="604800",
        meaning="A session unused for so long ends, in seconds (7 days, as Conduit's "
        "refresh token). It is the life of its vault entry.",
        example="604800",
    ),
    Variable(
        name="SESSION_ABSOLUTE_S",
        default="2592000",
        meaning="A session ends so long after sign-in, used or not, in seconds "
        "(30 days).",
        example="2592000",
    ),
    Variable(
        name="CONDUIT_SESSIONS",
        default="single",
        meaning="`single` if Conduit keeps one session per person (its default): all "
        "devices then share the newest tokens. `multiple` if it keeps several.",
        example="single",
    ),
    Variable(
        name="SIGN_IN_PER_ADDRESS",
        default="25",
        meaning="Sign-ins that one address may try in 15 minutes; below the 30 after "
        "which Conduit refuses.",
        example="25",
    ),
    Variable(
        name="SIGN_IN_PER_ACCOUNT",
        default="10",
        meaning="Sign-ins that may be tried for one account in 15 minutes.",
        example="10",
    ),
    Variable(
        name="VAULT_ENCRYPTION",
        default="off",
        meaning="`off`: plain JSON, which the Next.js application can read; "
        "`read-both`: written encrypted, read either way; `required`.",
        example="off",
    ),
    Variable(
        name="VAULT_ENCRYPTION_KEYS",
        secret=True,
        meaning="JSON map from key number to 32 bytes in base64; the highest number "
        "encrypts.",
        example='{"1": "<openssl rand -base64 32>"}',
    ),
    Variable(
        name="SUBSCRIPTIONS_PER_SOCKET",
        default="50",
        meaning="Subscriptions that one WebSocket may have open.",
        example="50",
    ),
    Variable(
        name="SUBSCRIPTIONS_PER_SESSION",
        default="100",
        meaning="Subscriptions that one session may have open, over all its sockets "
        "and event streams in one server process; and as many sockets.",
        example="100",
    ),
    Variable(
        name="SUBSCRIPTION_BACKLOG",
        default="256",
        meaning="Changed objects that may wait for one subscriber. With more it is "
        "cut off, to subscribe again and read anew.",
        example="256",
    ),
    Variable(
        name="SOCKET_INIT_TIMEOUT_S",
        default="5",
        meaning="How long a WebSocket may take to say who it is, in seconds.",
        example="5",
    ),
    Variable(
        name="SOCKET_IDLE_S",
        default="300",
        meaning="A WebSocket without a subscription is closed after so many seconds.",
        example="300",
    ),
    Variable(
        name="SOCKET_MESSAGE_BYTES",
        default="65536",
        meaning="Largest message that a WebSocket may send.",
        example="65536",
    ),
    Variable(
        name="LIVE_PING_S",
        default="20",
        meaning="How often live connections are asked whether they are still there, "
        "in seconds; below the idle time-out of every proxy in front. A WebSocket "
        "that does not answer for as long again is closed.",
        example="20",
    ),
    Variable(
        name="LIVE_SESSION_CHECK_S",
        default="30",
        meaning="How often the session of a live connection is looked up in the "
        "vault, in seconds. A sign-out is heard at once; this finds every other end.",
        example="30",
    ),
    Variable(
        name="CA_BUNDLE",
        meaning="PEM file of private certificate authorities, trusted beside the "
        "public ones. From Python 3.13 on their certificates need the extensions of "
        "RFC 5280: key identifiers, and what the authority's key is for.",
        example="/etc/ssl/private-ca.pem",
    ),
    Variable(
        name="ENGINE",
        default="compiled",
        meaning="What executes operations: `compiled` plans, or `reference` "
        "(graphql-core alone, to compare).",
        example="compiled",
    ),
    Variable(
        name="UPSTREAM_TRANSPORT",
        default="asyncio",
        meaning="What makes the upstream calls: `asyncio` (HTTP/1.1, our own, least "
        "CPU), `pyreqwest` (Rust; HTTP/2 where TLS offers it) or `httpx` (HTTP/1.1).",
        example="asyncio",
    ),
    Variable(
        name="UPSTREAM_CONNECT_TIMEOUT_S",
        default="2",
        meaning="Time to connect to an upstream, or to wait for a free connection, in "
        "seconds.",
        example="2",
    ),
    Variable(
        name="UPSTREAM_READ_TIMEOUT_S",
        default="9",
        meaning="Longest silence while an upstream answers, in seconds. Flux itself "
        "gives up after 8.",
        example="9",
    ),
    Variable(
        name="UPSTREAM_TIMEOUT_S",
        default="10",
        meaning="Time for one upstream call as a whole, in seconds.",
        example="10",
    ),
    Variable(
        name="UPSTREAM_KEEPALIVE_S",
        default="4",
        meaning="How long an idle connection is kept, in seconds; below the "
        "upstreams' own 5.",
        example="4",
    ),
    Variable(
        name="UPSTREAM_MAX_CONNECTIONS",
        default="50",
        meaning="Connections to each upstream, per process.",
        example="50",
    ),
    Variable(
        name="UPSTREAM_MAX_RESPONSE_BYTES",
        default="16777216",
        meaning="Largest answer of an upstream that is read; file bytes are streamed "
        "and not counted.",
        example="16777216",
    ),
    Variable(
        name="FLUX_RATE_LIMIT",
        default="100/60",
        meaning="Calls that the Flux project takes in so many seconds, all processes "
        "together, or `off`. Calls beyond it wait if their deadline allows, else they "
        "are RATE_LIMITED; see docs/operations.md.",
        example="100/60",
    ),
    Variable(
        name="CONDUIT_RATE_LIMIT",
        default="50/1",
        meaning="Calls that Conduit takes from one client address in so many seconds, "
        "all processes together, or `off`.",
        example="50/1",
    ),
    Variable(
        name="COALESCE",
        default="off",
        meaning="`off`: a request joins another's equal read of the same person only "
        "if that is sent after the request began; `inflight`: also one that is on its "
        "way already, so what it shows may be older than the request by that read's "
        "latency, but never older than a write of that person through this process.",
        example="off",
    ),
)
