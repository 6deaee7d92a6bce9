"""Uploads are counted, and what was half-made is cleaned up in spite of all."""

import asyncio

import pytest

from clients.errors import RateLimitedError
from resolvers.outcomes import to_the_end
from resolvers.under_way import UnderWay


def test_more_than_the_limit_are_refused_until_one_ends() -> None:
    uploads = UnderWay(1)
    with uploads.one_more():
        with pytest.raises(RateLimitedError) as caught, uploads.one_more():
            pass
        assert caught.value.retry_after_s
    with uploads.one_more():
        pass


async def test_draining_waits_for_the_last() -> None:
    uploads = UnderWay(2)
    ended = []

    async def one(seconds: float) -> None:
        with uploads.one_more():
            await asyncio.sleep(seconds)
            ended.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one(0.05))
        tasks.create_task(one(0.1))
        await asyncio.sleep(0)
        await uploads.drain(5)
        assert ended == [0.05, 0.1]


async def test_draining_does_not_wait_for_ever() -> None:
    uploads = UnderWay()
    with uploads.one_more():
        await uploads.drain(0.01)


async def test_a_cancellation_waits_until_the_work_is_done() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0.05)
        done.append("done")

    task = asyncio.create_task(to_the_end(work()))
    for _ in range(3):
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["done"]
