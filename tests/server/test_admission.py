"""Operations in line: who is let in, when, and what holds up nobody."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from schema.limits import Limit
from server.admission import AT_ONCE, LONGEST_WAIT_S, LOOK_S, Admission
from server.refusals import RefusalError
from tests.clock import timeless

OFF = Limit(0, "off")


class Processor:
    """Its thread is busy, or waits, for as long as the clock goes on."""

    def __init__(self, *, busy: bool) -> None:
        self.busy = busy
        self._used = 0.0
        self._seen = asyncio.get_running_loop().time()

    def used(self) -> float:
        now = asyncio.get_running_loop().time()
        if self.busy:
            self._used += now - self._seen
        self._seen = now
        return self._used


def admission(*, busy: bool) -> Admission:
    loop = asyncio.get_running_loop()
    cpu = Processor(busy=busy).used
    return Admission(OFF, OFF, now=loop.time, cpu=cpu)


@asynccontextmanager
async def operation(admission: Admission) -> AsyncIterator[None]:
    """As `graphql.py` has it."""
    admission.enter("a")
    try:
        if admission.count > AT_ONCE:
            await admission.stand_in_line()
        yield
    finally:
        admission.leave("a")


async def operate(admission: Admission) -> None:
    """Without end."""
    async with operation(admission):
        await asyncio.sleep(1e9)


class Crowd:
    """Operations that end when they are told to."""

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self.begun: list[int] = []
        self.ends = [asyncio.Event() for _ in range(size)]
        self.tasks = [asyncio.create_task(self._operate(n)) for n in range(size)]

    async def _operate(self, number: int) -> None:
        async with operation(self._admission):
            self.begun.append(number)
            await self.ends[number].wait()

    async def disperse(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def crowded(
    size: int, trial: Callable[[Crowd], Awaitable[None]], *, busy: bool
) -> Crowd:
    """`trial` among so many operations, all asking at the same moment."""

    async def run() -> Crowd:
        crowd = Crowd(admission(busy=busy), size)
        await asyncio.sleep(0)
        try:
            await trial(crowd)
        finally:
            await crowd.disperse()
        return crowd

    return timeless(run())


def test_a_busy_process_begins_no_more_than_it_can_work_on() -> None:
    async def trial(crowd: Crowd) -> None:
        assert crowd.begun == list(range(AT_ONCE))
        await asyncio.sleep(10 * LOOK_S + LOOK_S / 2)
        # One at each look, so that nothing stands still.
        assert len(crowd.begun) == AT_ONCE + 10

    crowded(10 * AT_ONCE, trial, busy=True)


def test_the_next_begins_when_one_has_ended() -> None:
    async def trial(crowd: Crowd) -> None:
        for number in range(3):
            crowd.ends[number].set()
        await asyncio.sleep(LOOK_S / 2)
        assert crowd.begun == list(range(AT_ONCE + 3))

    crowded(10 * AT_ONCE, trial, busy=True)


def test_operations_that_only_wait_hold_up_nobody() -> None:
    async def trial(crowd: Crowd) -> None:
        await asyncio.sleep(10 * LOOK_S)
        assert len(crowd.begun) == 10 * AT_ONCE

    crowd = crowded(10 * AT_ONCE, trial, busy=False)
    assert crowd.begun == sorted(crowd.begun)


def test_who_is_cancelled_in_line_leaves_no_gap() -> None:
    async def trial(crowd: Crowd) -> None:
        crowd.tasks[AT_ONCE].cancel()
        crowd.ends[0].set()
        await asyncio.sleep(LOOK_S / 2)
        assert crowd.begun == [*range(AT_ONCE), AT_ONCE + 1]

    crowded(AT_ONCE + 2, trial, busy=True)


def test_who_is_cancelled_in_line_makes_no_room() -> None:
    async def trial(crowd: Crowd) -> None:
        crowd.tasks[AT_ONCE + 1].cancel()
        await asyncio.sleep(LOOK_S / 2)
        assert crowd.begun == list(range(AT_ONCE))

    crowded(AT_ONCE + 2, trial, busy=True)


def test_who_is_cancelled_just_when_let_in_leaves_the_room_to_the_next() -> None:
    async def trial(crowd: Crowd) -> None:
        crowd.ends[0].set()
        while not crowd.tasks[0].done():  # noqa: ASYNC110 - turn by turn
            await asyncio.sleep(0)
        crowd.tasks[AT_ONCE].cancel()
        await asyncio.sleep(LOOK_S / 2)
        assert crowd.begun == [*range(AT_ONCE), AT_ONCE + 1]

    crowded(AT_ONCE + 2, trial, busy=True)


def test_who_waits_too_long_is_told_that_the_server_is_busy() -> None:
    async def run() -> None:
        doors = admission(busy=True)
        # One is let in at each look, and these take all the looks of that time.
        number = AT_ONCE + int(2 * LONGEST_WAIT_S / LOOK_S)
        before = [asyncio.create_task(operate(doors)) for _ in range(number)]
        await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        with pytest.raises(RefusalError) as refused:
            await operate(doors)
        waited_s = asyncio.get_running_loop().time() - began
        assert waited_s == pytest.approx(LONGEST_WAIT_S, abs=2 * LOOK_S)
        assert refused.value.status == 503
        assert refused.value.headers["retry-after"] == "1"
        for task in before:
            task.cancel()
        await asyncio.gather(*before, return_exceptions=True)
        assert doors.count == 0

    timeless(run())


def test_nothing_is_looked_after_when_nobody_waits() -> None:
    async def run() -> None:
        doors = admission(busy=True)
        running = [asyncio.create_task(operate(doors)) for _ in range(AT_ONCE + 1)]
        await asyncio.sleep(2 * LOOK_S)
        assert doors.count == AT_ONCE + 1
        assert doors._look is None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    timeless(run())
