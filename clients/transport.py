"""Connections to an upstream: what a transport must offer, and the one there is.

`UpstreamHTTP` (`http.py`) is the only caller. Whatever the library below, the same
five troubles come out of it, so that a second transport needs no second reading.

`HttpxTransport` uses httpx's own transport and not its client: no cookie jar that
could mix people's cookies, no redirects, no proxy or certificate settings from the
environment.
"""

import contextlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import httpx


@dataclass(frozen=True, slots=True)
class HTTPLimits:
    """Bounds of one upstream's pool and of each of its calls.

    `keepalive_s` stays below the 5 s after which both upstreams close an idle
    connection, so that a call seldom meets one that is just being closed.
    """

    connect_s: float = 2.0
    read_s: float = 10.0
    total_s: float = 12.0
    max_connections: int = 64
    keepalive_s: float = 4.0
    max_response_bytes: int = 8 * 1024 * 1024


Trouble = Literal["connect", "lost", "timeout", "malformed", "untrusted"]


class TransportError(Exception):
    """No whole answer. `sent` is true when the upstream may have seen the request.

    connect: no connection; lost: the connection broke; timeout: connect, read, write
    or pool; malformed: not HTTP; untrusted: TLS verification failed.
    """

    def __init__(self, trouble: Trouble, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it goes out; the URL is absolute and encoded."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | AsyncIterable[bytes] | None = None


class Incoming(Protocol):
    """An answer whose body has not been read yet."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """The raw body as it comes. Raises: TransportError."""

    async def aclose(self) -> None:
        """Give the connection back, or close it if the body was not read."""


class Transport(Protocol):
    """A pool of connections. Time-outs per step are its own; totals are above."""

    async def open(self, request: Outgoing) -> Incoming:
        """Send, and wait for status and headers. Raises: TransportError."""

    async def aclose(self) -> None:
        """Close all connections."""


def tls_context(ca_bundle: str | None = None) -> ssl.SSLContext:
    """Verify against the system's store and, added to it, our own CA bundle."""
    context = ssl.create_default_context()
    if ca_bundle is not None:
        context.load_verify_locations(cafile=ca_bundle)
    return context


class HttpxTransport:
    """A bounded, kept-alive HTTP/1.1 pool of httpx."""

    def __init__(self, limits: HTTPLimits, tls: ssl.SSLContext | None = None) -> None:
        self._pool = httpx.AsyncHTTPTransport(
            verify=tls_context() if tls is None else tls,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=limits.max_connections,
                max_keepalive_connections=limits.max_connections,
                keepalive_expiry=limits.keepalive_s,
            ),
        )
        self._extensions = {
            "timeout": {
                "connect": limits.connect_s,
                "pool": limits.connect_s,
                "read": limits.read_s,
                "write": limits.read_s,
            }
        }

    async def open(self, request: Outgoing) -> Incoming:
        """See `Transport.open`."""
        with _as_transport_errors():
            return _HttpxIncoming(
                await self._pool.handle_async_request(
                    httpx.Request(
                        request.method,
                        request.url,
                        headers=request.headers,
                        content=request.body,
                        extensions=self._extensions,
                    )
                )
            )

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._pool.aclose()


class _HttpxIncoming:
    """An httpx answer read raw: no decoding, so no decompression bombs."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers.raw
        }

    async def chunks(self) -> AsyncIterator[bytes]:
        with _as_transport_errors():
            async for chunk in self._response.aiter_raw():
                yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


@contextlib.contextmanager
def _as_transport_errors() -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as error:
        never_sent = isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
        raise _trouble("timeout", error, sent=not never_sent) from error
    except httpx.ConnectError as error:
        untrusted = _caused_by(error, ssl.SSLCertVerificationError)
        trouble: Trouble = "untrusted" if untrusted else "connect"
        raise _trouble(trouble, error, sent=False) from error
    except httpx.NetworkError as error:
        raise _trouble("lost", error, sent=True) from error
    except httpx.RemoteProtocolError as error:
        # httpx has one class for a closed connection and for an answer that is not
        # HTTP; only the text tells them apart (httpcore 1.0.9, _async/http11.py; h11).
        closed = str(error).startswith(("Server disconnected", "peer closed"))
        raise _trouble("lost" if closed else "malformed", error, sent=True) from error
    except (httpx.TransportError, httpx.InvalidURL, UnicodeEncodeError) as error:
        raise _trouble("malformed", error, sent=False) from error


def _trouble(trouble: Trouble, error: Exception, *, sent: bool) -> TransportError:
    return TransportError(trouble, f"{type(error).__name__}: {error}", sent=sent)


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kind):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
