"""Connections to an upstream: what a transport must offer, whichever library it uses.

`UpstreamHTTP` (`http.py`) is the only caller; `transports.py` makes the chosen one.
Whatever stands below, the same troubles come out of it, so that another transport needs
no second reading. `tests/clients/test_transports.py` and `test_http.py`
are the contract: they run over each.

What all have in common: no redirects, no cookies, no proxy from the environment, no
decompression, the system's certificates and our CA bundle added to them.
"""

import math
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, Protocol

import msgspec


@dataclass(frozen=True, slots=True)
class HTTPLimits:
    """Bounds of one upstream's pool and of each of its calls.

    `keepalive_s` stays below the 5 s after which both upstreams close an idle
    connection, so that a call seldom meets one that is just being closed.
    `connect_s` also bounds the wait for a free connection.
    """

    connect_s: float = 2.0
    read_s: float = 10.0
    total_s: float = 12.0
    max_connections: int = 64
    keepalive_s: float = 4.0
    max_response_bytes: int = 8 * 1024 * 1024


# Of an answer's fields, all that anybody reads. A Conduit behind helmet sends twenty.
READ_FIELDS: Final = frozenset(
    {
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "retry-after",
        "transfer-encoding",
    }
)

Trouble = Literal[
    "connect", "lost", "timeout", "malformed", "oversize", "untrusted", "circuit"
]


class TransportError(Exception):
    """No whole answer. `sent` is true when the upstream may have seen the request.

    connect: no connection; lost: the connection broke; timeout: connect, read, write,
    whole or pool; malformed: not HTTP; oversize: more than was allowed; untrusted: TLS
    verification failed; circuit: not tried (`resilience.py`). The message never holds
    an address: it may be a permission.
    """

    def __init__(self, trouble: Trouble, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.sent = sent


class Standing:
    """Header fields that many requests have alike, made once by who sends them.

    `lines`: what `http1/requests.py` made of them for the first request.
    """

    __slots__ = ("headers", "lines")

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self.lines: str | None = None


NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
NOTHING_STANDING: Final = Standing(NO_HEADERS)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A request as it goes out; its URL is absolute and encoded.

    `target` is what follows `base` in the URL: path and query, or all of it. Its
    fields are the standing ones, `headers`, the client's address and the bearer token.
    `server_name`: whose certificate to expect where the URL names an address; set by
    `transport_pinned.py`, unknown to pyreqwest. The rest is not for transports:
    `person` (whose call it is; None shares nothing), `writes` (it may change something
    upstream), `fresh_from` (loop time; an answer to a request that was sent before is
    too old for this one) and `operation`, its name in our log.
    """

    method: str
    target: str
    headers: Mapping[str, str] = NO_HEADERS
    body: bytes | None = None
    base: str = ""
    standing: Standing = NOTHING_STANDING
    forwarded_for: str | None = None
    token: str | None = None
    person: str | None = None
    writes: bool = False
    fresh_from: float = math.inf
    operation: str = ""
    server_name: str | None = None

    def __repr__(self) -> str:
        """Without what may be secret: token, body, an address."""
        return f"<Outgoing {self.method}, {self.operation!r}>"

    @property
    def url(self) -> str:
        """The whole of it."""
        return self.base + self.target

    @property
    def fields(self) -> dict[str, str]:
        """All header fields, in the order in which they go out."""
        fields = {**self.standing.headers, **self.headers}
        if self.forwarded_for is not None:
            fields["X-Forwarded-For"] = self.forwarded_for
        if self.token is not None:
            fields["Authorization"] = f"Bearer {self.token}"
        return fields


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer, not decompressed.

    `headers`: names in lower case; those of `READ_FIELDS`, and others or not.
    `shared`: another call, made at the same time, was answered so too.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    shared: bool = False

    def __repr__(self) -> str:
        """Without the body, which may hold tokens."""
        return f"<Answer {self.status}>"


class Incoming(Protocol):
    """An answer whose body has not been read yet."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """The raw body as it comes, each within `read_s`. Raises: TransportError."""

    async def aclose(self) -> None:
        """Give the connection back, or close it if the body was not read."""


class Transport(Protocol):
    """A bounded pool of kept-alive connections."""

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        """Send, and read the whole answer. Raises: TransportError."""

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        """Send, and wait for status and headers. Raises: TransportError."""

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        """Send `content` as it comes, then wait for status and headers.

        No bound on the whole; the upstream may take `read_s` for each chunk and for
        its answer. Raises: TransportError, and what `content` raises.
        """

    async def aclose(self) -> None:
        """Close all connections."""
