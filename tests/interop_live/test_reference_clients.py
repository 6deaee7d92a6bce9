"""npm graphql-ws 6 and graphql-sse 2 follow changes made through two processes.

Skipped where npm is not installed; continuous integration has it.
"""

import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_harness import NOTES, SIGN_OUT, create_note
from processes_harness import Device, client, running_servers, sign_in

from harness import Sandbox

pytestmark = pytest.mark.node

HERE = Path(__file__).resolve().parent
ROUNDS = 20


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the subscriber and its packages, by the lock file."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: nothing of the reference clients")
    folder = tmp_path_factory.mktemp("live")
    for name in ("package.json", "package-lock.json", "subscriber.mjs"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as http:
        yield http


@dataclass(slots=True)
class Subscriber:
    process: asyncio.subprocess.Process

    async def told(self, kind: str, limit_s: float = 15) -> dict[str, Any]:
        """The next thing that it tells, which must be of this kind."""
        assert self.process.stdout is not None
        async with asyncio.timeout(limit_s):
            line = await self.process.stdout.readline()
        found: dict[str, Any] = json.loads(line)
        assert found["kind"] == kind, found
        return found

    async def note(self) -> dict[str, Any]:
        """The change of a note that is told next."""
        found = await self.told("next")
        assert "errors" not in found["result"], found
        change: dict[str, Any] = found["result"]["data"]["noteChanged"]
        return change | {"at": found["at"]}


@asynccontextmanager
async def subscriber(
    packages: Path, kind: str, device: Device, *urls: str, query: str = NOTES
) -> AsyncIterator[Subscriber]:
    """Connected and subscribed, or refused."""
    process = await asyncio.create_subprocess_exec(
        "node",
        "subscriber.mjs",
        cwd=packages,
        env=os.environ
        | {
            "CLIENT": kind,
            "URLS": ",".join(urls),
            "BEARER": device.headers["authorization"].removeprefix("Bearer "),
            "QUERY": query,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Subscriber(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.mark.parametrize("kind", ["ws", "sse"])
async def test_events_of_another_process_arrive_within_the_bar(
    packages: Path,
    sandbox: Sandbox,
    http: httpx.AsyncClient,
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The bar is 100 ms after the mutation's answer; the figures are printed."""
    async with running_servers(sandbox, 2) as servers:
        here, there = servers.urls
        device = await sign_in(http, here, bearer=True)
        async with subscriber(packages, kind, device, here) as subscribed:
            await subscribed.told("connected")
            await asyncio.sleep(0.5)
            delays = []
            for n in range(ROUNDS):
                note_id = await create_note(device, there, str(n))
                answered = time.time()
                change = await subscribed.note()
                assert (change["id"], change["note"]["body"]) == (note_id, str(n))
                delays.append(change["at"] / 1000 - answered)
    median, worst = statistics.median(delays), max(delays)
    with capsys.disabled():
        print(
            f"\n{kind} reference client, event after the mutation's answer in another "
            f"process: median {median * 1000:.1f} ms, worst {worst * 1000:.1f} ms"
        )
    assert median < 0.1
    assert worst < 1


@pytest.mark.parametrize("kind", ["ws", "sse"])
async def test_a_server_that_stops_is_left_for_another_without_an_error(
    packages: Path, sandbox: Sandbox, http: httpx.AsyncClient, kind: str
) -> None:
    async with running_servers(sandbox, 2) as servers:
        here, there = servers.urls
        device = await sign_in(http, there, bearer=True)
        async with subscriber(packages, kind, device, here, there) as subscribed:
            await subscribed.told("connected")
            await asyncio.sleep(0.5)
            os.kill(servers.processes[0].pid, signal.SIGTERM)
            if kind == "ws":
                assert (await subscribed.told("closed"))["code"] == 1012
            await subscribed.told("connected")
            await asyncio.sleep(0.5)
            note_id = await create_note(device, there, "after the move")
            assert (await subscribed.note())["id"] == note_id


async def test_the_socket_client_hears_4403_when_its_session_ends(
    packages: Path, sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    async with running_servers(sandbox, 1) as servers:
        url = servers.urls[0]
        device = await sign_in(http, url, bearer=True)
        async with subscriber(packages, "ws", device, url) as subscribed:
            await subscribed.told("connected")
            await device.data(url, SIGN_OUT, all=False)
            closed = await subscribed.told("closed")
    assert (closed["code"], closed["reason"]) == (4403, "The session has ended.")


async def test_the_stream_client_is_told_unauthenticated_when_its_session_ends(
    packages: Path, sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    async with running_servers(sandbox, 1) as servers:
        url = servers.urls[0]
        device = await sign_in(http, url, bearer=True)
        async with subscriber(packages, "sse", device, url) as subscribed:
            await subscribed.told("connected")
            await device.data(url, SIGN_OUT, all=False)
            last = await subscribed.told("next")
            await subscribed.told("complete")
    error = last["result"]["errors"][0]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_socket_client_is_told_what_is_wrong_with_a_document(
    packages: Path, sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    async with running_servers(sandbox, 1) as servers:
        url = servers.urls[0]
        device = await sign_in(http, url, bearer=True)
        query = "subscription { nothing }"
        async with subscriber(packages, "ws", device, url, query=query) as refused:
            await refused.told("connected")
            told = await refused.told("error")
    code = told["errors"][0]["extensions"]["code"]
    assert code == "GRAPHQL_VALIDATION_FAILED"
