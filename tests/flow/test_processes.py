"""Several server processes over one vault: one renewal, no lost session.

How each was tried stands in its doc string: the named line was taken out, the test was
seen to fail, the line was put back.
"""

import asyncio
import contextlib
import dataclasses
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from processes_harness import (
    RETRYABLE,
    crowd,
    expire_tokens,
    records,
    renewals,
    running_servers,
    sign_in,
    until,
)
from processes_harness import client as http_client

from clients.http import CallScope
from harness import Caller, Sandbox
from sandbox.launch import ValkeyServer
from server.resources import Resources

PROCESSES = 4
OPERATIONS = 200
FIRST = {"email": "first@example.com"}
RENEW = "/authentication/renew"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as http:
        yield http


async def test_four_processes_renew_an_expired_token_exactly_once(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Tried without winning the lease (`_win`): 3 renewals."""
    async with running_servers(sandbox, PROCESSES) as servers:
        device = await sign_in(http, servers.urls[0])
        expire_tokens(sandbox)
        sandbox.forget()
        answers = await crowd(device, servers.urls, OPERATIONS)
    assert answers == [FIRST] * OPERATIONS
    assert renewals(sandbox) == 1


async def test_a_slow_renewal_is_waited_for_by_all_processes(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Tried without extending the lease (2 s long, the renewal 5): 2 renewals."""
    async with running_servers(sandbox, PROCESSES) as servers:
        device = await sign_in(http, servers.urls[0])
        expire_tokens(sandbox)
        sandbox.forget()
        sandbox.fail("conduit", RENEW, delay_s=5, times=1)
        answers = await crowd(device, servers.urls, OPERATIONS)
    assert answers == [FIRST] * OPERATIONS
    assert renewals(sandbox) == 1


async def test_a_process_killed_while_it_renews_is_succeeded_by_another(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """The kill comes before the upstream has worked, so the session can be saved.

    The upstream does not notice it and works all the same, later: then it must find the
    refresh token used by who came after, so the lease of the dead must be shorter.

    Tried with a lease of 6 s: the session is lost, all are told to sign in.
    """
    async with running_servers(sandbox, PROCESSES) as servers:
        device = await sign_in(http, servers.urls[0])
        expire_tokens(sandbox)
        sandbox.forget()
        sandbox.fail("conduit", RENEW, delay_s=5, times=1)
        doomed = asyncio.create_task(device.viewer(servers.urls[0]))
        await until(lambda: renewals(sandbox) == 1)
        await asyncio.sleep(1)
        servers.processes[0].kill()
        answers = await crowd(device, servers.urls[1:], OPERATIONS)
        with contextlib.suppress(httpx.HTTPError):
            await doomed
        await asyncio.sleep(3)  # the upstream gets to the dead one's request
        later = [await device.viewer(url) for url in servers.urls[1:]]
    assert all(answer == FIRST or answer in RETRYABLE for answer in answers)
    assert later == [FIRST] * (PROCESSES - 1)
    assert renewals(sandbox) == 2


async def test_a_kill_between_the_upstreams_answer_and_the_write_is_told_clearly(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """The one window that nobody can heal: the only copy of the new pair is gone.

    The upstream has worked, its answer is on the way. What is asked of us then: no
    error that says "try again" for ever, but that the person must sign in, for all
    processes alike; one vain renewal each; and a new sign-in puts everything right.
    `test_the_window_that_a_kill_cannot_heal_is_short` measures how long it is open.

    Tried without ever giving up: 200 times UPSTREAM_TIMEOUT, again and again.
    """
    async with running_servers(sandbox, PROCESSES) as servers:
        device = await sign_in(http, servers.urls[0])
        expire_tokens(sandbox)
        sandbox.forget()
        sandbox.fail("conduit", RENEW, after="after", delay_s=3, times=1)
        doomed = asyncio.create_task(device.viewer(servers.urls[0]))
        await until(lambda: renewals(sandbox) == 1)
        await asyncio.sleep(0.5)
        servers.processes[0].kill()
        answers = await crowd(device, servers.urls[1:], OPERATIONS)
        with contextlib.suppress(httpx.HTTPError):
            await doomed
        again = await sign_in(http, servers.urls[1])
        healed = await again.viewer(servers.urls[2])
    assert answers == ["UNAUTHENTICATED"] * OPERATIONS
    assert renewals(sandbox) <= PROCESSES
    assert len(records(sandbox)) == 1
    assert healed == FIRST


async def test_the_window_that_a_kill_cannot_heal_is_short(
    app: Any, first: Caller, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the upstream's answer in our hands to the answer of the vault's write.

    Measured over real sockets to the stand-in and a real Valkey, 30 renewals.
    Tried with 50 ms of sleep before the write: the median is 57 ms.
    """
    resources: Resources = app.resources
    answered, windows = [0.0], []
    authentication, vault = resources.keeper._authentication, resources.vault
    renew, swap = authentication.renew, vault.swap

    async def timed_renew(token: str, scope: CallScope) -> object:
        pair = await renew(token, scope)
        answered[0] = time.perf_counter()
        return pair

    async def timed_swap(*arguments: Any) -> object:
        record = await swap(*arguments)
        windows.append(time.perf_counter() - answered[0])
        return record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authentication, "renew", timed_renew)
        patch.setattr(vault, "swap", timed_swap)
        for _ in range(30):
            expire_tokens(sandbox)
            assert await first.data("{ viewer { email } }") == {"viewer": FIRST}
    assert len(windows) == 30
    median_ms = statistics.median(windows) * 1000
    with capsys.disabled():
        print(f" [window: median {median_ms:.2f} ms, most {max(windows) * 1000:.2f}]")
    assert median_ms < 20


async def test_a_redis_that_restarts_while_a_renewal_runs_loses_no_session(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Redis is killed hard, is away when the upstream answers, and comes back.

    With persistence (`appendonly yes`): one without has forgotten all sessions, and
    then everybody must sign in; that is the operator's choice (docs/sessions.md).

    Tried without `patiently`: the new pair is lost, and with it the session.
    """
    valkey = ValkeyServer(append_only=True)
    await valkey.start()
    own = dataclasses.replace(sandbox, redis=valkey.url)
    try:
        async with running_servers(own, PROCESSES) as servers:
            device = await sign_in(http, servers.urls[0])
            expire_tokens(own)
            sandbox.forget()
            sandbox.fail("conduit", RENEW, after="after", delay_s=1, times=1)
            asking = asyncio.create_task(crowd(device, servers.urls, OPERATIONS))
            await until(lambda: renewals(sandbox) == 1)
            os.kill(valkey.pid, signal.SIGKILL)
            await valkey.halt()
            await asyncio.sleep(2)
            await valkey.start()
            answers = await asking
            later = [await device.viewer(url) for url in servers.urls]
    finally:
        await valkey.stop()
    assert all(answer == FIRST or answer in RETRYABLE for answer in answers)
    assert later == [FIRST] * PROCESSES
    assert renewals(sandbox) <= 2
