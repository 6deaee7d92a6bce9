"""A client that goes away, and a server that stops, while an operation runs."""

import asyncio
from contextlib import suppress

import pytest
from starlette.types import Message

from server.departures import PATIENCE_S, WhilePresent


async def test_a_server_that_stops_as_an_operation_ends_is_heard() -> None:
    """The watch must end first, and what cancels the operation may come just then."""
    leaving = asyncio.Event()

    async def receive() -> Message:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        leaving.set()
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    async def operation() -> None:
        async with WhilePresent(receive, may_stop=lambda: True, abandon=lambda: None):
            await asyncio.sleep(2 * PATIENCE_S)

    running = asyncio.create_task(operation())
    await leaving.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
