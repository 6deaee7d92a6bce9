"""An event loop whose clock a test turns: waiting costs no time.

When nothing is ready, the clock jumps to the next thing that is due. Only for tests
that wait for timers and futures, not for sockets.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Never waits: moves the loop's clock on instead."""

    loop: "ClockLoop"

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self.loop.now += timeout
        return super().select(0)


class ClockLoop(asyncio.SelectorEventLoop):
    """Begins at 1,000 s."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _Jumping()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def timeless(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end without waiting."""
    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        return runner.run(work)
