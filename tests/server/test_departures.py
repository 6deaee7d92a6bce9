"""A client that goes away, and a server that stops, while an operation runs."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from serving import served
from starlette.types import Message

from harness import Caller, Sandbox
from server.alarms import Alarms
from server.departures import PATIENCE_S, ClientGoneError, WhilePresent
from server.protocols import ServingConfig, StreamingHTTPProtocol


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
    scope = SimpleNamespace(abandon=lambda: None)
    context: Any = SimpleNamespace(only_reads=True, scope=scope)
    return WhilePresent(client.receive, at_once, context)


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


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """Of requests."""
    return [
        record.__dict__["fields"]
        for record in caplog.records
        if record.name == "mainstem.request"
    ]


async def test_who_hangs_up_is_missed_though_the_body_was_taken_at_once(
    app: Any, first: Caller, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Over a connection: the body does not come by `receive`, the departure does."""
    config = ServingConfig(
        app,
        http=StreamingHTTPProtocol,
        lifespan="off",
        log_config=None,
    )
    sandbox.fail("conduit", "/database/Post", delay_s=3.0)
    body = {"query": "{ posts { nodes { id } } }"}
    loop = asyncio.get_running_loop()
    with caplog.at_level(logging.INFO, "mainstem.request"):
        async with served(app, config) as url:
            async with httpx.AsyncClient(cookies=first.http.cookies) as http:
                with pytest.raises(httpx.ReadTimeout):
                    await http.post(f"{url}/graphql", json=body, timeout=0.2)
            left_at = loop.time()
            while not (told := lines(caplog)):  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.02)
            assert loop.time() - left_at < PATIENCE_S + 1.0
    assert told[0]["errorCodes"] == ["CLIENT_GONE"]
