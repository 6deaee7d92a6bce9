"""A transport of httpx: HTTP/1.1, Python all the way down.

Uses httpx's own transport and not its client: no cookie jar that could mix people's
cookies, no redirects, no proxy or certificate settings from the environment. Made by
`transports.py`.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping

import httpx

from .transport import Answer, HTTPLimits, Incoming, Outgoing, TransportError, Trouble


class HttpxTransport:
    """See `Transport`."""

    def __init__(self, limits: HTTPLimits, tls: ssl.SSLContext) -> None:
        self._pool = httpx.AsyncHTTPTransport(
            verify=tls,
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

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        """See `Transport.exchange`."""
        async with _within(timeout_s):
            incoming = await self._send(request, request.body)
            try:
                body = bytearray()
                async for chunk in incoming.chunks():
                    body += chunk
                    if len(body) > max_bytes:
                        raise TransportError(
                            "oversize", f"larger than {max_bytes} bytes", sent=True
                        )
            finally:
                await incoming.aclose()
        return Answer(incoming.status, incoming.headers, bytes(body))

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        """See `Transport.open`."""
        async with _within(timeout_s):
            return await self._send(request, request.body)

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        """See `Transport.upload`."""
        return await self._send(request, content)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._pool.aclose()

    async def _send(
        self, request: Outgoing, content: bytes | AsyncIterable[bytes] | None
    ) -> "_HttpxIncoming":
        extensions: dict[str, object] = {**self._extensions}
        if request.server_name is not None:
            extensions["sni_hostname"] = request.server_name
        with _as_transport_errors():
            sent = httpx.Request(
                request.method,
                request.url,
                headers=request.fields,
                content=content,
                extensions=extensions,
            )
            return _HttpxIncoming(await self._pool.handle_async_request(sent))


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


@contextlib.asynccontextmanager
async def _within(timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise TransportError("timeout", "no answer in time", sent=True) from error


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
