"""One answer for many: cancelled waiters, failures, and whose context converts."""

import asyncio
import gc
from contextvars import ContextVar

import pytest

from clients.errors import VaultUnavailableError
from session.shared_read import SharedRead

current: ContextVar[str] = ContextVar("current", default="nobody")


async def test_a_waiter_that_is_cancelled_harms_no_other() -> None:
    """Tried with a future that all await: it is cancelled for all of them."""
    read = SharedRead(int)

    async def wait() -> int:
        return await read

    waiting = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    read.settle("7")
    assert await asyncio.gather(*waiting[1:]) == [7, 7]
    assert waiting[0].cancelled()


async def test_it_is_converted_once_by_a_waiter_in_its_own_context() -> None:
    """What is logged on the way then carries the id of the request that asked."""
    seen: list[str] = []

    def convert(value: object) -> str:
        seen.append(current.get())
        return str(value)

    read = SharedRead(convert)
    current.set("the request")
    waiting = asyncio.create_task(asyncio.wait_for(read, 1))
    await asyncio.sleep(0)
    current.set("the connection")
    read.settle(1)
    assert (await waiting, await read) == ("1", "1")
    assert seen == ["the request"]


async def test_what_the_conversion_raises_reaches_every_waiter() -> None:
    read = SharedRead(int)
    read.settle("no number")
    for _ in range(2):
        with pytest.raises(ValueError, match="no number"):
            await read


async def test_only_the_first_end_counts() -> None:
    read = SharedRead(int)
    read.fail(VaultUnavailableError("first"))
    read.settle("7")
    read.fail(VaultUnavailableError("second"))
    with pytest.raises(VaultUnavailableError, match="first"):
        await read


async def test_a_failure_that_nobody_awaits_is_no_warning() -> None:
    SharedRead(int).fail(VaultUnavailableError("nobody waits"))
    gc.collect()


def test_no_repr_shows_an_answer() -> None:
    """As it comes from the vault it holds tokens."""
    assert "secret" not in repr(SharedRead.of("secret"))
