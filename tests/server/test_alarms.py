"""One timer for all that wait equally long: each rings in its time, or not at all."""

import asyncio
from collections.abc import Callable
from functools import partial

from clock import timeless

from server.alarms import Alarms


class Bell:
    """Notes when it rang, in seconds from the start; `then` is done as it rings."""

    def __init__(
        self, rang: list[tuple[str, float]], name: str, then: Callable[[], None]
    ) -> None:
        self._rang = rang
        self._name = name
        self._then = then

    def ring(self) -> None:
        now = asyncio.get_running_loop().time()
        self._rang.append((self._name, round(now - 1000, 3)))
        self._then()


def nothing() -> None: ...


def nothing_of(_whose: str) -> None: ...


def test_each_rings_in_its_time_unless_it_is_called_off() -> None:
    async def work() -> None:
        rang: list[tuple[str, float]] = []
        alarms = Alarms(asyncio.get_running_loop(), 2.0)
        first, second, third = (Bell(rang, name, nothing) for name in "abc")
        for bell in (first, second, third):
            alarms.set(bell.ring)
            await asyncio.sleep(0.5)
        alarms.pop(second.ring, None)
        await asyncio.sleep(10)
        assert rang == [("a", 2.0), ("c", 3.0)]
        alarms.pop(first.ring, None)  # to no purpose

    timeless(work())


def test_nobody_reads_in_a_log_whose_alarms_they_are() -> None:
    async def work() -> None:
        alarms = Alarms(asyncio.get_running_loop(), 2.0)
        alarms.set(partial(nothing_of, "secret"))
        assert repr(alarms) == "<Alarms 1>"

    timeless(work())


def test_many_that_are_called_off_take_one_timer() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        timers: list[float] = []
        call_at = loop.call_at

        def counted(when: float, *rest: object, **options: object) -> object:
            timers.append(when)
            return call_at(when, *rest, **options)  # type: ignore[arg-type]

        loop.call_at = counted  # type: ignore[method-assign, assignment]
        alarms = Alarms(loop, 2.0)
        for number in range(100):
            bell = Bell([], str(number), nothing)
            alarms.set(bell.ring)
            alarms.pop(bell.ring, None)
        assert timers == [1002.0]
        await asyncio.sleep(10)
        assert [when for when in timers if when != 1010.0] == [1002.0]

    timeless(work())


def test_one_that_rings_may_set_another_and_may_fail() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        told: list[object] = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        rang: list[tuple[str, float]] = []
        alarms = Alarms(loop, 1.0)
        again = Bell(rang, "again", nothing)
        alarms.set(Bell(rang, "first", lambda: alarms.set(again.ring)).ring)
        await asyncio.sleep(0.25)

        def fail() -> None:
            raise RuntimeError

        alarms.set(Bell(rang, "failing", fail).ring)
        alarms.set(Bell(rang, "beside it", nothing).ring)
        await asyncio.sleep(0.25)
        alarms.set(Bell(rang, "last", nothing).ring)
        await asyncio.sleep(10)
        assert rang == [
            ("first", 1.0),
            ("failing", 1.25),
            ("beside it", 1.25),
            ("last", 1.5),
            ("again", 2.0),
        ]
        assert len(told) == 1

    timeless(work())
