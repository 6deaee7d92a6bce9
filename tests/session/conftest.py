"""A real Valkey for the session tests, emptied before each, and processes over it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis import Redis
from session_harness import Clock, FakeConduit, Process

from sandbox.launch import ValkeyServer
from session.encryption import RecordCodec, VaultEncryption
from session.policy import SessionPolicy
from session.redis_connection import RedisSettings, connect
from session.vault import RedisVault

MakeProcess = Callable[..., Process]


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> Iterator["Redis[bytes]"]:
    """A plain client of the emptied store, to look and to meddle from outside."""
    with Redis.from_url(valkey_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def conduit(clock: Clock) -> FakeConduit:
    return FakeConduit(clock)


@pytest.fixture
async def new_vault(
    valkey_server: ValkeyServer, valkey: object
) -> AsyncIterator[Callable[..., RedisVault]]:
    """Each call is a connection pool of its own, as another process has it."""
    opened: list[RedisVault] = []

    def make(encryption: VaultEncryption | None = None) -> RedisVault:
        client = connect(RedisSettings(url=valkey_server.url))
        vault = RedisVault(client, RecordCodec(encryption or VaultEncryption()))
        opened.append(vault)
        return vault

    yield make
    for vault in opened:
        await vault.aclose()


@pytest.fixture
async def new_process(
    new_vault: Callable[[], RedisVault], conduit: FakeConduit, clock: Clock
) -> AsyncIterator[MakeProcess]:
    """Server processes that share the upstream and the store."""
    started: list[Process] = []

    def make(policy: SessionPolicy | None = None, **more: object) -> Process:
        process = Process(
            new_vault(), conduit, clock, policy or SessionPolicy(), **more
        )
        started.append(process)
        return process

    yield make
    for process in started:
        await process.keeper.aclose()


@pytest.fixture
def process(new_process: MakeProcess) -> Process:
    return new_process()
