"""How many operations run at once; the others stand in line.

Used by `graphql.py` around every operation, after the limits have counted it. Where a
thousand run at once each costs half as much again as where twenty do: what it works on
has left the processor's caches whenever its turn comes. So as long as there is no CPU
to spare, one begins when another has ended.

Who waits for an upstream uses no CPU and keeps nobody out: every few milliseconds as
many are let in as there is CPU to spare, and one in any case. An upstream that hangs
therefore holds up nobody who does not need it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from .in_flight import busy

# Enough to keep one process at work while most of them wait for an upstream.
AT_ONCE: Final = 24
LOOK_S: Final = 0.005
# A client that has waited so long has better things to do than to be served.
LONGEST_WAIT_S: Final = 10.0


class _Waiting(msgspec.Struct):
    """An operation in line."""

    turn: asyncio.Future[None]
    since: float


class Admission:
    """Of one process. `now` and `cpu` are seconds: the clock's, and this thread's."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._now = now
        self._cpu = cpu
        self._inside = 0
        self._line: deque[_Waiting] = deque()
        self._looked_at = (0.0, 0.0)
        self._look: asyncio.TimerHandle | None = None

    def enter_at_once(self) -> bool:
        """Room for one operation, if there is any; then `leave` must follow."""
        if self._inside < AT_ONCE:
            self._inside += 1
            return True
        return False

    def leave(self) -> None:
        """The operation is over, in whatever way."""
        self._inside -= 1
        if self._line and self._inside < AT_ONCE:
            self._let_in(1)

    async def stand_in_line(self) -> None:
        """Wait for room, as `enter_at_once` gives it. First come, first served.

        Raises: RefusalError 503.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(_Waiting(turn, self._now()))
        if self._look is None:
            self._look_later()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self.leave()  # it had just been let in
            raise

    def _let_in(self, number: int) -> None:
        while number and self._line:
            turn = self._line.popleft().turn
            if not turn.done():  # else whoever waited has gone
                self._inside += 1
                number -= 1
                turn.set_result(None)

    def _look_later(self) -> None:
        self._looked_at = (self._now(), self._cpu())
        loop = asyncio.get_running_loop()
        self._look = loop.call_later(LOOK_S, self._look_around)

    def _look_around(self) -> None:
        before, cpu_before = self._looked_at
        now = self._now()
        spare = 1 - (self._cpu() - cpu_before) / max(now - before, LOOK_S / 2)
        self._let_in(max(1, int(AT_ONCE * spare)))
        while self._line and now - self._line[0].since > LONGEST_WAIT_S:
            turn = self._line.popleft().turn
            if not turn.done():
                turn.set_exception(busy())
        self._look = None
        if self._line:
            self._look_later()
