"""Several server processes over one vault: one renewal, no lost session.

TRIED
"""

import asyncio
import base64
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import redis

from harness import Caller, Sandbox, free_port, start_server, wait_until_alive

PROCESSES = 4
OPERATIONS = 200
QUERY = "{ viewer { email } posts(first: 1) { nodes { title } } }"
RETRYABLE = {"UPSTREAM_UNAVAILABLE", "UPSTREAM_TIMEOUT"}


class Servers:
    """Server processes on free ports over one sandbox."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.urls: list[str] = []

    def start(self, sandbox: Sandbox, count: int, environment: dict[str, str]) -> None:
        for _ in range(count):
            port = free_port()
            self.urls.append(f"http://127.0.0.1:{port}")
            self.processes.append(start_server(sandbox, port, **environment))
        for url, process in zip(self.urls, self.processes, strict=True):
            wait_until_alive(url, process)

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)


@asynccontextmanager
async def running_servers(
    sandbox: Sandbox, count: int = PROCESSES, **environment: str
) -> AsyncIterator[tuple[Servers, httpx.AsyncClient]]:
    servers = Servers()
    limits = httpx.Limits(max_connections=64)
    try:
        servers.start(sandbox, count, environment)
        async with httpx.AsyncClient(
            trust_env=False, limits=limits, timeout=60
        ) as http:
            yield servers, http
    finally:
        servers.end()


async def test_four_processes_renew_an_expired_token_exactly_once(
    sandbox: Sandbox,
) -> None:
    async with running_servers(sandbox) as (servers, http):
        await sign_in(http, servers.urls[0])
        expire_tokens(sandbox)
        sandbox.forget()
        answers = await crowd(http, servers.urls)
    assert answers == [{"email": "first@example.com"}] * OPERATIONS
    assert renewals(sandbox) == 1


async def test_a_slow_renewal_is_waited_for_by_all_processes(sandbox: Sandbox) -> None:
    async with running_servers(sandbox) as (servers, http):
        await sign_in(http, servers.urls[0])
        expire_tokens(sandbox)
        sandbox.forget()
        sandbox.fail("conduit", "/authentication/renew", delay_s=5, times=1)
        answers = await crowd(http, servers.urls)
    assert answers == [{"email": "first@example.com"}] * OPERATIONS
    assert renewals(sandbox) == 1


async def test_a_process_killed_while_it_renews_is_succeeded_by_another(
    sandbox: Sandbox,
) -> None:
    """The kill comes before the upstream has worked, so the session can be saved."""
    async with running_servers(sandbox) as (servers, http):
        await sign_in(http, servers.urls[0])
        expire_tokens(sandbox)
        sandbox.forget()
        sandbox.fail("conduit", "/authentication/renew", hang=True, times=1)
        doomed = asyncio.create_task(ask(http, servers.urls[0]))
        await until(lambda: renewals(sandbox) == 1)
        servers.processes[0].kill()
        answers = await crowd(http, servers.urls[1:])
        with contextlib.suppress(httpx.HTTPError):
            await doomed
        later = await ask(http, servers.urls[1])
    assert all(
        answer == {"email": "first@example.com"} or answer in RETRYABLE
        for answer in answers
    )
    assert later == {"email": "first@example.com"}
    assert renewals(sandbox) == 2


async def crowd(http: httpx.AsyncClient, urls: list[str]) -> list[Any]:
    tasks = [ask(http, urls[n % len(urls)]) for n in range(OPERATIONS)]
    return await asyncio.gather(*tasks)


async def ask(http: httpx.AsyncClient, url: str) -> Any:
    """The viewer, or the code of the first error."""
    answer = (await http.post(f"{url}/graphql", json={"query": QUERY})).json()
    if "errors" in answer:
        return answer["errors"][0]["extensions"]["code"]
    return answer["data"]["viewer"]


async def sign_in(http: httpx.AsyncClient, url: str) -> None:
    """The cookie is for 127.0.0.1, so it goes to all processes."""
    http.base_url = httpx.URL(url)
    await Caller(http).sign_in("first")


def expire_tokens(sandbox: Sandbox) -> None:
    """Put access tokens into the vault whose time is over; nothing else changes."""
    vault = redis.Redis.from_url(sandbox.redis)
    for key in vault.scan_iter("vault:*"):
        record = json.loads(vault.get(key) or b"{}")
        head, claims, mac = record["accessToken"].split(".")
        payload = json.loads(base64.urlsafe_b64decode(claims + "=="))
        payload["exp"] = int(time.time()) - 10
        claims = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode()
        record["accessToken"] = f"{head}.{claims.rstrip('=')}.{mac}"
        vault.set(key, json.dumps(record), keepttl=True)
    vault.close()


def renewals(sandbox: Sandbox) -> int:
    return sum(path == "/authentication/renew" for _, _, path in sandbox.calls())


async def until(true: Any) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
