"""Who may begin an operation: bounds of how many there are, and a line.

Used by `graphql.py` around every operation. Two bounds, one for the process and one for
each person, are kept by refusing: nobody waits, one too many is told so at once, which
keeps the others' answers quick. A person is an account, or the address of who is not
signed in.

Of those who may come few run at once, and the others stand in line. Where a thousand
run at once each costs half as much again as where twenty do: what it works on has left
the processor's caches whenever its turn comes. The larger the answers are, the fewer
fit in there. So while there is no CPU to spare, one begins when another has ended.

Who waits for an upstream uses no CPU and keeps nobody out: every few milliseconds more
may run if there is CPU to spare, fewer if there is none, and one is let in in any case.
An upstream that hangs therefore holds up nobody who does not need it.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import takewhile
from math import ceil
from typing import Final

from schema.limits import Limit

from .refusals import RefusalCode, RefusalError

# Enough to keep one process at work, with answers of up to 42 KiB. Of larger ones as
# many as are `ROOM_BYTES` together, which their rows and bodies are several times of;
# but so many in any case, since all of them may wait for an upstream.
AT_ONCE: Final = 24
ROOM_BYTES: Final = 2**20
LEAST_AT_ONCE: Final = 4
# How large answers are is told by about so many of the last.
REMEMBERED: Final = 32
LOOK_S: Final = 0.005
# A processor that was idle for less of the time is busy.
SPARE: Final = 0.05
# While it is busy, half of those who run beyond `at_once` are no longer allowed after
# this. If it were sooner, their number would swing with an upstream's delay.
HALF_S: Final = 0.45
# A client that has waited so long has better things to do than to be served.
LONGEST_WAIT_S: Final = 10.0

log = logging.getLogger("mainstem.limits")


class Admission:
    """Of one process. `now` and `cpu` are seconds: the clock's, and this thread's."""

    def __init__(
        self,
        in_process: Limit,
        per_person: Limit,
        *,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._in_process = in_process
        self._per_person = per_person
        self._now = now
        self._cpu = cpu
        # Operations that have entered and not left, also those in line.
        self.count = 0
        self._by_person: dict[str, int] = {}
        # How many run at once, and how many more while that leaves CPU to spare.
        self.at_once = AT_ONCE
        self._beyond = 0.0
        self._mean_bytes = 1.0
        # Each one's turn, and since when it is waited for.
        self._line: OrderedDict[asyncio.Future[None], float] = OrderedDict()
        # Of the last look: the clock and the CPU time.
        self._looked_at = (now(), cpu())
        self._look: asyncio.TimerHandle | None = None

    def enter(self, person: str, request_id: str = "") -> None:
        """Count one operation, if there may be one more; `leave` must follow.

        It may begin if `count` is not above `at_once`; else it is to `stand_in_line`.
        Raises: RefusalError 429, 503.
        """
        of_person = self._by_person.get(person, 0) + 1
        if of_person > self._per_person.bound:
            _check(self._per_person, of_person, request_id, _too_many_at_once)
        if self.count >= self._in_process.bound:
            _check(self._in_process, self.count + 1, request_id, _busy)
        self.count += 1
        self._by_person[person] = of_person

    def leave(self, person: str) -> None:
        """The operation is over, in whatever way."""
        self.count -= 1
        left = self._by_person[person] - 1
        if left:
            self._by_person[person] = left
        else:
            del self._by_person[person]
        if self._line:
            self._let_in(self._room)

    def weigh(self, size: int) -> None:
        """An answer had so many bytes: the larger they are, the fewer run at once."""
        size = min(size, ROOM_BYTES // LEAST_AT_ONCE)
        self._mean_bytes += (size - self._mean_bytes) / REMEMBERED
        self.at_once = min(AT_ONCE, int(ROOM_BYTES / self._mean_bytes))

    async def stand_in_line(self) -> None:
        """Wait until one who has entered may begin. First come, first served.

        Raises: RefusalError 503.
        """
        if self._room >= 0:
            return
        now = self._now()
        if not self._line and now - self._looked_at[0] >= LOOK_S:
            # This is a look, which lets in one in any case.
            self._looked_at = (now, self._cpu())
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line[turn] = now
        if self._look is None:
            self._look_later()
        try:
            await turn
        finally:
            self._line.pop(turn, None)

    @property
    def _running(self) -> int:
        return self.count - len(self._line)

    @property
    def _room(self) -> int:
        """How many more may run; negative: how many fewer."""
        return ceil(self.at_once + self._beyond) - self._running

    def _let_in(self, number: int) -> None:
        while number > 0 and self._line:
            turn, _ = self._line.popitem(last=False)
            if not turn.done():  # else whoever waited is just going
                number -= 1
                turn.set_result(None)

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._look = loop.call_later(LOOK_S, self._look_around)

    def _look_around(self) -> None:
        self._look = None
        before, cpu_before = self._looked_at
        self._looked_at = now, cpu = self._now(), self._cpu()
        spare = 1 - (cpu - cpu_before) / max(now - before, LOOK_S / 2)
        if spare > SPARE:
            self._beyond = max(0.0, self._running + self.at_once * (spare - 1))
        else:
            self._beyond *= 0.5 ** ((now - before) / HALF_S)
        self._let_in(max(1, self._room))
        long_ago = now - LONGEST_WAIT_S
        for turn in list(takewhile(lambda one: self._line[one] < long_ago, self._line)):
            del self._line[turn]
            if not turn.done():
                turn.set_exception(_busy())
        if self._line:
            self._look_later()
        else:
            self._beyond = 0.0


def _check(
    limit: Limit, actual: int, request_id: str, refusal: Callable[[], RefusalError]
) -> None:
    """What becomes of who passed a limit. Raises: RefusalError, if it is enforced."""
    if limit.enforced is not None:
        raise refusal()
    log.warning(
        "limit in request %s: %d operations in flight, over %d",
        request_id,
        actual,
        limit.most,
    )


def _too_many_at_once() -> RefusalError:
    return RefusalError(
        429,
        RefusalCode.RATE_LIMITED,
        "Too many operations at once; wait for the answers.",
        headers={"retry-after": "1"},
    )


def _busy() -> RefusalError:
    """503: there is no room for one more."""
    return RefusalError(
        503,
        RefusalCode.SERVER_BUSY,
        "The server is busy; try again.",
        headers={"retry-after": "1"},
    )
