"""A client that goes away while its operation runs.

Used by `graphql.py`. Its reads are cut short, down to the upstream; what writes goes on
to its end, and so do renewals of tokens, which run in tasks of their own: their outcome
matters to the next request.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

import msgspec
from starlette.types import Receive

from resolvers.context import RequestContext

from .alarms import Alarms

# Most operations are done sooner, and need no watching, which costs a task.
PATIENCE_S: Final = 0.5


class ClientGoneError(Exception):
    """Nobody waits for the answer."""


class WhilePresent(msgspec.Struct, eq=False):
    """Runs its block, and cancels it when the client goes, if it only reads.

    `with` raises ClientGoneError then. Without `receive` nobody is watched, and
    with it not before one of the `alarms` rings.
    """

    receive: Receive | None
    alarms: Alarms
    context: RequestContext
    _gone: bool = False
    _running: asyncio.Task[object] | None = None
    _watching: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self.receive is not None:
            self._running = asyncio.current_task(self.alarms.loop)
            self.alarms.set(self._begin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.alarms.pop(self._begin, None)
        watching, self._watching = self._watching, None  # they would hold each other
        if watching is not None:
            # It ends on the loop's next turn, and can cancel nobody any more. To await
            # it would hide a cancellation of this task that comes meanwhile.
            watching.cancel()
        if self._gone and isinstance(error, asyncio.CancelledError):
            if self._running is None or self._running.uncancel():
                return  # it is the server that stops
            raise ClientGoneError from None

    def _begin(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        receive, running = self.receive, self._running
        while receive is not None and (await receive())["type"] != "http.disconnect":
            pass
        if running is not None and self.context.only_reads:
            self._gone = True
            before = running.cancelling()
            self.context.scope.abandon()
            # Once: a read that is cut short may run in the operation's own task.
            if running.cancelling() == before:
                running.cancel()
