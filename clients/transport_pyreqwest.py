"""A transport of pyreqwest (Rust: reqwest, hyper, rustls).

HTTP/1.1 over plain http; HTTP/2 where TLS offers it. Made by `transports.py`. Relies on
pyreqwest 0.15; what its documentation does not say was tried out, and is held by
`tests/clients/test_transports.py`.

Cancelling a call ends the waiting for it, and not the call: pyreqwest lets it run on.
So every call carries its whole time with it, and a connection is free again when the
upstream answers, or at the latest when that time, or `read_s` of a stream, is over.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    ClientClosedError,
    DetailedPyreqwestError,
    NetworkError,
    PoolTimeoutError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.request import RequestBuilder, StreamRequest
from pyreqwest.response import Response

from .transport import (
    Answer,
    HTTPLimits,
    Incoming,
    Outgoing,
    TransportError,
    Trouble,
)

# What is read of an answer before we get to see it; most are whole by then.
_READ_AHEAD_BYTES: Final = 65536
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)
# What hyper says of a connection that ended inside a body (hyper 1.12, h2 0.4).
_BROKEN_OFF: Final = ("end of file", "unexpected EOF", "http2 error", "stream error")


class PyreqwestTransport:
    """See `Transport`."""

    def __init__(self, limits: HTTPLimits, *, ca_bundle: str | None = None) -> None:
        self._read_s = limits.read_s
        self._builder = _Builder(limits, ca_bundle)
        self._client = self._builder.build(read_timeout=True)
        self._uploads: Client | None = None

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        """See `Transport.exchange`."""
        try:
            builder = _builder(self._client, request)
            builder.timeout(timedelta(seconds=timeout_s))
            sending = builder.build_streamed()
            response = await sending.__aenter__()
            body = None
            try:
                body = await _whole(response, request.method, max_bytes)
            finally:
                if body is None:
                    await sending.__aexit__(None, None, None)
        except (PyreqwestError, ValueError) as error:
            raise _as_transport_error(error) from None
        if body is None:
            raise TransportError(
                "oversize", f"larger than {max_bytes} bytes", sent=True
            )
        return Answer(response.status, response.headers, body)

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        """See `Transport.open`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await _incoming(_builder(self._client, request))
        except PyreqwestError as error:
            raise _as_transport_error(error) from None
        except TimeoutError:
            raise TransportError("timeout", "no answer in time", sent=True) from None
        except ValueError as error:
            raise _as_transport_error(error) from None

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        """See `Transport.upload`."""
        upload = _Upload(content, self._read_s)
        try:
            async with asyncio.timeout(None) as upload.patience:
                builder = _builder(self._uploading(), request)
                return await _incoming(builder.body_stream(upload.chunks()))
        except PyreqwestError as error:
            if upload.failure is not None:
                raise upload.failure from None
            raise _as_transport_error(error) from None
        except TimeoutError:
            raise TransportError("timeout", "the upload stalled", sent=True) from None
        except ValueError as error:
            raise _as_transport_error(error) from None

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._client.close()
        if self._uploads is not None:
            await self._uploads.close()

    def _uploading(self) -> Client:
        """A pool without a read time-out, which would count while we send.

        Made at the first upload: that costs 35 ms, for the system's certificates.
        """
        if self._uploads is None:
            self._uploads = self._builder.build(read_timeout=False)
        return self._uploads


class _Builder:
    """Makes the clients of one transport."""

    def __init__(self, limits: HTTPLimits, ca_bundle: str | None) -> None:
        self._limits = limits
        self._authorities = [] if ca_bundle is None else _certificates(ca_bundle)

    def build(self, *, read_timeout: bool) -> Client:
        """Raises: ValueError when the system has no certificates at all."""
        limits = self._limits
        builder = (
            ClientBuilder()
            .http2(True)
            .follow_redirects(False)
            .referer(False)
            .no_proxy()
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .max_connections(limits.max_connections)
            .pool_max_idle_per_host(limits.max_connections)
            .pool_idle_timeout(timedelta(seconds=limits.keepalive_s))
            .pool_timeout(timedelta(seconds=limits.connect_s))
            .connect_timeout(timedelta(seconds=limits.connect_s))
        )
        if read_timeout:
            builder.read_timeout(timedelta(seconds=limits.read_s))
        for authority in self._authorities:
            builder.add_root_certificate_der(authority)
        try:
            return builder.build()
        except BuilderError as error:
            raise ValueError(
                f"{_causes(error)[-1]} (install ca-certificates, name a store in "
                "SSL_CERT_FILE, or set UPSTREAM_TRANSPORT=asyncio)"
            ) from error


class _Upload:
    """A body on its way up: the upstream must take each chunk within `read_s`.

    While we wait for the source, nothing is timed.
    """

    def __init__(self, content: AsyncIterable[bytes], read_s: float) -> None:
        self._content = content
        self._read_s = read_s
        self.patience = asyncio.timeout(None)
        self.failure: BaseException | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks; what the source raises is kept, since pyreqwest hides it."""
        try:
            async for chunk in self._content:
                self._expect()
                yield chunk
                self.patience.reschedule(None)
        except Exception as failure:
            self.failure = failure
            raise
        self._expect()

    def _expect(self) -> None:
        self.patience.reschedule(asyncio.get_running_loop().time() + self._read_s)


class _PyreqwestIncoming:
    """See `Incoming`."""

    def __init__(self, sending: StreamRequest, response: Response) -> None:
        self._sending = sending
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        reader = self._response.body_reader
        try:
            while (chunk := await reader.read_chunk()) is not None:
                yield chunk.to_bytes()
        except PyreqwestError as error:
            raise _as_transport_error(error) from None

    async def aclose(self) -> None:
        await self._sending.__aexit__(None, None, None)


def _certificates(ca_bundle: str) -> list[bytes]:
    """All of a PEM file, in DER. Raises: OSError, ValueError."""
    found = _CERTIFICATE.findall(Path(ca_bundle).read_text("ascii", "ignore"))
    if not found:
        raise ValueError(f"no certificate in {ca_bundle}")
    return [ssl.PEM_cert_to_DER_cert(certificate) for certificate in found]


def _builder(client: Client, request: Outgoing) -> RequestBuilder:
    """Raises: ValueError for an address or a header that cannot be sent."""
    fields = request.fields
    for value in fields.values():
        if not value.isascii():
            raise ValueError("a header is not ASCII")
    builder = client.request(request.method, request.url).headers(fields)
    return builder if request.body is None else builder.body_bytes(request.body)


async def _incoming(builder: RequestBuilder) -> _PyreqwestIncoming:
    """The head alone: by default it comes with the first 64 KiB of the body."""
    sending = builder.streamed_read_buffer_limit(0).build_streamed()
    return _PyreqwestIncoming(sending, await sending.__aenter__())


async def _whole(response: Response, method: str, max_bytes: int) -> bytes | None:
    """The body, or None as soon as it is known to be too large."""
    length = response.get_header("content-length")
    if method == "HEAD":
        return b""
    if length is not None:
        if int(length) > max_bytes:
            return None
        return (await response.bytes()).to_bytes()
    body = bytearray()
    while (chunk := await response.body_reader.read(_READ_AHEAD_BYTES)) is not None:
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)


def _as_transport_error(error: PyreqwestError | ValueError) -> TransportError:
    """By the causes: the classes do not tell connecting from sending and reading."""
    causes = _causes(error)
    connecting = "client error (Connect)" in causes
    trouble: Trouble
    sent = True
    if isinstance(error, PoolTimeoutError):
        trouble, sent = "timeout", False
    elif isinstance(error, RequestTimeoutError):
        trouble, sent = "timeout", not connecting
    elif connecting:
        untrusted = any(cause.startswith("invalid peer cert") for cause in causes)
        trouble, sent = "untrusted" if untrusted else "connect", False
    elif isinstance(error, NetworkError | ClientClosedError) or any(
        cause.startswith(_BROKEN_OFF) for cause in causes
    ):
        trouble = "lost"
    else:
        trouble, sent = "malformed", not isinstance(error, ValueError)
    return TransportError(
        trouble, f"{type(error).__name__}: {', '.join(causes)}", sent=sent
    )


def _causes(error: Exception) -> list[str]:
    """From the outside in, without those that quote the address."""
    if not isinstance(error, DetailedPyreqwestError):
        return [str(error)]
    causes = error.details["causes"] or []
    return [
        cause["message"] for cause in causes if " for url (" not in cause["message"]
    ]
