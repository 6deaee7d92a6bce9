"""A client that goes away, and a server that stops, while an operation runs."""

import asyncio

import pytest
from starlette.types import Message

from server.alarms import Alarms
from server.departures import ClientGoneError, WhilePresent


class Client:
    """Says that it is gone when it is told to."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}


def watched(client: Client) -> WhilePresent:
    """The watch begins with the operation."""
    at_once = Alarms(asyncio.get_running_loop(), 0.0)
    return WhilePresent(
        client.receive, at_once, may_stop=lambda: True, abandon=lambda: None
    )


async def test_who_leaves_ends_what_runs_for_them() -> None:
    client = Client()

    async def operation() -> None:
        with watched(client):
            await asyncio.sleep(60)

    running = asyncio.create_task(operation())
    await asyncio.sleep(0.01)
    client.gone.set()
    with pytest.raises(ClientGoneError):
        await asyncio.wait_for(running, 1)


async def test_who_leaves_as_the_operation_ends_ends_nothing_after_it() -> None:
    client = Client()
    before = asyncio.all_tasks()

    async def operation() -> str:
        with watched(client):
            await asyncio.sleep(0.01)
            client.gone.set()  # the watch will hear of it on the next turn
        await asyncio.sleep(0.01)
        return "answered"

    assert await asyncio.create_task(operation()) == "answered"
    assert asyncio.all_tasks() == before


async def test_a_server_that_stops_as_an_operation_ends_is_heard() -> None:
    """Tried with a watch that is awaited at the end: the word was lost."""
    client = Client()
    loop = asyncio.get_running_loop()

    async def operation() -> None:
        with watched(client):
            await asyncio.sleep(0.01)
            loop.call_soon(running.cancel)
        await asyncio.sleep(60)

    running = asyncio.create_task(operation())
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 1)
