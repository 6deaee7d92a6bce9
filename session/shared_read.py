"""`SharedRead`: one answer on its way that any number of callers may await.

Made by `session/redis_reader.py` for every question; the callers of one request share
it through `session/auth.py`.
"""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class SharedRead(Generic[T]):
    """Unlike a future's, its waiters do not end it when one of them is cancelled.

    Measured: 2 µs less a waiter than `asyncio.shield`, 15 less than a task with `wait`.
    """

    __slots__ = ("_convert", "_error", "_loop", "_value", "_waiters", "done")

    # Any: the answer as it came, until the first waiter has converted it.
    def __init__(
        self,
        convert: Callable[[Any], T],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`loop`: the running one, if it is at hand; `get_running_loop` costs 1 µs."""
        self.done = False
        self._loop = loop
        self._convert: Callable[[Any], T] | None = convert
        self._value: object = None
        self._error: Exception | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def settle(self, answer: object) -> None:
        """Hand the answer out; it is converted by whoever waits first."""
        if not self.done:
            self._value = answer
            self._wake()

    def fail(self, error: Exception) -> None:
        """Raise `error` in whoever waits, now or later. Nobody need wait."""
        if not self.done:
            self._error = error
            self._wake()

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done:
            waiter = (self._loop or asyncio.get_running_loop()).create_future()
            self._waiters.append(waiter)
            yield from waiter
        if self._error is None and self._convert is not None:
            self._convert_once(self._convert)
        if self._error is not None:
            raise self._error
        return cast(T, self._value)

    def _convert_once(self, convert: Callable[[Any], T]) -> None:
        """In a waiter's own context: what is logged then carries its request's id."""
        self._convert = None
        try:
            self._value = convert(self._value)
        except Exception as error:
            self._error = error

    def _wake(self) -> None:
        self.done = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
