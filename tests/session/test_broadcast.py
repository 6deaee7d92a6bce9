"""Words between processes over a real Valkey, and what becomes of them when it goes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import redis

from clients.errors import VaultUnavailableError
from harness import Sandbox
from session.broadcast import (
    LONGEST_WORD_BYTES,
    Listener,
    RedisBroadcast,
    redis_broadcast,
)
from session.redis_connection import RedisSettings


@dataclass(slots=True)
class Ear:
    heard: list[bytes] = field(default_factory=list)
    losses: int = 0

    def lose(self) -> None:
        self.losses += 1

    @property
    def listener(self) -> Listener:
        return Listener(self.heard.append, self.lose)


@asynccontextmanager
async def line(url: str) -> AsyncIterator[tuple[RedisBroadcast, Ear]]:
    """A process of its own, as far as Redis can tell."""
    broadcast, ear = redis_broadcast(RedisSettings(url=url)), Ear()
    broadcast.listen("changes", ear.listener)
    try:
        yield broadcast, ear
    finally:
        await broadcast.aclose()


async def until(true: Callable[[], object], limit_s: float = 10) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_all_processes_hear_every_word_in_order(sandbox: Sandbox) -> None:
    words = [b"%d" % n for n in range(500)]
    async with line(sandbox.redis) as (one, own), line(sandbox.redis) as (two, other):
        await one.up()
        await two.up()
        for word in words:
            one.send("changes", word)
        one.send("ends", b"of another topic")
        await until(lambda: len(other.heard) == len(own.heard) == 500)
        assert own.heard == other.heard == words
        assert own.losses == other.losses == 0


async def test_a_word_that_is_too_long_is_not_said(sandbox: Sandbox) -> None:
    async with line(sandbox.redis) as (broadcast, ear):
        await broadcast.up()
        broadcast.send("changes", b"x" * (LONGEST_WORD_BYTES + 1))
        broadcast.send("changes", b"short")
        await until(lambda: ear.heard)
        assert ear.heard == [b"short"]


async def test_a_line_that_was_cut_comes_back_and_tells_that_words_were_lost(
    sandbox: Sandbox,
) -> None:
    """Broken on purpose: without `lost` a subscriber would go on with a gap."""
    async with line(sandbox.redis) as (broadcast, ear):
        await broadcast.up()
        with redis.Redis.from_url(sandbox.redis) as admin:
            admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: ear.losses == 1)
        broadcast.send("changes", b"again")
        await until(lambda: ear.heard)
        assert ear.heard == [b"again"]


async def test_without_redis_nobody_waits_long_and_sending_never_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with line("redis://127.0.0.1:1") as (broadcast, ear):
        broadcast.send("changes", b"lost")
        await until(lambda: "word lost" in caplog.messages)
        broadcast.send("changes", b"refused at once, as it failed just now")
        assert caplog.messages.count("word lost") == 2
        with pytest.raises(VaultUnavailableError):
            await broadcast.up()
        assert ear.heard == []


async def never_answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.read(-1)
    writer.close()


async def test_leaving_waits_no_longer_than_it_may_for_a_redis_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("session.broadcast.UP_S", 0.1)
    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        broadcast = redis_broadcast(RedisSettings(url=f"redis://{host}:{port}"))
        broadcast.send("changes", b"lost")
        started = time.monotonic()
        await broadcast.aclose()
        assert time.monotonic() - started < 1
    assert caplog.messages.count("word lost") == 1


async def test_closing_says_what_is_still_waiting(sandbox: Sandbox) -> None:
    async with line(sandbox.redis) as (hearing, ear):
        await hearing.up()
        async with line(sandbox.redis) as (leaving, _):
            for n in range(100):
                leaving.send("changes", b"%d" % n)
        await until(lambda: len(ear.heard) == 100)


class FakeLine:
    """A Redis whose lines say what a test gives; each line has a script of its own."""

    def __init__(self, *scripts: "Script") -> None:
        self.scripts = list(scripts)
        self.said: list[tuple[object, ...]] = []

    def pubsub(self) -> "FakePubSub":
        return FakePubSub(self.scripts.pop(0))

    async def execute_command(self, *args: object) -> object:
        await asyncio.sleep(0)
        self.said.append(args)
        if args[2] == b"1":
            raise redis.ConnectionError("gone")
        return 0

    async def aclose(self) -> None: ...


Script = AsyncIterator[dict[str, object]]


class FakePubSub:
    def __init__(self, script: Script) -> None:
        self.script = script

    async def subscribe(self, *channels: str) -> None: ...

    async def ping(self) -> None: ...

    async def get_message(self, *, timeout: float) -> dict[str, object]:
        return await anext(self.script)

    async def aclose(self) -> None: ...


async def opened_after(
    opening: asyncio.Event, then: Callable[[], object]
) -> AsyncIterator[dict[str, object]]:
    await opening.wait()
    for topic in ("changes", "ends"):
        yield {"type": "subscribe", "channel": b"mainstem:live:" + topic.encode()}
    then()
    await asyncio.Event().wait()


async def test_what_redis_py_has_to_say_is_said_in_order_whatever_gets_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = FakeLine()
    broadcast = RedisBroadcast(client)  # type: ignore[arg-type]  # only what is needed
    for word in (b"0", b"1", b"2"):
        broadcast.send("changes", word)
    await broadcast.aclose()
    assert [args[2] for args in client.said] == [b"0", b"1", b"2"]
    assert caplog.messages == ["word lost"]


async def test_a_line_that_fails_in_an_unforeseen_way_is_opened_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without it nobody in this process would hear anything any more, or of it."""
    at_once, ear = asyncio.Event(), Ear()
    at_once.set()

    def fail() -> None:
        raise RuntimeError("not foreseen")

    client = FakeLine(opened_after(at_once, fail), opened_after(at_once, bool))
    broadcast = RedisBroadcast(client)  # type: ignore[arg-type]  # only what is needed
    broadcast.listen("changes", ear.listener)
    await broadcast.up()
    await until(lambda: ear.losses == 1)
    await broadcast.up()
    await broadcast.aclose()
    assert "not foreseen" in caplog.text


async def test_who_went_on_without_the_line_hears_when_it_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was said between is missed as after a cut, though nothing was cut."""
    monkeypatch.setattr("session.broadcast.UP_S", 0.01)
    opening, ear = asyncio.Event(), Ear()
    broadcast = RedisBroadcast(FakeLine(opened_after(opening, bool)))  # type: ignore[arg-type]
    broadcast.listen("ends", ear.listener)
    with pytest.raises(VaultUnavailableError):
        await broadcast.up()
    opening.set()
    await until(lambda: broadcast._is_up.is_set())
    assert ear.losses == 1
    await broadcast.aclose()
