"""`UnderWay`: uploads that are being served, counted by the process.

Made by `server/resources.py`, held by `uploads.py`. Two things need the count: the
storage's pool, of which slow senders must leave something for previews, and the end of
the process, which waits until what was half-made is taken back.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

from clients.errors import RateLimitedError

RETRY_AFTER_S: Final = 5.0


class UnderWay:
    """At most `limit` at once."""

    def __init__(self, limit: int = 25) -> None:
        self._limit = limit
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        """Counted as long as it lasts. Raises: RateLimitedError above the limit."""
        if self._count >= self._limit:
            raise RateLimitedError(
                "too many uploads at once", retry_after_s=RETRY_AFTER_S
            )
        self._count += 1
        self._none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if self._count == 0:
                self._none.set()

    async def drain(self, timeout_s: float) -> None:
        """Wait until there is none, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._none.wait()
