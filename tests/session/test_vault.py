"""One contract, two stores; then what only Redis can show."""

import asyncio
import math
import re
import time
from collections.abc import Callable
from typing import cast

import pytest
from redis import Redis
from session_harness import access_token

from clients.budget import Rate
from clients.conduit.records import TokenPair
from clients.errors import VaultUnavailableError
from harness import ROOT
from sandbox.launch import ValkeyServer
from session.call_ledger import RedisLedger
from session.encryption import RecordCodec, VaultEncryption
from session.memory import MemoryVault
from session.records import SessionEntry
from session.redis_connection import RedisCommands, RedisSettings, connect
from session.session import SessionRef
from session.vault import RedisVault, TokenVault

NewVault = Callable[..., RedisVault]
OLD, NEW = TokenPair("access-1", "refresh-1"), TokenPair("access-2", "refresh-2")
REF = SessionRef("user-1", "vault-key-1")
ENTRY = SessionEntry(created_at=100.0, last_used_at=200.0, user_agent="Browser")


@pytest.fixture(params=["memory", "redis", "redis, encrypted"])
def vault(request: pytest.FixtureRequest, new_vault: NewVault) -> TokenVault:
    if request.param == "memory":
        return MemoryVault()
    if request.param == "redis":
        return new_vault()
    return new_vault(VaultEncryption("required", {"1": b"k" * 32}))


async def test_what_is_created_is_resolved_with_its_entry(vault: TokenVault) -> None:
    assert await vault.resolve(REF) == (None, None)
    await vault.create(REF.vault_key, OLD)
    await vault.enter(REF, ENTRY)
    record, entry = await vault.resolve(REF)
    assert record is not None
    assert record.pair == OLD
    assert entry == ENTRY


async def test_one_record_can_be_awaited_by_several(vault: TokenVault) -> None:
    for expected in (None, OLD):
        read = vault.begin_read(REF, deadline=math.inf)
        assert read is not None
        found = [await read for _ in range(2)]
        assert [record and record.pair for record in found] == [expected] * 2
        await vault.create(REF.vault_key, OLD)


async def test_another_persons_record_is_told_to_nobody_who_says_whose_it_is(
    vault: TokenVault, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = access_token("user-2", iat=100, life_s=60, sudo=False)
    await vault.create(REF.vault_key, TokenPair(theirs, "refresh-1"))
    assert await vault.resolve(REF) == (None, None)
    assert await vault.read([REF.vault_key], REF.user_id) == {}
    read = vault.begin_read(REF, deadline=math.inf)
    assert read is not None
    assert await read is None
    assert {one.__dict__["fields"]["reason"] for one in caplog.records} == {
        "another person's"
    }
    assert await vault.read([REF.vault_key], "user-2") != {}


async def test_reads_many_and_leaves_out_misses(vault: TokenVault) -> None:
    await vault.create("vault-key-1", OLD)
    await vault.create("vault-key-2", NEW)
    found = await vault.read(["vault-key-2", "vault-key-3", "vault-key-1"])
    assert {key: record.pair for key, record in found.items()} == {
        "vault-key-1": OLD,
        "vault-key-2": NEW,
    }
    assert await vault.read([]) == {}


async def test_swaps_only_what_it_has_read(vault: TokenVault) -> None:
    await vault.create("vault-key-1", OLD)
    record = (await vault.read(["vault-key-1"]))["vault-key-1"]
    swapped = await vault.swap("vault-key-1", record, NEW)
    assert swapped is not None
    assert swapped.pair == NEW
    assert await vault.swap("vault-key-1", record, OLD) is None
    assert (await vault.read(["vault-key-1"]))["vault-key-1"] == swapped


async def test_never_swaps_what_has_been_deleted(vault: TokenVault) -> None:
    await vault.create("vault-key-1", OLD)
    record = await vault.take("vault-key-1")
    assert record is not None
    assert await vault.swap("vault-key-1", record, NEW) is None
    assert await vault.read(["vault-key-1"]) == {}
    assert await vault.take("vault-key-1") is None


async def test_discards_only_what_it_has_read(vault: TokenVault) -> None:
    await vault.create("vault-key-1", OLD)
    old = (await vault.read(["vault-key-1"]))["vault-key-1"]
    new = await vault.swap("vault-key-1", old, NEW)
    assert new is not None
    assert not await vault.discard("vault-key-1", old)
    assert await vault.discard("vault-key-1", new)
    assert await vault.discard("vault-key-1", new)
    assert await vault.read(["vault-key-1"]) == {}


async def test_keeps_an_index_per_person(vault: TokenVault) -> None:
    second = SessionRef("user-1", "vault-key-2")
    other = SessionRef("user-2", "vault-key-3")
    for ref in (REF, second, other):
        await vault.enter(ref, ENTRY)
    await vault.leave("user-1", ["vault-key-2", "unknown"])
    await vault.leave("user-1", [])
    assert await vault.entries("user-1") == {"vault-key-1": ENTRY}
    assert await vault.entries("user-2") == {"vault-key-3": ENTRY}
    assert await vault.entries("user-3") == {}


async def test_touch_never_brings_an_entry_back(vault: TokenVault) -> None:
    await vault.create(REF.vault_key, OLD)
    await vault.enter(REF, ENTRY)
    used = ENTRY.used(300.0)
    await vault.touch(REF, used)
    assert await vault.entries("user-1") == {"vault-key-1": used}
    await vault.take(REF.vault_key)
    await vault.leave("user-1", ["vault-key-1"])
    await vault.touch(REF, used)
    assert await vault.resolve(REF) == (None, None)


async def test_a_lock_has_one_owner_until_it_is_given_back(vault: TokenVault) -> None:
    assert await vault.hold("name", "a", 5)
    assert not await vault.hold("name", "b", 5)
    assert await vault.hold("name", "a", 5)
    await vault.release("name", "b")
    assert not await vault.hold("name", "b", 5)
    await vault.release("name", "a")
    assert await vault.hold("name", "b", 5)


async def test_a_lock_ends_by_itself(vault: TokenVault) -> None:
    assert await vault.hold("name", "a", 0.05)
    await asyncio.sleep(0.08)
    assert await vault.hold("name", "b", 5)


async def test_counts_within_a_window(vault: TokenVault) -> None:
    counted = [await vault.count("name", 60) for _ in range(3)]
    assert [count for count, _ in counted] == [1, 2, 3]
    assert all(59 < left_s <= 60 for _, left_s in counted)
    await vault.claim("name", "mine", 60)
    await vault.replace_claim("name", "mine", "done", 60)
    await vault.drop_claim("name", "other")
    await vault.forget_count("name")
    assert (await vault.count("name", 60))[0] == 1


async def test_a_claim_is_told_to_whoever_comes_later(vault: TokenVault) -> None:
    assert await vault.claim("name", "mine", 60) is None
    found = await vault.claim("name", "theirs", 60)
    assert found is not None
    assert found.value == "mine"
    assert 0 <= found.age_s < 5
    assert await vault.claim("another name", "theirs", 60) is None


async def test_a_claim_is_changed_and_dropped_only_by_who_knows_it(
    vault: TokenVault,
) -> None:
    await vault.claim("name", "mine", 60)
    assert not await vault.replace_claim("name", "theirs", "done", 60)
    assert await vault.replace_claim("name", "mine", "done", 60)
    await vault.drop_claim("name", "mine")
    found = await vault.claim("name", "next", 60)
    assert found is not None
    assert found.value == "done"
    await vault.drop_claim("name", "done")
    assert await vault.claim("name", "next", 60) is None


async def test_a_claim_ends_by_itself(vault: TokenVault) -> None:
    await vault.claim("name", "mine", 1)
    await asyncio.sleep(1.1)
    assert await vault.claim("name", "theirs", 60) is None


async def test_remembers_whose_account_it_is(vault: TokenVault) -> None:
    assert await vault.recall_account("digest") is None
    await vault.remember_account("digest", "user-1")
    assert await vault.recall_account("digest") == "user-1"


async def test_the_record_is_the_guides_for_604800_seconds(
    new_vault: NewVault, valkey: "Redis[bytes]"
) -> None:
    vault = new_vault()
    await vault.create("vault-key-1", OLD)
    name = "vault:vault-key-1"
    assert valkey.get(name) == (
        b'{"accessToken":"access-1","refreshToken":"refresh-1"}'
    )
    assert valkey.ttl(name) == 604_800
    valkey.expire(name, 1000)
    record = (await vault.read(["vault-key-1"]))["vault-key-1"]
    await vault.swap("vault-key-1", record, NEW)
    assert valkey.ttl(name) == 604_800


async def test_every_name_has_an_end(
    new_vault: NewVault, valkey: "Redis[bytes]"
) -> None:
    vault = new_vault()
    await vault.create(REF.vault_key, OLD)
    await vault.enter(REF, ENTRY)
    await vault.touch(REF, ENTRY)
    await vault.hold("name", "owner", 5)
    await vault.count("name", 60)
    await vault.remember_account("digest", "user-1")
    await vault.claim("name", "mine", 60)
    names = valkey.keys()
    assert len(names) == 6
    assert all(valkey.ttl(name) > 0 for name in names)


async def test_a_count_left_without_an_end_gets_one(
    new_vault: NewVault, valkey: "Redis[bytes]"
) -> None:
    valkey.set("mainstem:count:name", 7)
    count, left_s = await new_vault().count("name", 60)
    assert (count, left_s) == (8, 60)
    assert valkey.ttl("mainstem:count:name") == 60


async def test_resolving_is_one_round_trip(
    new_vault: NewVault, valkey: "Redis[bytes]"
) -> None:
    """Tried with two awaited commands: two reads of the socket are counted."""
    vault = new_vault()
    await vault.create(REF.vault_key, OLD)
    await vault.enter(REF, ENTRY)
    await vault.resolve(REF)  # connects
    before = valkey.info("stats")["total_reads_processed"]
    await vault.resolve(REF)
    after = valkey.info("stats")["total_reads_processed"]
    assert after - before - 1 == 1  # one is for asking


async def test_runs_with_the_documented_acl_only(
    valkey: "Redis[bytes]", valkey_server: ValkeyServer
) -> None:
    """Tried without +getdel: VaultUnavailableError."""
    page = (ROOT / "docs/sessions.md").read_text()
    found = re.search(r"ACL SETUSER mainstem on >password (.*?)```", page, re.DOTALL)
    assert found is not None
    rules = ["on", ">pw", *found[1].split()]
    valkey.execute_command("ACL", "SETUSER", "app", "reset", *rules)
    url = valkey_server.url.replace("unix://", "unix://app@") + "?password=pw"
    redis = connect(RedisSettings(url=url))
    vault = RedisVault(redis, RecordCodec(VaultEncryption()))
    try:
        await exercise(vault)
        await exercise_ledger(redis)
    finally:
        await vault.aclose()
        valkey.execute_command("ACL", "DELUSER", "app")


async def exercise_ledger(redis: RedisCommands) -> None:
    """Every method once; a refused command would be answered by the local share."""
    rate = Rate(2, 60)
    ledger = RedisLedger(redis, "flux x", rate, processes=2)
    grant = await ledger.ask("", 2, 0)
    assert grant.tokens == 2
    await ledger.give_back("", grant, 2)
    assert (await ledger.ask("", 1, 0)).tokens == 1
    await ledger.exhaust("", 1.0)
    assert (await ledger.ask("", 1, 0)).tokens == 0
    assert ledger.counts_for_all


async def exercise(vault: TokenVault) -> None:
    """Every method once."""
    await vault.ping()
    await vault.create(REF.vault_key, OLD)
    await vault.enter(REF, ENTRY)
    await vault.touch(REF, ENTRY)
    record, _ = await vault.resolve(REF)
    assert record is not None
    assert await vault.swap(REF.vault_key, record, NEW)
    assert not await vault.discard(REF.vault_key, record)
    assert await vault.take(REF.vault_key)
    assert await vault.entries("user-1")
    await vault.leave("user-1", [REF.vault_key])
    assert await vault.hold("name", "a", 5)
    await vault.release("name", "a")
    assert await vault.count("name", 60)
    await vault.claim("name", "mine", 60)
    assert await vault.replace_claim("name", "mine", "done", 60)
    await vault.drop_claim("name", "done")
    await vault.forget_count("name")
    await vault.remember_account("digest", "user-1")
    assert await vault.recall_account("digest") == "user-1"


async def test_scripts_survive_a_server_that_forgot_them(
    new_vault: NewVault, valkey: "Redis[bytes]"
) -> None:
    vault = new_vault()
    assert await vault.hold("name", "a", 5)
    valkey.script_flush()
    assert await vault.hold("name", "a", 5)


async def test_an_outage_is_told_fast_and_heals_by_itself() -> None:
    server = ValkeyServer()
    await server.start()
    client = connect(RedisSettings(url=server.url))
    vault = RedisVault(client, RecordCodec(VaultEncryption()))
    try:
        await vault.ping()
        await server.halt()
        with pytest.raises(VaultUnavailableError):
            await vault.ping()
        started = time.monotonic()
        for _ in range(200):
            with pytest.raises(VaultUnavailableError):
                await vault.resolve(REF)
        assert time.monotonic() - started < 3
        await server.start()
        await asyncio.sleep(0.6)
        await vault.ping()
        assert await vault.resolve(REF) == (None, None)
    finally:
        await vault.aclose()
        await server.stop()


async def test_who_waits_for_a_connection_hears_of_an_outage_and_tries_nothing() -> (
    None
):
    """Or a crowd would wait in rounds, each for its own time-out."""
    asked, fails = 0, asyncio.Event()

    class Hanging:
        async def execute_command(self, *_: object) -> object:
            nonlocal asked
            asked += 1
            await fails.wait()
            raise ConnectionError

    client = cast("RedisCommands", Hanging())
    vault = RedisVault(client, RecordCodec(VaultEncryption()), max_in_flight=2)
    pings = [asyncio.create_task(vault.ping()) for _ in range(20)]
    await asyncio.sleep(0)
    fails.set()
    failed = await asyncio.gather(*pings, return_exceptions=True)
    assert {type(failure) for failure in failed} == {VaultUnavailableError}
    assert asked == 2


async def test_a_hundred_at_once_share_the_connections(new_vault: NewVault) -> None:
    vault = new_vault()
    await vault.create(REF.vault_key, OLD)
    answers = await asyncio.gather(*(vault.resolve(REF) for _ in range(300)))
    assert all(record is not None for record, _ in answers)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "rediss://user:pw@redis.example.org:6380/1",
        "unix:///tmp/redis.sock",
        "redis+sentinel://user:pw@a.example.org:26379,b.example.org/main/0",
        "rediss+sentinel://a.example.org/main",
        "redis+cluster://:pw@a.example.org:7000,b.example.org:7001",
        "rediss+cluster://a.example.org",
    ],
)
async def test_understands_every_kind_of_address(url: str) -> None:
    settings = RedisSettings(url=url)
    client = connect(settings)
    await client.aclose()
    assert "pw" not in repr(settings)


@pytest.mark.parametrize(
    "url", ["http://x", "", "redis+sentinel://a.example.org", "redis+cluster://"]
)
def test_refuses_an_address_that_it_cannot_use(url: str) -> None:
    with pytest.raises(ValueError, match=r"scheme|master|host"):
        connect(RedisSettings(url=url))
