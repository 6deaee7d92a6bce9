"""The body of an answer, read as it comes, no faster than it is taken."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final, Protocol

from clients.transport import TransportError

# Reading stops while so much waits to be taken, and goes on from so little.
PAUSE_AT_BYTES: Final = 256 * 1024
RESUME_AT_BYTES: Final = 64 * 1024


class Source(Protocol):
    """The connection that the body comes from."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def wait_for_more(self) -> None:
        """Time begins to run."""

    def abandon(self, held: object) -> None: ...


class Body:
    """See `Incoming`. It may be read once."""

    def __init__(self, source: Source, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._source = source
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._paused = self._ended = False
        self._error: TransportError | None = None
        self._reader: asyncio.Future[None] | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Incoming.chunks`."""
        while True:
            while self._waiting:
                yield self._take()
            if self._error is not None:
                raise self._error
            if self._ended:
                return
            self._reader = asyncio.get_running_loop().create_future()
            self._source.wait_for_more()
            await self._reader

    async def aclose(self) -> None:
        """See `Incoming.aclose`."""
        if not self._ended:
            self._ended = True
            self._source.abandon(self)
        self._waiting.clear()

    def feed(self, chunks: Iterable[bytes]) -> None:
        """More of it has come."""
        for chunk in chunks:
            self._waiting.append(chunk)
            self._size += len(chunk)
        if self._size > PAUSE_AT_BYTES and not self._paused:
            self._paused = True
            self._source.pause()
        self._wake()

    def end(self, error: TransportError | None = None) -> None:
        """No more will come."""
        self._ended, self._error = True, error
        self._wake()

    def _take(self) -> bytes:
        chunk = self._waiting.popleft()
        self._size -= len(chunk)
        if self._paused and self._size <= RESUME_AT_BYTES:
            self._paused = False
            # Once it has ended, the connection may be another call's.
            if not self._ended:
                self._source.resume()
        return chunk

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
