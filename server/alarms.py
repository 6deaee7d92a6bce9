"""Alarms that hardly ever ring: one timer of the loop for all of them.

For what every request begins and nearly every one ends long before its time. To set a
timer of uvloop and to call it off takes 3 to 5 µs, an alarm a tenth of that.
"""

import asyncio
import contextvars
from collections.abc import Callable
from itertools import takewhile

Ring = Callable[[], None]


class Alarms(dict[Ring, float]):
    """All of one delay: they ring in the order in which they are set.

    As a mapping: each with the loop's time at which it rings. One that is popped is
    called off; of one that has rung nothing is left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, after_s: float) -> None:
        super().__init__()
        self.loop = loop
        self._after_s = after_s
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        """Their number alone: who waits for one is a request, with its address."""
        return f"<{type(self).__name__} {len(self)}>"

    def set(self, ring: Ring) -> None:
        """Call `ring`, which is not set yet, in `after_s`, unless it is popped."""
        due = self[ring] = self.loop.time() + self._after_s
        if self._timer is None:
            self._wait_until(due)

    def _wait_until(self, due: float) -> None:
        # Not in the context of the request that happens to need the timer.
        nobodys = contextvars.Context()
        self._timer = self.loop.call_at(due, self._look, context=nobodys)

    def _look(self) -> None:
        """Ring those that are due, and wait for the first of the others."""
        now = self.loop.time()
        due = list(takewhile(lambda ring: self[ring] <= now, self))
        for ring in due:
            del self[ring]
        self._timer = None
        if self:
            self._wait_until(next(iter(self.values())))
        for ring in due:
            try:
                ring()
            except Exception as error:  # the others are to be rung all the same
                told = {"message": "an alarm failed", "exception": error}
                self.loop.call_exception_handler(told)
