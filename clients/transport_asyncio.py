"""A transport of asyncio and httptools: HTTP/1.1. The default.

Made by `transports.py`. What it is made of is in `http1/`; here is how a call goes.
A call is one future, one write and, if one read brought the whole answer, one parse:
no task, no timer, no copy of the body. A call that is cancelled ends at once, and its
connection with it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable
from math import inf
from typing import Final

import msgspec

from .http1.body import Body
from .http1.connection import Asking, Connection
from .http1.pool import Origin, Pool
from .http1.requests import address_of, message, refused
from .transport import Answer, HTTPLimits, Incoming, Outgoing, TransportError

_READS: Final = frozenset({"GET", "HEAD"})
_AFTER_SCHEME: Final = len("https://")


class AsyncioTransport:
    """See `Transport`."""

    def __init__(self, limits: HTTPLimits, tls: ssl.SSLContext) -> None:
        self._read_s = limits.read_s
        self._pool = Pool(limits, tls)

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        """See `Transport.exchange`."""
        origin = self._pool.origins.get((request.base, request.server_name))
        target = request.target
        if origin is None:
            origin, target = self._place(request)
        sent = message(request, target, origin.shown)
        now = self._pool.loop().time()
        asking = Asking(
            now + timeout_s, self._read_s, max_bytes, request.method == "HEAD"
        )
        connection = origin.take(now, alive=request.method not in _READS)
        if connection is None:
            connection = await self._pool.acquire(origin, asking.ends_at)
        answer = connection.exchange(sent, asking)
        try:
            return await answer
        except asyncio.CancelledError:
            connection.abandon(answer)
            raise

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        """See `Transport.open`."""
        origin, target = self._place(request)
        sent = message(request, target, origin.shown)
        now = self._pool.loop().time()
        asking = Asking(now + timeout_s, self._read_s, inf, request.method == "HEAD")
        connection = origin.take(now, alive=request.method not in _READS)
        if connection is None:
            connection = await self._pool.acquire(origin, asking.ends_at)
        answered = connection.open(sent, asking)
        try:
            return await answered
        except asyncio.CancelledError:
            await _give_up(connection, answered)
            raise

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        """See `Transport.upload`. An answer that comes early ends it between chunks."""
        origin, target = self._place(request)
        upload = _Upload(request)
        sent = message(upload.request, target, origin.shown, upload.framing)
        now = self._pool.loop().time()
        asking = Asking(inf, self._read_s, inf, request.method == "HEAD")
        connection = origin.take(now, alive=request.method not in _READS)
        if connection is None:
            connection = await self._pool.acquire(origin, inf)
        answered = connection.open(sent, asking, more=True)
        try:
            if await upload.go(connection, content):
                connection.sent()
            return await answered
        except BaseException:
            await _give_up(connection, answered)
            raise

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._pool.aclose()

    def _place(self, request: Outgoing) -> tuple[Origin, str]:
        """Where to, and the target there. Raises: TransportError."""
        base, target = request.base, request.target
        if not base:
            url, slash = target, target.find("/", _AFTER_SCHEME)
            base, target = (url, "/") if slash < 0 else (url[:slash], url[slash:])
        key = (base, request.server_name)
        origin = self._pool.origins.get(key)
        if origin is None:
            origin = self._pool.origin(key, address_of(base, request.server_name))
        return origin, target


async def _give_up(connection: Connection, answered: asyncio.Future[Body]) -> None:
    """Nobody takes the answer, which may have come this very moment."""
    connection.abandon(answered)
    if answered.done() and not answered.cancelled() and answered.exception() is None:
        await answered.result().aclose()


class _Upload:
    """The body of one upload: of a known length, or in chunks (RFC 9112 §6, §7)."""

    def __init__(self, request: Outgoing) -> None:
        """Raises: TransportError."""
        headers = dict(request.headers)
        given = [name for name in headers if name.lower() == "content-length"]
        lengths = [headers.pop(name) for name in given]
        # Without the length, which `framing` tells.
        self.request = msgspec.structs.replace(request, headers=headers)
        self._left: int | None = None
        self.framing = "\r\nTransfer-Encoding: chunked\r\n\r\n"
        if lengths:
            if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
                raise refused("the length of the content is not a number")
            self._left = int(lengths[0])
            self.framing = f"\r\nContent-Length: {self._left}\r\n\r\n"

    async def go(self, connection: Connection, content: AsyncIterable[bytes]) -> bool:
        """Send it all; False if nobody wants the rest. Raises also what it raises."""
        async for chunk in content:
            if chunk and not await connection.send(self._framed(chunk)):
                return False
        if self._left is None:
            return await connection.send(b"0\r\n\r\n")
        if self._left:
            raise self._wrong("shorter")
        return True

    def _framed(self, chunk: bytes) -> bytes:
        if self._left is None:
            return b"%x\r\n%b\r\n" % (len(chunk), chunk)
        self._left -= len(chunk)
        if self._left < 0:
            # It would be read as the next request.
            raise self._wrong("longer")
        return chunk

    def _wrong(self, how: str) -> TransportError:
        why = f"the content is {how} than its length says"
        return TransportError("malformed", why, sent=True)
