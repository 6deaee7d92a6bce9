"""Clients that are slow on purpose: each is cut off by a time-out of its own."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import uvicorn
from serving import served
from starlette.types import Receive, Scope, Send

from server import protocols
from server.protocols import ConnectionRules, ServingConfig, StreamingHTTPProtocol

BOUND_S = 0.6
LAST_QUESTION = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HEAD = b"POST /graphql HTTP/1.1\r\nHost: a\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers `ok` once it has the whole body."""
    while (await receive()).get("more_body", False):
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def config_of(app: object, rules: ConnectionRules) -> ServingConfig:
    config = ServingConfig(
        app,  # type: ignore[arg-type]
        http=StreamingHTTPProtocol,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=1,
    )
    config.rules = rules
    return config


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = config_of(app, ConnectionRules(head_s=BOUND_S))
    async with served(app, config=config) as url:
        yield int(url.rsplit(":", 1)[1])


@asynccontextmanager
async def connected(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def silent(writer: asyncio.StreamWriter) -> None:
    """Connects, and that is all."""


async def half_a_head(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)


async def a_byte_at_a_time(writer: asyncio.StreamWriter) -> None:
    for byte in HEAD * 2:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def a_second_head_that_stops(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + HEAD)


async def asks_once(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


async def line_ends_after_an_answer(writer: asyncio.StreamWriter) -> None:
    await asks_once(writer)
    await asyncio.sleep(0.3)
    writer.write(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("talk", "told", "within_s"),
    [
        (silent, b"", BOUND_S),
        (half_a_head, b"408", BOUND_S),
        (a_byte_at_a_time, b"408", BOUND_S),
        (a_second_head_that_stops, b"408", BOUND_S),
        (asks_once, b"200", 1.0),
        (line_ends_after_an_answer, b"200", 1.0),
    ],
)
async def test_it_is_cut_off_and_told_why_if_it_said_anything(
    port: int, talk: Talk, told: bytes, within_s: float
) -> None:
    """Tried without `_expect_head` in `connection_made`: nobody is ever cut off."""
    async with connected(port) as (reader, writer):
        started = time.monotonic()
        talking = asyncio.ensure_future(talk(writer))
        async with asyncio.timeout(10):
            heard = await reader.read()
        elapsed = time.monotonic() - started
        talking.cancel()
    assert told in heard
    assert within_s * 0.9 <= elapsed < within_s + 2


async def test_a_request_in_time_is_answered_however_often(port: int) -> None:
    """The bound is for each head, not for the connection."""
    async with connected(port) as (reader, writer):
        for _ in range(5):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == b"ok"
            await asyncio.sleep(BOUND_S / 3)


ASKS = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ASKS_SLOWLY = ASKS.replace(b"/ ", b"/slow ")


@pytest.mark.parametrize("ahead", [0, 5, len(ASKS_SLOWLY)])
async def test_an_answer_may_take_longer_than_a_connection_may_be_idle(
    ahead: int,
) -> None:
    """Of the second request, which may have begun before the first is answered.

    Tried without `_idle_since` set back, and without `_in_head` looked at: the second
    is not answered.
    """

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1.5 if scope["path"] == "/slow" else 0.1)
        await app(scope, receive, send)

    config = config_of(slow, ConnectionRules())
    async with (
        served(slow, config=config) as url,
        connected(int(url.rsplit(":", 1)[1])) as (reader, writer),
    ):
        for said in (ASKS + ASKS_SLOWLY[:ahead], ASKS_SLOWLY[ahead:]):
            writer.write(said)
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"ok"


async def test_a_body_that_still_comes_after_the_answer_keeps_its_connection() -> None:
    """Tried with `on_body` telling nothing of it: cut off in the middle of the body."""

    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        unread = {"type": "http.request", "body": b"", "more_body": False}

        async def nothing() -> dict[str, object]:
            return unread

        await app(scope, nothing, send)

    config = config_of(hasty, ConnectionRules())
    async with (
        served(hasty, config=config) as url,
        connected(int(url.rsplit(":", 1)[1])) as (reader, writer),
    ):
        writer.write(HEAD + b"Content-Length: 4\r\n\r\n")
        for rest in (b"a", b"b", b"c", b"d" + ASKS):
            await asyncio.sleep(0.4)
            writer.write(rest)
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"ok"


async def test_more_connections_than_there_is_room_for_are_refused_at_once() -> None:
    """Tried without the bound: the third waits among the others."""
    config = config_of(app, ConnectionRules(most=2))
    async with served(app, config=config) as url:
        port = int(url.rsplit(":", 1)[1])
        async with connected(port) as (reader, writer), connected(port):
            async with connected(port) as (refused, _):
                assert (await refused.read()).startswith(b"HTTP/1.1 503")
            writer.write(LAST_QUESTION)
            assert (await reader.read()).endswith(b"ok")
            async with connected(port) as (again, fourth):
                fourth.write(LAST_QUESTION)
                assert (await again.read()).endswith(b"ok")


async def test_who_does_not_read_its_answer_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tried without `_watch_reader`: the application waits for ever."""
    monkeypatch.setattr(protocols, "SLOW_S", 0.3)
    ended = asyncio.Event()

    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            body = bytes(65_536)
            await send({"type": "http.response.body", "body": body, "more_body": True})
        ended.set()

    config = config_of(flood, ConnectionRules())
    async with served(flood, config=config) as url:
        line = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(10):
            await ended.wait()  # what is sent to nobody goes nowhere
        with line:
            assert (
                sum(map(len, iter(partial(line.recv, 1_000_000), b""))) < 400 * 65_536
            )


def test_the_protocol_still_stands_on_what_uvicorn_calls() -> None:
    """Its hooks are no public interface: a new uvicorn must have them all."""
    for name in (
        "on_message_begin",
        "on_header",
        "on_headers_complete",
        "on_response_complete",
        "send_400_response",
        "_should_upgrade",
        "_unsupported_upgrade_warning",
        "timeout_keep_alive_handler",
    ):
        assert hasattr(uvicorn.protocols.http.httptools_impl.HttpToolsProtocol, name)
