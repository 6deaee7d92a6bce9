"""Calls to an upstream, counted in a real Redis by several processes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from clients.budget import Budget, Grant, Rate
from clients.errors import RateLimitedError
from sandbox.launch import ValkeyServer
from session.call_ledger import RedisLedger
from session.redis_connection import RedisCommands, RedisSettings, connect

RATE = Rate(20, 1)
LONG = Rate(100, 60)


@pytest.fixture
async def redis(
    valkey_server: ValkeyServer, valkey: object
) -> AsyncIterator[RedisCommands]:
    client = connect(RedisSettings(url=valkey_server.url))
    yield client
    await client.aclose()


def ledger(
    redis: RedisCommands, rate: Rate = RATE, name: str = "flux x"
) -> RedisLedger:
    return RedisLedger(redis, name, rate, processes=2)


async def test_all_processes_spend_one_budget(redis: RedisCommands) -> None:
    one, two = ledger(redis), ledger(redis)
    assert (await one.ask("", 12, 0)).tokens == 12
    found = await two.ask("", 12, 0)
    assert found.tokens == 8
    assert len(found.waits_s) == 20
    assert list(found.waits_s) == sorted(found.waits_s)
    assert 0 < found.waits_s[0] <= RATE.span_s
    assert (await one.ask("", 1, 0)).tokens == 0
    await asyncio.sleep(found.waits_s[0] + 0.01)
    assert (await one.ask("", 1, 0)).tokens == 1


async def test_upstreams_and_addresses_are_counted_apart(redis: RedisCommands) -> None:
    assert (await ledger(redis).ask("", 20, 0)).tokens == 20
    assert (await ledger(redis).ask("192.0.2.1", 20, 0)).tokens == 20
    assert (await ledger(redis, name="flux y").ask("", 20, 0)).tokens == 20


async def test_more_than_is_needed_is_given_only_out_of_plenty(
    redis: RedisCommands,
) -> None:
    book = ledger(redis, LONG)
    assert (await book.ask("", 1, 10)).tokens == 1 + 9
    assert (await book.ask("", 60, 10)).tokens == 60 + 3
    assert (await book.ask("", 20, 10)).tokens == 20
    assert (await book.ask("", 20, 10)).tokens == 7


async def test_what_was_not_used_can_be_had_again(redis: RedisCommands) -> None:
    one, two = ledger(redis, LONG), ledger(redis, LONG)
    grant = await one.ask("", 90, 0)
    await asyncio.sleep(0.01)
    await two.ask("", 10, 0)
    await one.give_back("", grant, 5)
    assert (await two.ask("", 10, 0)).tokens == 5


@pytest.mark.parametrize(("said", "waited"), [(7.0, 7.0), (None, LONG.span_s)])
async def test_a_refusal_empties_it_for_all(
    redis: RedisCommands, said: float | None, waited: float
) -> None:
    one, two = ledger(redis, LONG), ledger(redis, LONG)
    await one.ask("", 3, 0)
    await one.exhaust("", said)
    found = await two.ask("", 1, 0)
    assert found.tokens == 0
    assert found.waits_s[0] == pytest.approx(waited, abs=0.5)
    # Those given out by ourselves are not forgotten before their time.
    assert found.waits_s[-1] == pytest.approx(LONG.span_s, abs=0.5)


async def test_without_any_grant_a_refusal_lasts_a_window(redis: RedisCommands) -> None:
    await ledger(redis, LONG).exhaust("", None)
    found = await ledger(redis, LONG).ask("", 1, 0)
    assert found.waits_s[0] == pytest.approx(LONG.window_s, abs=0.5)


async def test_nothing_is_left_in_redis_and_no_address_is_written_there(
    redis: RedisCommands,
) -> None:
    await ledger(redis).ask("192.0.2.77", 1, 0)
    [name] = await redis.execute_command("KEYS", "*")  # type: ignore[misc]
    assert b"192.0.2" not in name
    left_ms = await redis.execute_command("PTTL", name)
    assert 0 < left_ms <= RATE.span_s * 1000  # type: ignore[operator]


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:9/0", "redis+cluster://127.0.0.1:9"]
)
async def test_without_redis_each_process_spends_its_own_share(url: str) -> None:
    nobody = connect(RedisSettings(url=url))
    book = ledger(nobody)
    assert (await book.ask("", 15, 3)).tokens == 10
    assert (await book.ask("", 1, 0)).tokens == 0
    await nobody.aclose()


async def test_two_budgets_over_one_redis_never_pass_the_limit(
    redis: RedisCommands,
) -> None:
    """By the clock of Redis, in which nobody's delays count."""
    given: list[int] = []

    class Noted(RedisLedger):
        async def ask(self, payer: str, wanted: int, spare: int) -> Grant:
            grant = await super().ask(payer, wanted, spare)
            assert grant.stamp is not None
            given.extend([grant.stamp] * grant.tokens)
            return grant

    pots = [
        Budget("flux", RATE, Noted(redis, "flux x", RATE, processes=2)) for _ in "12"
    ]
    await asyncio.gather(*(pots[n % 2].take(timeout_s=8) for n in range(60)))
    given.sort()
    assert len(given) >= 60
    assert all(
        later - earlier >= RATE.span_s * 1000
        for earlier, later in zip(given, given[RATE.calls :], strict=False)
    )
    with pytest.raises(RateLimitedError):
        await asyncio.gather(*(pots[0].take(timeout_s=0.6) for _ in range(25)))
    for pot in pots:
        await pot.aclose()
