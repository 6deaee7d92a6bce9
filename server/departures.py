"""A client that goes away while its operation runs.

Used by `graphql.py`. Its reads are cut short, down to the upstream; what writes goes on
to its end, and so do renewals of tokens, which run in tasks of their own: their outcome
matters to the next request.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from starlette.types import Receive

# An operation that is done sooner needs no watching, and nearly all are: the watch
# costs a task, a timer a fortieth of that.
PATIENCE_S: Final = 0.5


class ClientGoneError(Exception):
    """Nobody waits for the answer."""


class WhilePresent:
    """Runs its block, and cancels it when the client goes and `may_stop` says yes.

    `async with` raises ClientGoneError then. Without `receive` nobody is watched.
    """

    def __init__(
        self,
        receive: Receive | None,
        *,
        may_stop: Callable[[], bool],
        abandon: Callable[[], None],
    ) -> None:
        self._receive = receive
        self._may_stop = may_stop
        self._abandon = abandon
        self._gone = False
        self._watching: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        if self._receive is not None:
            running = asyncio.current_task()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(PATIENCE_S, self._begin, running)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        watching, self._watching = self._watching, None  # they would hold each other
        if watching is not None:
            # It ends on the loop's next turn, and can cancel nobody any more. To await
            # it would hide a cancellation of this task that comes meanwhile.
            watching.cancel()
        if self._gone and isinstance(error, asyncio.CancelledError):
            running = asyncio.current_task()
            if running is None or running.uncancel():
                return  # it is the server that stops
            raise ClientGoneError from None

    def _begin(self, running: asyncio.Task[None] | None) -> None:
        self._watching = asyncio.create_task(self._watch(running))

    async def _watch(self, running: asyncio.Task[None] | None) -> None:
        receive = self._receive
        while receive is not None and (await receive())["type"] != "http.disconnect":
            pass
        if running is not None and self._may_stop():
            self._gone = True
            self._abandon()
            running.cancel()
