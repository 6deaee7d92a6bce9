"""How the server leaves, loses a worker, and is renewed, while many ask it.

How each was tried stands in its doc string.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from life_harness import Crowd, Guests, LiveServer, is_running, live_server, until
from live_harness import NOTES, socket, stream
from processes_harness import Device, sign_in
from processes_harness import client as http_client
from serving import NO_TLS

from harness import Sandbox

CLIENTS = 12
LEAVING = {"SHUTDOWN_DELAY_S": "1.5"}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as http:
        yield http


@asynccontextmanager
async def asking(server: LiveServer, device: Device) -> AsyncIterator[Crowd]:
    """A crowd at work; when the block ends, all of it has its answers."""
    crowd = Crowd(server.url, device.headers)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(crowd.ask())
        try:
            await crowd.until_answered(50)
            yield crowd
        finally:
            crowd.done = True


async def readiness(url: str, crowd: Crowd) -> list[str]:
    """What is said to new connections until nobody listens; sends the crowd away."""
    said: list[str] = []
    while True:
        async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
            try:
                answer = await http.get(f"{url}/health/ready")
            except httpx.ConnectError:
                return said
            except httpx.TransportError:
                continue  # the queue of those not yet taken on ends with the process
        said.append(f"{answer.status_code} {answer.json()['status']}")
        crowd.done = crowd.done or answer.status_code == 503
        await asyncio.sleep(0.05)


async def test_term_cuts_no_answer_off_and_readiness_goes_first(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """The crowd is sent elsewhere as soon as the server is not ready.

    Tried without `on_headers_complete`, and without `LAST_QUESTION_S`: answers are cut.
    """
    with live_server(sandbox, workers=1, **LEAVING) as server:
        device = await sign_in(http, server.url)
        async with asking(server, device) as crowd:
            asked = asyncio.create_task(readiness(server.url, crowd))
            await asyncio.sleep(0.5)
            server.send(signal.SIGTERM)
            said = await asked
        server.process.wait(20)
    assert set(crowd.outcomes) == {"answered"}, crowd.outcomes
    assert said[0] == "200 ok"
    assert said[-1] == "503 stopping"
    assert sorted(said) == said, "it was ready again after it had said that it stops"


@pytest.mark.parametrize("workers", [1, 2])
async def test_whom_the_kernel_had_connected_when_listening_ends_is_answered(
    sandbox: Sandbox, workers: int
) -> None:
    """The processes stand still while clients come, and end as they go on.

    Tried without `_take_the_last`: all 40 are reset.
    """
    with live_server(sandbox, workers=workers, SHUTDOWN_DELAY_S="0") as server:
        guests = Guests(server.port)
        with server.standing_still():
            await guests.come(40)
            guests.ask()
            server.send(signal.SIGTERM)
            await asyncio.sleep(1)  # until the supervisor has told the workers
        assert await guests.answers() == {"HTTP/1.1 200 OK": 40}
        server.process.wait(20)


async def test_who_does_not_look_at_readiness_is_served_to_the_end_and_then_refused(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """But for who connects between the last look into the queue and its end.

    Tried with the supervisor listening on: all of the crowd waits in vain.
    """
    with live_server(sandbox, **LEAVING) as server:
        device = await sign_in(http, server.url)
        async with asking(server, device) as crowd:
            server.send(signal.SIGTERM)
            before = crowd.outcomes["answered"]
            await until(lambda: crowd.outcomes["refused"] > 0, within_s=120)
        server.process.wait(20)
    assert crowd.outcomes["answered"] > before + CLIENTS
    assert crowd.outcomes["cut"] <= 2, crowd.outcomes


async def test_term_lets_a_slow_operation_finish_and_tells_live_connections(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    with live_server(sandbox, workers=1) as server:
        device = await sign_in(http, server.url)
        async with socket(server.url, device) as line:
            await line.init()
            await line.subscribe("1", NOTES)
            async with stream(device, server.url, NOTES) as events:
                sandbox.fail("conduit", "/database", delay_s=2, times=1)
                slow = asyncio.create_task(device.viewer(server.url))
                await asyncio.sleep(0.5)
                started = time.monotonic()
                server.send(signal.SIGTERM)
                assert (await line.closed())[0] == 1012
                assert await events.event() == ("", None)
                assert time.monotonic() - started < 1
                assert await slow == {"email": "first@example.com"}
        server.process.wait(10)


async def test_a_killed_worker_costs_what_it_had_in_hand_and_a_renewal_nothing(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Each client has one question under way, so no more than one can be lost.

    Renewal by SIGHUP, tried without `LAST_QUESTION_S`: one of 1,200 is cut.
    """
    with live_server(sandbox, SHUTDOWN_DELAY_S="1") as server:
        device = await sign_in(http, server.url)
        await until(lambda: len(server.workers()) == 2, within_s=120)
        async with asking(server, device) as crowd:
            (doomed, *_) = server.workers()
            os.kill(doomed, signal.SIGKILL)
            await until(lambda: len(server.workers() - {doomed}) == 2, within_s=120)
            await crowd.until_answered(50)
            lost = crowd.outcomes.pop("cut", 0)
            before = server.workers()
            server.send(signal.SIGHUP)
            await until(lambda: not before & server.workers(), within_s=120)
            await crowd.until_answered(50)
    assert lost <= CLIENTS
    assert set(crowd.outcomes) == {"answered"}, crowd.outcomes


async def test_workers_do_not_outlive_a_killed_supervisor(sandbox: Sandbox) -> None:
    """Tried without `_end_with_parent`: they serve on, and nobody replaces them."""
    with live_server(sandbox) as server:
        await until(lambda: len(server.workers()) == 2, within_s=120)
        workers = server.workers()
        server.process.kill()
        await until(lambda: not any(map(is_running, workers)), within_s=120)


async def test_sighup_ends_a_single_process_in_order(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    with live_server(sandbox, workers=1) as server:
        device = await sign_in(http, server.url)
        sandbox.fail("conduit", "/database", delay_s=1, times=1)
        slow = asyncio.create_task(device.viewer(server.url))
        await asyncio.sleep(0.5)
        server.send(signal.SIGHUP)
        assert await slow == {"email": "first@example.com"}
        server.process.wait(10)
