"""The vault over a real Cluster and a real Sentinel, each of several Valkey servers."""

import asyncio
import random
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from clients.conduit.records import TokenPair
from clients.errors import VaultUnavailableError
from sandbox.launch import _valkey_binary
from session.encryption import RecordCodec, VaultEncryption
from session.records import SessionEntry
from session.redis_connection import RedisSettings, connect
from session.session import SessionRef
from session.vault import RedisVault

Start = Callable[..., int]
PAIR, NEW = TokenPair("access-1", "refresh-1"), TokenPair("access-2", "refresh-2")
ENTRY = SessionEntry(created_at=100.0, last_used_at=200.0)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Valkey on a free port of the loopback; gives the port."""
    started: list[subprocess.Popen[bytes]] = []
    ports = free_ports()

    def run(*arguments: str) -> int:
        port = next(ports)
        folder = tmp_path / str(port)
        folder.mkdir()
        config = folder / "valkey.conf"
        lines = ["save ''", "bind 127.0.0.1", f"port {port}", f"dir {folder}"]
        config.write_text("\n".join([*lines, *arguments, ""]))
        command = [_valkey_binary(), config]
        if any(line.startswith("sentinel") for line in arguments):
            command.append("--sentinel")
        log = (folder / "log").open("wb")
        started.append(subprocess.Popen(command, stdout=log, stderr=log))
        log.close()
        return port

    yield run
    for process in started:
        process.kill()
        process.wait()


def free_ports() -> Iterator[int]:
    """Each once. A Cluster's bus takes the port 10000 above: not an outgoing one."""
    for port in range(random.randrange(11000, 22000), 22700):  # noqa: S311 - no secret
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                yield port


async def until(check: Callable[[], bool], *, within_s: float = 60.0) -> None:
    end = asyncio.get_running_loop().time() + within_s
    while True:
        try:
            if check():
                return
        except RedisError:
            pass
        assert asyncio.get_running_loop().time() < end, "the servers did not get ready"
        await asyncio.sleep(0.05)


@pytest.fixture
async def open_vault() -> AsyncIterator[Callable[[str], RedisVault]]:
    opened: list[RedisVault] = []

    def make(url: str) -> RedisVault:
        client = connect(RedisSettings(url=url))
        opened.append(RedisVault(client, RecordCodec(VaultEncryption())))
        return opened[-1]

    yield make
    for vault in opened:
        await vault.aclose()


async def test_a_cluster_keeps_the_names_on_different_nodes(
    start: Start, open_vault: Callable[[str], RedisVault]
) -> None:
    """Tried with MGET in `read`: refused, the keys are not in one slot."""
    ports = [start("cluster-enabled yes") for _ in range(2)]
    nodes = [Redis(port=port) for port in ports]
    await until(lambda: all(node.ping() for node in nodes))
    for node, (first, last) in zip(nodes, [(0, 8191), (8192, 16383)], strict=True):
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
    nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", ports[1])
    await until(
        lambda: all(
            (info(node)["cluster_state"], info(node)["cluster_known_nodes"])
            == ("ok", "2")
            for node in nodes
        )
    )
    vault = open_vault(f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}")
    await use(vault)
    assert all(node.dbsize() > 0 for node in nodes)
    for node in nodes:
        node.close()


async def test_sentinel_leads_to_the_new_master_after_a_failover(
    start: Start, open_vault: Callable[[str], RedisVault]
) -> None:
    master = start()
    replica = start(f"replicaof 127.0.0.1 {master}", "replica-priority 1")
    clients = [Redis(port=port) for port in (master, replica)]
    await until(lambda: clients[1].info("replication")["master_link_status"] == "up")
    sentinel = start(
        f"sentinel monitor main 127.0.0.1 {master} 1",
        "sentinel down-after-milliseconds main 500",
        "sentinel failover-timeout main 3000",
    )
    with Redis(port=sentinel) as watching:
        await until(lambda: known_replicas(watching) == 1)
        vault = open_vault(f"redis+sentinel://127.0.0.1:{sentinel}/main")
        await use(vault)
        # Refused until the replica has reported in.
        await until(lambda: watching.execute_command("SENTINEL", "FAILOVER", "main"))
        await until(lambda: clients[1].info("replication")["role"] == "master")
    await healed(lambda: vault.create("vault-key-9", PAIR))
    assert clients[1].get("vault:vault-key-9") is not None
    for client in clients:
        client.close()


def info(node: "Redis[bytes]") -> dict[str, str]:
    answer: dict[str, str] = node.execute_command("CLUSTER INFO")
    return answer


def known_replicas(sentinel: "Redis[bytes]") -> int:
    return len(sentinel.execute_command("SENTINEL", "REPLICAS", "main"))


async def healed(work: Callable[[], Awaitable[object]]) -> None:
    """It may fail for a while, but must heal by itself."""
    end = asyncio.get_running_loop().time() + 15
    while True:
        try:
            await work()
            return
        except VaultUnavailableError:
            assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.1)


async def use(vault: RedisVault) -> None:
    """What a crowd of sessions does, over names in many slots."""
    refs = [SessionRef(f"user-{n % 3}", f"vault-key-{n}") for n in range(30)]
    for ref in refs:
        await vault.create(ref.vault_key, PAIR)
        await vault.enter(ref, ENTRY)
        await vault.touch(ref, ENTRY)
    for ref in refs:
        record, entry = await vault.resolve(ref)
        assert record is not None
        assert (record.pair, entry) == (PAIR, ENTRY)
        assert await vault.swap(ref.vault_key, record, NEW)
        assert not await vault.discard(ref.vault_key, record)
        assert await vault.hold(ref.vault_key, "owner", 5)
        await vault.release(ref.vault_key, "owner")
    found = await vault.read([ref.vault_key for ref in refs])
    assert {record.pair for record in found.values()} == {NEW}
    assert len(found) == 30
    assert len(await vault.entries("user-0")) == 10
    await vault.leave("user-0", [ref.vault_key for ref in refs])
    assert await vault.entries("user-0") == {}
    assert (await vault.count("name", 60))[0] == 1
