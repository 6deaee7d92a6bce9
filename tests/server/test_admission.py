"""Operations in line: who is let in, when, and what holds up nobody."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from schema.limits import Limit
from server.admission import (
    AT_ONCE,
    LEAST_AT_ONCE,
    LONGEST_WAIT_S,
    LOOK_S,
    Admission,
)
from server.refusals import RefusalError
from tests.clock import ClockLoop, timeless

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
        if admission.count > admission.at_once:
            await admission.stand_in_line()
        yield
    finally:
        admission.leave("a")


async def operate(admission: Admission) -> None:
    """Without end."""
    async with operation(admission):
        await asyncio.Event().wait()


class Crowd:
    """Operations that end when they are told to."""

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self.begun: list[int] = []
        self.ends = [asyncio.Event() for _ in range(size)]
        self.tasks = [asyncio.create_task(self.operate(n)) for n in range(size)]

    async def operate(self, number: int) -> None:
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


def test_one_more_begins_at_once_where_nobody_has_looked_for_long() -> None:
    async def trial(crowd: Crowd) -> None:
        crowd.begun.clear()
        await asyncio.sleep(1)
        one = asyncio.create_task(crowd.operate(0))
        await asyncio.sleep(0)
        assert crowd.begun == [0]
        one.cancel()

    crowded(AT_ONCE, trial, busy=False)


def test_of_several_more_one_begins_at_each_look_of_a_busy_process() -> None:
    async def trial(crowd: Crowd) -> None:
        crowd.begun.clear()
        await asyncio.sleep(1)
        # The first of them is a look itself.
        more = [asyncio.create_task(crowd.operate(n)) for n in range(3)]
        await asyncio.sleep(0)
        assert crowd.begun == [0]
        await asyncio.sleep(LOOK_S)
        assert crowd.begun == [0, 1]
        for task in more:
            task.cancel()

    crowded(AT_ONCE, trial, busy=True)


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


class Clients:
    """Ask again when they are answered. An operation works, waits, and works again.

    While one works nothing else happens in the process.
    """

    wait_s: float

    def __init__(self, *, work_s: float, answer_bytes: int) -> None:
        self._work_s, self._size = work_s, answer_bytes
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ClockLoop)
        self._loop = loop
        self.worked_s = 0.0
        self.running = self.most = 0
        self._asking: list[asyncio.Task[None]] = []
        self.doors = Admission(OFF, OFF, now=loop.time, cpu=lambda: self.worked_s)

    def come(self, number: int, *, wait_s: float) -> None:
        self.wait_s = wait_s
        self.stay = True
        self._asking += [asyncio.create_task(self._ask()) for _ in range(number)]

    async def go(self) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        while self.stay:
            async with operation(self.doors):
                self.running += 1
                self.most = max(self.most, self.running)
                try:
                    self._work()
                    await asyncio.sleep(self.wait_s)
                    self._work()
                    self.doors.weigh(self._size)
                finally:
                    self.running -= 1

    def _work(self) -> None:
        self._loop.now += self._work_s / 2
        self.worked_s += self._work_s / 2

    async def share_used(self, of_s: float) -> float:
        before, began = self.worked_s, self._loop.time()
        await asyncio.sleep(of_s)
        return (self.worked_s - before) / (self._loop.time() - began)


def loaded(
    number: int,
    trial: Callable[[Clients], Awaitable[None]],
    *,
    work_s: float,
    wait_s: float,
    answer_bytes: int,
    hang: int = 0,
) -> None:
    """`trial` under the load of so many clients, after a second of it.

    Of those who came before them some `hang`: they wait without end.
    """

    async def run() -> None:
        clients = Clients(work_s=work_s, answer_bytes=answer_bytes)
        hanging = [asyncio.create_task(operate(clients.doors)) for _ in range(hang)]
        clients.come(number, wait_s=wait_s)
        await asyncio.sleep(1)
        await trial(clients)
        await clients.go()
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    timeless(run())


@pytest.mark.parametrize("wait_s", [0.05, 0.2])
@pytest.mark.parametrize(("work_s", "answer_bytes"), [(8e-4, 14_000), (1e-3, 180_000)])
def test_a_slow_upstream_leaves_no_processor_idle(
    wait_s: float, work_s: float, answer_bytes: int
) -> None:
    async def trial(clients: Clients) -> None:
        assert await clients.share_used(4) > 0.85

    loaded(1024, trial, work_s=work_s, wait_s=wait_s, answer_bytes=answer_bytes)


@pytest.mark.parametrize(
    ("answer_bytes", "at_once"),
    [(14_000, AT_ONCE), (100_000, 10), (10_000_000, LEAST_AT_ONCE)],
)
def test_the_larger_the_answers_the_fewer_run_at_once(
    answer_bytes: int, at_once: int
) -> None:
    async def trial(clients: Clients) -> None:
        clients.most = 0
        assert await clients.share_used(1) > 0.99
        # One more is let in at each look, and runs beside them for a while.
        assert at_once <= clients.most <= at_once + 2

    loaded(256, trial, work_s=1e-3, wait_s=1e-3, answer_bytes=answer_bytes)


def test_when_an_upstream_is_quick_again_fewer_run() -> None:
    async def trial(clients: Clients) -> None:
        before = clients.running
        assert before > 4 * AT_ONCE
        clients.wait_s = 0
        await asyncio.sleep(1)
        assert clients.running < before / 2
        await asyncio.sleep(2)
        assert clients.running <= AT_ONCE + 4

    loaded(1024, trial, work_s=1e-3, wait_s=0.2, answer_bytes=14_000)


def test_a_crowd_that_has_gone_leaves_no_room_for_the_next() -> None:
    async def trial(clients: Clients) -> None:
        assert clients.running > 4 * AT_ONCE
        clients.stay = False  # each goes with its answer
        await asyncio.sleep(2)
        assert clients.running == 0
        clients.come(3 * AT_ONCE, wait_s=0)
        await asyncio.sleep(1)
        assert clients.running <= AT_ONCE + 2

    loaded(1024, trial, work_s=1e-3, wait_s=0.2, answer_bytes=14_000)


def test_many_that_hang_hold_up_nobody_else() -> None:
    async def trial(clients: Clients) -> None:
        assert await clients.share_used(4) > 0.75

    loaded(64, trial, work_s=1e-3, wait_s=0, answer_bytes=180_000, hang=200)
