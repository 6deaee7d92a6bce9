"""Subscriptions as server-sent events, against a server process."""

import asyncio
import os
import signal

import httpx
import pytest
from live_harness import NOTES, create_note, stream
from processes_harness import Device, running_servers, sign_in

from harness import Sandbox

SSE = {"accept": "text/event-stream"}


async def test_events_are_told_by_post(url: str, first_device: Device) -> None:
    async with stream(first_device, url, NOTES) as events:
        headers = events.response.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["cache-control"] == "no-store, no-transform"
        note_id = await create_note(first_device, url, "one")
        assert (await events.data())["noteChanged"]["id"] == note_id


async def test_an_event_source_of_our_own_page_may_use_get(
    url: str, first_device: Device
) -> None:
    """It can send no header, so the browser's word for whose page it is must do."""
    headers = {**first_device.headers, **SSE, "sec-fetch-site": "same-origin"}
    first_device.http.cookies.clear()
    async with first_device.http.stream(
        "GET", f"{url}/graphql/stream", params={"query": NOTES}, headers=headers
    ) as response:
        lines = response.aiter_lines()
        await asyncio.sleep(0.3)
        await create_note(first_device, url, "by GET")
        async with asyncio.timeout(5):
            found = [line async for line in _until_data(lines)]
    assert found[-1].startswith('data: {"data":{"noteChanged"')


async def test_a_get_that_a_foreign_page_could_send_is_refused(
    url: str, first_device: Device
) -> None:
    headers = {**first_device.headers, **SSE, "sec-fetch-site": "cross-site"}
    answer = await first_device.http.get(
        f"{url}/graphql/stream", params={"query": NOTES}, headers=headers
    )
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["extensions"]["code"] == "PREFLIGHT_REQUIRED"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        (SSE, 401, "UNAUTHENTICATED"),
        ({"accept": "application/json"}, 406, "NOT_ACCEPTABLE"),
        ({**SSE, "origin": "https://evil.example"}, 403, "ORIGIN_NOT_ALLOWED"),
    ],
)
async def test_what_may_not_listen_is_refused_with_a_status(
    url: str, http: httpx.AsyncClient, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await http.post(
        f"{url}/graphql/stream", json={"query": NOTES}, headers=headers
    )
    assert answer.status_code == status
    assert answer.json()["errors"][0]["extensions"]["code"] == code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ viewer { id } }", "BAD_USER_INPUT"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_what_is_no_sound_subscription_is_told_as_an_event_and_ends(
    url: str, first_device: Device, query: str, code: str
) -> None:
    async with stream(first_device, url, query) as events:
        name, payload = await events.event()
        assert name == "next"
        assert payload["errors"][0]["extensions"]["code"] == code
        assert await events.event() == ("complete", None)
        assert await events.event() == ("", None)


async def test_streams_count_among_the_subscriptions_of_the_session(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """What a client that has gone held is free again."""
    async with running_servers(sandbox, 1, SUBSCRIPTIONS_PER_SESSION="1") as servers:
        url = servers.urls[0]
        device = await sign_in(http, url)
        async with stream(device, url, NOTES), stream(device, url, NOTES) as surplus:
            assert surplus.response.status_code == 429
        async with asyncio.timeout(5):
            while True:
                async with stream(device, url, NOTES) as again:
                    if again.response.status_code == 200:
                        break


async def test_a_silent_stream_is_kept_alive_by_comments(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    async with running_servers(sandbox, 1, LIVE_PING_S="0.2") as servers:
        device = await sign_in(http, servers.urls[0])
        async with stream(device, servers.urls[0], NOTES) as events:
            async with asyncio.timeout(5):
                comments = [await anext(events.lines) for _ in range(6)]
    assert comments == [":", ""] * 3


async def test_a_server_that_stops_cuts_streams_without_complete_and_does_not_wait(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Without `complete` the reference client connects anew, to another process."""
    async with running_servers(sandbox, 1) as servers:
        device = await sign_in(http, servers.urls[0])
        async with stream(device, servers.urls[0], NOTES) as events:
            os.kill(servers.processes[0].pid, signal.SIGTERM)
            assert await events.event() == ("", None)
        await asyncio.to_thread(servers.processes[0].wait, 5)
        assert "Traceback" not in servers.log()


async def _until_data(lines):  # type: ignore[no-untyped-def]
    async for line in lines:
        yield line
        if line.startswith("data:"):
            return
