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


async def test_without_redis_nobody_waits_long_and_sending_never_fails() -> None:
    async with line("redis://127.0.0.1:1") as (broadcast, ear):
        broadcast.send("changes", b"lost")
        with pytest.raises(VaultUnavailableError):
            await broadcast.up()
        assert ear.heard == []


async def test_closing_says_what_is_still_waiting(sandbox: Sandbox) -> None:
    async with line(sandbox.redis) as (hearing, ear):
        await hearing.up()
        async with line(sandbox.redis) as (leaving, _):
            for n in range(100):
                leaving.send("changes", b"%d" % n)
        await until(lambda: len(ear.heard) == 100)
