"""graphql-transport-ws, corner by corner, against a server process."""

import asyncio
import os
import signal

import httpx
import pytest
from live_harness import NOTES, POSTS, create_note, socket
from processes_harness import Device, running_servers, sign_in
from websockets.exceptions import InvalidStatus

from harness import Sandbox


@pytest.fixture
async def device(http: httpx.AsyncClient, strict_url: str) -> Device:
    return await sign_in(http, strict_url)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "The message is not JSON."),
        ("[]", "A message is a JSON object."),
        (
            '{"type": "ping", "type": "complete"}',
            "A name stands twice in one JSON object.",
        ),
        ("[" * 1500, "The message is not JSON."),
        ('{"type": "start"}', "There is no message of this type."),
        ('{"type": "subscribe"}', "An id is a text of 1 to 128 characters."),
        (
            '{"type": "subscribe", "id": "1", "payload": {}}',
            "The parameter 'query' is missing.",
        ),
        ('{"type": "connection_init", "payload": 1}', "The payload must be a JSON"),
    ],
)
async def test_what_is_no_message_closes_with_4400(
    strict_url: str, text: str, reason: str
) -> None:
    async with socket(strict_url) as line:
        await line.line.send(text)
        code, told = await line.closed()
    assert code == 4400
    assert told.startswith(reason)


async def test_a_binary_message_closes_with_4400(strict_url: str) -> None:
    async with socket(strict_url) as line:
        await line.line.send(b"{}")
        assert await line.closed() == (4400, "Messages are text.")


async def test_a_message_above_the_limit_closes_with_1009(strict_url: str) -> None:
    async with socket(strict_url) as line:
        await line.line.send("x" * 3000)
        assert (await line.closed())[0] == 1009


async def test_subscribing_before_the_acknowledgement_closes_with_4401(
    strict_url: str, device: Device
) -> None:
    async with socket(strict_url, device) as line:
        await line.say(type="subscribe", id="1", payload={"query": NOTES})
        assert await line.closed() == (4401, "Unauthorized")


async def test_a_second_initialisation_closes_with_4429(
    strict_url: str, device: Device
) -> None:
    async with socket(strict_url, device) as line:
        await line.init()
        await line.say(type="connection_init")
        assert await line.closed() == (4429, "Too many initialisation requests")


async def test_an_id_in_use_closes_with_4409(strict_url: str, device: Device) -> None:
    async with socket(strict_url, device) as line:
        await line.init()
        await line.subscribe("same", NOTES)
        await line.say(type="subscribe", id="same", payload={"query": NOTES})
        assert await line.closed() == (4409, "Subscriber for same already exists")


async def test_silence_before_the_initialisation_closes_with_4408(
    strict_url: str,
) -> None:
    async with socket(strict_url) as line:
        assert await line.closed() == (4408, "Connection initialisation timeout")


async def test_a_socket_that_wants_nothing_is_closed(
    strict_url: str, device: Device
) -> None:
    async with socket(strict_url, device) as line:
        await line.init()
        assert await line.closed() == (1000, "No subscription for a while.")


async def test_another_subprotocol_closes_with_4406(strict_url: str) -> None:
    async with socket(strict_url, subprotocol="graphql-ws") as line:
        assert await line.closed() == (4406, "Speak graphql-transport-ws.")


@pytest.mark.parametrize("value", [None, "Bearer nonsense"])
async def test_nobody_signed_in_closes_with_4403(
    strict_url: str, value: str | None
) -> None:
    async with socket(strict_url) as line:
        payload = {"Authorization": value} if value else None
        await line.say(type="connection_init", payload=payload)
        assert await line.closed() == (4403, "Sign in first.")


async def test_a_cookie_that_was_signed_out_closes_with_4403(
    strict_url: str, device: Device
) -> None:
    await device.data(strict_url, "mutation { signOut { ok } }")
    async with socket(strict_url, device) as line:
        await line.say(type="connection_init")
        assert await line.closed() == (4403, "The session has ended.")


async def test_a_bearer_in_the_payload_takes_the_place_of_the_cookie(
    strict_url: str, http: httpx.AsyncClient, device: Device
) -> None:
    """Broken on purpose: with the cookie's session the first person's note is told."""
    second = await sign_in(http, strict_url, "second", bearer=True)
    async with socket(strict_url, device) as line:
        await line.init(second.headers)
        await line.subscribe("1", NOTES)
        await create_note(device, strict_url, "of the first")
        own = await create_note(second, strict_url, "of the second")
        assert (await line.event())["noteChanged"]["id"] == own


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example.com", 101),
        ("https://evil.example.com", 403),
        ("null", 403),
        ("own", 101),
    ],
)
async def test_pages_of_foreign_origins_are_refused_before_the_upgrade(
    strict_url: str, device: Device, origin: str, status: int
) -> None:
    sent = strict_url if origin == "own" else origin
    try:
        async with socket(strict_url, device, headers={"origin": sent}) as line:
            await line.init()
            found = 101
    except InvalidStatus as refused:
        found = refused.response.status_code
    assert found == status


async def test_another_path_is_refused(strict_url: str) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        async with socket(f"{strict_url}/elsewhere"):
            raise AssertionError("was accepted")


async def test_a_ping_is_answered_with_its_payload(strict_url: str) -> None:
    async with socket(strict_url) as line:
        await line.say(type="ping", payload={"n": 1})
        assert await line.hear() == {"type": "pong", "payload": {"n": 1}}
        await line.say(type="ping")
        assert await line.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ viewer { id } }", "BAD_USER_INPUT"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        (f"subscription {{ {'noteChanged { kind } ' * 900} }}", "QUERY_TOO_COMPLEX"),
    ],
)
async def test_what_is_no_sound_subscription_is_refused_and_the_socket_lives_on(
    url: str, first_device: Device, query: str, code: str
) -> None:
    async with socket(url, first_device) as line:
        await line.init()
        await line.say(type="subscribe", id="1", payload={"query": query})
        refused = await line.hear()
        await line.subscribe("1", NOTES)
        note_id = await create_note(first_device, url, "lives on")
        assert (await line.event())["noteChanged"]["id"] == note_id
    assert (refused["type"], refused["id"]) == ("error", "1")
    assert refused["payload"][0]["extensions"]["code"] == code
    assert refused["payload"][0]["extensions"]["requestId"]


async def test_a_completed_subscription_is_told_nothing_more_and_its_id_is_free(
    strict_url: str, device: Device
) -> None:
    async with socket(strict_url, device) as line:
        await line.init()
        await line.subscribe("1", NOTES)
        await line.say(type="complete", id="1")
        await line.subscribe("1", POSTS)
        await create_note(device, strict_url, "untold")
        assert await line.silence()


async def test_subscriptions_are_capped_per_socket_and_per_session(
    strict_url: str, device: Device
) -> None:
    async with socket(strict_url, device) as one, socket(strict_url, device) as two:
        await one.init()
        await two.init()
        for id in ("1", "2"):
            await one.subscribe(id, NOTES)
        await one.say(type="subscribe", id="3", payload={"query": NOTES})
        of_socket = await one.hear()
        await two.subscribe("1", NOTES)
        await two.say(type="subscribe", id="2", payload={"query": NOTES})
        of_session = await two.hear()
        await one.say(type="complete", id="1")
        await two.subscribe("3", NOTES)
        assert await two.silence(0.2)
    for refused, id in ((of_socket, "3"), (of_session, "2")):
        assert (refused["type"], refused["id"]) == ("error", id)
        code = refused["payload"][0]["extensions"]["code"]
        assert code == "TOO_MANY_SUBSCRIPTIONS"


async def test_sockets_are_capped_per_session(strict_url: str, device: Device) -> None:
    async with (
        socket(strict_url, device) as one,
        socket(strict_url, device) as two,
        socket(strict_url, device) as three,
        socket(strict_url, device) as four,
    ):
        for line in (one, two, three):
            await line.init()
        await four.say(type="connection_init")
        assert await four.closed() == (4429, "This session has 3 sockets open.")


async def test_a_subscriber_that_falls_behind_is_closed_with_1013(
    strict_url: str, device: Device, sandbox: Sandbox
) -> None:
    """While one batch is being read, more changes come than may wait."""
    async with socket(strict_url, device) as line:
        await line.init()
        await line.subscribe("1", NOTES)
        sandbox.fail("flux", "/notes", method="GET", delay_s=2)
        await asyncio.gather(
            *(create_note(device, strict_url, str(n)) for n in range(10))
        )
        assert await line.closed() == (1013, "Changes were missed.")


async def test_a_client_that_answers_no_ping_is_cut_off(
    strict_url: str, device: Device
) -> None:
    """It never reads, so it sees no ping. Not before its time, at most 1 s after it."""
    async with socket(strict_url, device) as line:
        await line.init()
        await line.subscribe("1", NOTES)
        line.line.transport.pause_reading()
        await asyncio.sleep(2.5)
        line.line.transport.resume_reading()
        assert await line.closed() == (1011, "keepalive ping timeout")


async def test_a_server_that_stops_tells_sockets_with_1012_and_does_not_wait(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    async with running_servers(sandbox, 1) as servers:
        device = await sign_in(http, servers.urls[0])
        async with socket(servers.urls[0], device) as line:
            await line.init()
            await line.subscribe("1", NOTES)
            os.kill(servers.processes[0].pid, signal.SIGTERM)
            assert (await line.closed(5))[0] == 1012
        await asyncio.to_thread(servers.processes[0].wait, 5)
        assert "Traceback" not in servers.log()
