"""What a session costs a request at Redis, counted by Redis itself."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import redis
from processes_harness import Device, client, running_servers, sign_in

from harness import Sandbox

READ = "{ viewer { email } posts(first: 1) { nodes { title } } notes { totalCount } }"
READY = "{ __typename }"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as http:
        yield http


@pytest.fixture
def cost(sandbox: Sandbox) -> Callable[[], tuple[int, dict[str, int]]]:
    """Round trips and commands since the last look, the look itself left out.

    A round trip is one reading of a socket by Redis: commands sent together are one.
    """
    vault = redis.Redis.from_url(sandbox.redis)
    before: dict[str, int] = {}

    def look() -> tuple[int, dict[str, int]]:
        stats = vault.info("commandstats")
        now = {name.removeprefix("cmdstat_"): n["calls"] for name, n in stats.items()}
        now["READS"] = vault.info("stats")["total_reads_processed"]
        spent = {name: n - before.get(name, 0) for name, n in now.items()}
        before.clear()
        before.update(now)
        # A look is INFO twice, the last counting itself; idle lines send a PING.
        pings = spent.pop("ping", 0)
        reads = spent.pop("READS") - spent.pop("info", 0) - pings
        return reads, {name: n for name, n in spent.items() if n}

    look()
    return look


async def test_a_signed_in_read_costs_one_round_trip_and_an_anonymous_one_none(
    sandbox: Sandbox,
    http: httpx.AsyncClient,
    cost: Callable[[], tuple[int, dict[str, int]]],
) -> None:
    """However many fields need a token, of Conduit and of Flux.

    Tried without the shared read in `ConduitAuth.record`: two round trips.
    """
    async with running_servers(sandbox, 1) as servers:
        [url] = servers.urls
        device = await sign_in(http, url)
        cost()
        await device.data(url, READ)
        assert cost() == (1, {"get": 1, "hget": 1})
        for _ in range(3):
            await device.data(url, READ)
            assert cost() == (1, {"get": 1})
        anonymous = Device(http)
        await anonymous.data(url, READY)
        await anonymous.data(url, "{ viewer { email } }")
        await anonymous.ask(url, READ)
        assert cost() == (0, {})
        await device.data(url, READY)
        assert cost() == (0, {})


async def test_a_bearer_costs_the_same(
    sandbox: Sandbox,
    http: httpx.AsyncClient,
    cost: Callable[[], tuple[int, dict[str, int]]],
) -> None:
    async with running_servers(sandbox, 1) as servers:
        [url] = servers.urls
        device = await sign_in(http, url, bearer=True)
        cost()
        await device.data(url, READ)
        assert cost() == (1, {"get": 1, "hget": 1})
