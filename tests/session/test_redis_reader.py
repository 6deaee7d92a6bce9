"""Reads sent together over one connection: whose answer is whose, and every failure.

Against a real Valkey, on both event loops; a server of the test's own only where a real
one cannot be brought to say it.
"""

import asyncio
import contextlib
import math
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from clients_tls import Authority, tls_server
from redis import Redis

from clients.errors import UpstreamTimeoutError, VaultUnavailableError
from sandbox.launch import ValkeyServer
from session import redis_reader
from session.outage import Outage
from session.redis_connection import RedisSettings, connect, single_server
from session.redis_reader import RedisReader

NewReader = Callable[..., RedisReader]
SILENCE = b"no answer at all"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def new_reader(valkey_server: ValkeyServer) -> AsyncIterator[NewReader]:
    opened: list[tuple[RedisReader, Any]] = []

    def make(url: str | None = None, **settings: Any) -> RedisReader:
        client = connect(RedisSettings(url=url or valkey_server.url, **settings))
        pool = single_server(client)
        assert pool is not None
        opened.append((RedisReader(pool, Outage()), client))
        return opened[-1][0]

    yield make
    for reader, client in opened:
        await reader.aclose()
        await client.aclose()


async def get(
    reader: RedisReader, name: str, *, deadline: float = math.inf
) -> bytes | None:
    found: bytes | None = await reader.ask(
        "GET", name, convert=lambda value: value, deadline=deadline
    )
    return found


def fill(valkey: "Redis[bytes]", count: int) -> None:
    valkey.mset({f"name-{n}": f"value-{n}" * (n % 50 + 1) for n in range(count)})


# -- whose answer is whose


async def test_answers_stay_with_their_questions_whoever_is_cancelled(
    new_reader: NewReader, valkey: "Redis[bytes]"
) -> None:
    fill(valkey, 100)
    reader, chance = new_reader(), random.Random(7)  # noqa: S311 - no secret
    answered = 0

    async def read(n: int) -> None:
        nonlocal answered
        await asyncio.sleep(chance.random() / 500)
        expected = f"value-{n}" * (n % 50 + 1) if n < 100 else None
        found = await get(reader, f"name-{n}")
        assert found == (expected.encode() if expected else None)
        answered += 1

    for _ in range(20):
        reading = [asyncio.create_task(read(chance.randrange(110))) for _ in range(100)]
        for task in chance.sample(reading, 40):
            await asyncio.sleep(chance.random() / 20_000)
            task.cancel()
        found = await asyncio.gather(*reading, return_exceptions=True)
        assert {type(one) for one in found} <= {type(None), asyncio.CancelledError}
    assert 1200 <= answered <= 2000


async def test_what_is_asked_in_one_turn_goes_out_at_once(
    new_reader: NewReader, valkey: "Redis[bytes]"
) -> None:
    """Tried with a write for each question: three reads of the socket on asyncio."""
    fill(valkey, 60)
    reader = new_reader()
    await get(reader, "name-0")
    before = valkey.info("stats")["total_reads_processed"]
    await asyncio.gather(*(get(reader, f"name-{n}") for n in range(60)))
    after = valkey.info("stats")["total_reads_processed"]
    assert after - before - 1 == 1  # one is for asking


async def test_one_connection_is_enough_for_everybody(
    new_reader: NewReader, valkey: "Redis[bytes]"
) -> None:
    fill(valkey, 9)
    before = valkey.info("stats")["total_connections_received"]
    reader = new_reader()
    await asyncio.gather(*(get(reader, f"name-{n % 9}") for n in range(500)))
    assert valkey.info("stats")["total_connections_received"] - before == 1


async def test_an_answer_that_nobody_asked_for_ends_the_connection(
    new_reader: NewReader,
) -> None:
    async with playing([b"$5\r\nfirst\r\n$5\r\nstray\r\n", b"$6\r\nsecond\r\n"]) as url:
        reader = new_reader(url)
        assert await get(reader, "a") == b"first"
        assert await get(reader, "b") == b"second"


async def test_what_is_no_answer_ends_the_connection(new_reader: NewReader) -> None:
    async with playing([b"HTTP/1.1 400 Bad Request\r\n", b"?\r\n"]) as url:
        with pytest.raises(VaultUnavailableError):
            await get(new_reader(url), "name-0")


# -- failures


async def test_questions_on_a_broken_connection_are_asked_again(
    new_reader: NewReader, valkey: "Redis[bytes]"
) -> None:
    """Tried without: the reads of that moment fail."""
    fill(valkey, 20)
    reader = new_reader()
    for _ in range(20):
        await get(reader, "name-0")
        reading = [asyncio.create_task(get(reader, f"name-{n}")) for n in range(20)]
        await asyncio.sleep(0)
        valkey.client_kill_filter(_type="normal", skipme=True)
        found = await asyncio.gather(*reading)
        assert found == [(f"value-{n}" * (n + 1)).encode() for n in range(20)]


async def test_a_question_that_breaks_every_connection_is_asked_twice_at_most(
    new_reader: NewReader,
) -> None:
    async with playing([b""] * 9) as url:
        started = time.monotonic()
        with pytest.raises(VaultUnavailableError):
            await get(new_reader(url), "name-0")
        assert time.monotonic() - started < 1


async def test_killed_it_fails_fast_and_restarted_it_heals(
    new_reader: NewReader,
) -> None:
    async with ValkeyServer() as server:
        reader = new_reader(server.url)
        assert await get(reader, "name") is None
        os.kill(server.pid, signal.SIGKILL)
        await server.halt()
        started = time.monotonic()
        for _ in range(100):
            with pytest.raises(VaultUnavailableError):
                await get(reader, "name")
        assert time.monotonic() - started < 2
        await server.start()
        with Redis.from_url(server.url) as client:
            client.set("name", "back")
        await asyncio.sleep(Outage.LONGEST_S)
        assert await get(reader, "name") == b"back"


async def test_one_that_hangs_is_given_up_in_time(new_reader: NewReader) -> None:
    """Every question, those that come later too; and it heals when it goes on."""
    async with ValkeyServer() as server:
        reader = new_reader(server.url, connect_timeout_s=0.2, answer_timeout_s=0.3)
        assert await get(reader, "name") is None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                started = time.monotonic()
                with pytest.raises(VaultUnavailableError):
                    await get(reader, "name")
                assert time.monotonic() - started < 1.5
                await asyncio.sleep(0.1)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await asyncio.sleep(Outage.LONGEST_S)
        assert await get(reader, "name") is None


async def test_a_connection_that_died_in_silence_is_replaced(
    new_reader: NewReader,
) -> None:
    """As a firewall leaves it: nothing is lost but the time until that is noticed."""
    async with playing([b"$5\r\nfirst\r\n", SILENCE, b"$6\r\nsecond\r\n"]) as url:
        reader = new_reader(url, answer_timeout_s=0.3)
        assert await get(reader, "name") == b"first"
        assert await get(reader, "name") == b"second"


async def test_a_deadline_that_comes_first_counts(new_reader: NewReader) -> None:
    """And the answer that comes too late is nobody else's.

    Tried with the question taken out of the queue: `late` for `next`.
    """
    async with ValkeyServer() as server:
        with Redis.from_url(server.url) as client:
            client.mset({"late": "late", "next": "next"})
        reader = new_reader(server.url)
        await get(reader, "late")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            deadline = asyncio.get_running_loop().time() + 0.2
            with pytest.raises(UpstreamTimeoutError):
                await get(reader, "late", deadline=deadline)
            assert 0.15 < time.monotonic() - started < 1
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert await get(reader, "next") == b"next"


async def test_a_process_that_stood_still_finds_its_answers(
    new_reader: NewReader, valkey: "Redis[bytes]"
) -> None:
    """Tried without the allowance for late timers: a new connection."""
    fill(valkey, 1)
    reader = new_reader(answer_timeout_s=0.2)
    connection_id = await get(reader, "name-0")
    reading = asyncio.create_task(get(reader, "name-0"))
    await asyncio.sleep(0)
    before = valkey.info("stats")["total_connections_received"]
    time.sleep(0.9)  # noqa: ASYNC251 - that is what is tried
    assert await reading == connection_id
    assert valkey.info("stats")["total_connections_received"] == before


async def test_too_many_at_once_are_refused(
    new_reader: NewReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_reader, "MOST_WAITING", 10)
    reader = new_reader()
    found = await asyncio.gather(
        *(get(reader, "name") for _ in range(15)), return_exceptions=True
    )
    assert [one is None for one in found] == [True] * 10 + [False] * 5
    assert await get(reader, "name") is None


async def test_one_wrong_value_fails_its_own_question_only(
    new_reader: NewReader, valkey: "Redis[bytes]"
) -> None:
    fill(valkey, 1)
    valkey.rpush("list", "x")
    reader = new_reader()
    wrong, right = await asyncio.gather(
        get(reader, "list"), get(reader, "name-0"), return_exceptions=True
    )
    assert isinstance(wrong, VaultUnavailableError)
    assert right == b"value-0"
    assert await get(reader, "name-0") == b"value-0"  # no outage


@pytest.mark.parametrize(
    ("refusal", "again"),
    [
        (b"-LOADING Valkey is loading\r\n", True),
        (b"-NOAUTH Authentication required.\r\n", True),
        (b"-MOVED 1 127.0.0.1:1\r\n", False),
        (b"-READONLY You can't write\r\n", False),
    ],
)
async def test_a_refusal_is_an_outage_only_if_it_is_everybodys(
    new_reader: NewReader, refusal: bytes, again: bool
) -> None:
    async with playing([refusal, b"$-1\r\n", b"$-1\r\n"]) as url:
        reader = new_reader(url)
        with pytest.raises(VaultUnavailableError, match=refusal[1:7].decode()):
            await get(reader, "name")
        if again:
            with pytest.raises(VaultUnavailableError, match="just now"):
                await get(reader, "name")
            await asyncio.sleep(Outage.SHORTEST_S + 0.01)
        assert await get(reader, "name") is None


async def test_closed_it_refuses(new_reader: NewReader) -> None:
    reader = new_reader()
    reading = asyncio.create_task(get(reader, "name"))
    await asyncio.sleep(0)
    await reader.aclose()
    for late in (reading, get(reader, "name")):
        with pytest.raises(VaultUnavailableError):
            await late


# -- connections, as redis-py opens them by their address


async def test_logs_in_and_selects_by_the_address(
    new_reader: NewReader, valkey: "Redis[bytes]", valkey_server: ValkeyServer
) -> None:
    with Redis.from_url(valkey_server.url, db=3) as other:
        other.set("name", "in 3")
    valkey.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all")
    try:
        url = valkey_server.url.replace("unix://", "unix://app:pw@") + "?db=3"
        assert await get(new_reader(url), "name") == b"in 3"
        wrong = url.replace(":pw@", ":wrong-password@")
        with pytest.raises(VaultUnavailableError) as caught:
            await get(new_reader(wrong), "name")
        assert "wrong-password" not in str(caught.value)
    finally:
        valkey.execute_command("ACL", "DELUSER", "app")


async def test_speaks_tls_with_private_authorities_only(
    new_reader: NewReader,
    valkey: "Redis[bytes]",
    valkey_server: ValkeyServer,
    tmp_path: Path,
) -> None:
    fill(valkey, 30)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await relay(reader, writer, valkey_server)

    ours, theirs = Authority("ours", tmp_path), Authority("theirs", tmp_path)
    async with tls_server(ours.server_context(), serve) as address:
        url = address.replace("https", "rediss")
        reader = new_reader(url, ca_bundle=str(ours.file))
        found = await asyncio.gather(*(get(reader, f"name-{n}") for n in range(30)))
        assert found == [(f"value-{n}" * (n + 1)).encode() for n in range(30)]
        with pytest.raises(VaultUnavailableError):
            await get(new_reader(url, ca_bundle=str(theirs.file)), "name-0")
        await reader.aclose()


@pytest.mark.parametrize(
    "url", ["redis+sentinel://127.0.0.1:9/main", "redis+cluster://127.0.0.1:9"]
)
async def test_sentinel_and_cluster_are_left_to_redis_py(url: str) -> None:
    client = connect(RedisSettings(url=url))
    assert single_server(client) is None
    await client.aclose()


# -- servers of the tests


@contextlib.asynccontextmanager
async def playing(answers: list[bytes]) -> AsyncIterator[str]:
    """A Redis that greets, then gives the next answer to a GET; b"" hangs up."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := await reader.read(4096):
            writer.write(b"+OK\r\n" * command.count(b"SETINFO"))
            if b"GET" in command:
                answer = left.pop(0)
                if not answer:
                    break
                if answer is not SILENCE:
                    writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, valkey: ValkeyServer
) -> None:
    """Carry bytes to and fro until either side hangs up."""
    path = valkey.url.removeprefix("unix://")
    back, forth = await asyncio.open_unix_connection(path)

    async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                to.write(data)

    ways = [
        asyncio.create_task(carry(reader, forth)),
        asyncio.create_task(carry(back, writer)),
    ]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way, end in zip(ways, (forth, writer), strict=True):
        way.cancel()
        end.close()
