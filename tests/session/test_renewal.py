"""Renewal in a crowd, over several processes, through crashes and outages."""

import asyncio
import json
from collections.abc import Callable

import pytest
from redis import Redis
from session_harness import (
    Clock,
    FakeConduit,
    Process,
    access_token,
    ref_of,
    scope,
)

from clients.conduit.records import TokenPair
from clients.errors import (
    NotAuthenticatedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    VaultUnavailableError,
)
from sandbox.launch import ValkeyServer
from session.encryption import RecordCodec, VaultEncryption
from session.memory import MemoryVault
from session.policy import SessionPolicy
from session.records import AccessClaims, VaultRecord
from session.redis_connection import RedisSettings, connect
from session.renewal import RenewalSettings, TokenKeeper
from session.session import Session, SessionRef
from session.vault import RedisVault

MakeProcess = Callable[..., Process]
FIRST = "first@example.com"
USER = f"user-{FIRST}"


def stored(valkey: "Redis[bytes]", session: Session) -> dict[str, str]:
    """The record, as the Next.js application reads it."""
    return json.loads(valkey.get(f"vault:{session.vault_key}") or b"{}")


@pytest.mark.parametrize(
    ("issued_at", "expires_at", "until"),
    [
        (None, 100.0, 100.0),
        (1000.0, 4600.0, 4570.0),
        (1000.0, 1100.0, 1090.0),
        (1000.0, 900.0, 900.0),
    ],
)
async def test_a_token_is_fresh_until_shortly_before_its_end(
    issued_at: float | None, expires_at: float, until: float
) -> None:
    claims = AccessClaims(issued_at=issued_at, expires_at=expires_at)
    assert is_fresh(claims, until - 0.1)
    assert not is_fresh(claims, until)


@pytest.mark.parametrize("issued_at", [None, 1000.0])
async def test_a_token_that_does_not_tell_its_end_is_fresh(
    issued_at: float | None,
) -> None:
    assert is_fresh(AccessClaims(issued_at=issued_at), 1e12)


def is_fresh(claims: AccessClaims, now: float) -> bool:
    keeper = TokenKeeper(
        MemoryVault(),
        FakeConduit(Clock()),
        policy=SessionPolicy(),
        settings=RenewalSettings(margin_s=30.0),
        clock=lambda: now,
    )
    return keeper.is_fresh(VaultRecord(TokenPair("a", "r"), b"", {}, claims))


async def test_renews_once_when_200_calls_find_the_token_expired(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    """Tried without the list of flights: fails."""
    session = await process.sign_in(FIRST)
    clock.advance(3601)
    answers = await asyncio.gather(*(process.call(session) for _ in range(200)))
    assert set(answers) == {USER}
    assert conduit.renewals == 1


async def test_renews_once_over_four_processes(
    new_process: MakeProcess, conduit: FakeConduit, clock: Clock
) -> None:
    """Tried without winning the lease: fails."""
    processes = [new_process() for _ in range(4)]
    session = await processes[0].sign_in(FIRST)
    clock.advance(3601)
    conduit.delay_s = 0.2
    answers = await asyncio.gather(
        *(process.call(session) for process in processes for _ in range(50))
    )
    assert set(answers) == {USER}
    assert conduit.renewals == 1


async def test_renews_before_the_token_ends(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    session = await process.sign_in(FIRST)
    clock.advance(3600 - 35)
    await process.call(session)
    assert conduit.renewals == 0
    clock.advance(6)
    await process.call(session)
    assert conduit.renewals == 1


async def test_a_short_lived_token_is_not_renewed_all_the_time(
    process: Process, conduit: FakeConduit
) -> None:
    conduit.life_s = 20.0
    session = await process.sign_in(FIRST)
    for _ in range(5):
        await process.call(session)
    assert conduit.renewals == 0


async def test_renews_on_401_a_token_that_seemed_good(
    process: Process, conduit: FakeConduit, valkey: "Redis[bytes]"
) -> None:
    session = await process.sign_in(FIRST)
    pair = stored(valkey, session)
    other = access_token(USER, iat=conduit.clock(), life_s=9000, sudo=True)
    valkey.set(f"vault:{session.vault_key}", json.dumps({**pair, "accessToken": other}))
    assert await process.call(session) == USER
    assert conduit.renewals == 1


async def test_a_token_revoked_in_flight_is_replaced_without_another_renewal(
    new_process: MakeProcess, conduit: FakeConduit, clock: Clock
) -> None:
    here, there = new_process(), new_process()
    session = await here.sign_in(FIRST)
    revoked = (await here.keeper.resolve(ref_of(session))).pair.access_token
    clock.advance(3601)
    await there.call(session)
    record = await here.keeper.replaced(ref_of(session), revoked, scope())
    assert conduit.check(record.pair.access_token) == USER
    assert conduit.renewals == 1


async def test_a_new_token_of_the_same_text_is_taken_as_new(
    process: Process, conduit: FakeConduit
) -> None:
    """Two tokens made within a second are byte-identical (conduit.md §2)."""
    session = await process.sign_in(FIRST)
    ref = ref_of(session)
    first = await process.keeper.replaced(ref, "refused", scope())
    record = await process.keeper.renewed(ref, scope())
    for _ in range(3):
        refused = record.pair.access_token
        record = await process.keeper.replaced(ref, refused, scope())
        assert conduit.check(record.pair.access_token) == USER
    assert first.pair.refresh_token != record.pair.refresh_token


async def test_a_caller_that_goes_away_does_not_end_the_renewal(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    """Tried with the task awaited directly: the renewal is cancelled too."""
    session = await process.sign_in(FIRST)
    clock.advance(3601)
    conduit.delay_s = 0.2
    caller = asyncio.create_task(process.call(session))
    await asyncio.sleep(0.1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert conduit.renewals == 1
    assert await process.call(session) == USER
    assert conduit.renewals == 1


async def test_a_caller_waits_no_longer_than_its_deadline(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    session = await process.sign_in(FIRST)
    clock.advance(3601)
    conduit.delay_s = 0.4
    with pytest.raises(UpstreamTimeoutError):
        await process.keeper.renewed(ref_of(session), scope(timeout_s=0.1))
    assert await process.call(session) == USER
    assert conduit.renewals == 1


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamTimeoutError("slow", service="conduit"),
        UpstreamUnavailableError("503", service="conduit", status=503),
    ],
)
async def test_a_failed_renewal_keeps_the_session(
    process: Process, conduit: FakeConduit, clock: Clock, failure: Exception
) -> None:
    session = await process.sign_in(FIRST)
    clock.advance(3601)
    conduit.failures.append(failure)
    with pytest.raises(type(failure)):
        await process.call(session)
    assert await process.call(session) == USER


async def test_a_refused_renewal_ends_the_session_everywhere(
    process: Process, conduit: FakeConduit, clock: Clock, valkey: "Redis[bytes]"
) -> None:
    session = await process.sign_in(FIRST)
    clock.advance(5)
    await conduit.sign_in(FIRST, "pass phrase of the tests", scope())
    with pytest.raises(NotAuthenticatedError):
        await process.call(session)
    assert valkey.keys("vault:*") == []
    assert await process.vault.entries(USER) == {}


async def test_the_vault_is_read_again_before_a_session_is_given_up(
    process: Process, conduit: FakeConduit, clock: Clock, valkey: "Redis[bytes]"
) -> None:
    """The Next.js application renews without our lease and writes a little later.

    Tried with `give_up_after_s=0`: the session is lost.
    """
    session = await process.sign_in(FIRST)
    clock.advance(3601)
    pair = await conduit.renew(stored(valkey, session)["refreshToken"], scope())
    call = asyncio.create_task(process.call(session))
    await asyncio.sleep(0.15)
    value = {"accessToken": pair.access_token, "refreshToken": pair.refresh_token}
    valkey.set(f"vault:{session.vault_key}", json.dumps(value), ex=604_800)
    assert await call == USER
    assert conduit.renewals == 2


async def test_what_another_application_wrote_meanwhile_is_not_overwritten(
    process: Process, conduit: FakeConduit, clock: Clock, valkey: "Redis[bytes]"
) -> None:
    session = await process.sign_in(FIRST)
    clock.advance(3601)
    conduit.delay_s = 0.3
    renewal = asyncio.create_task(process.keeper.renewed(ref_of(session), scope()))
    await asyncio.sleep(0.1)
    newer = access_token(USER, iat=clock() + 5, life_s=3600, sudo=False)
    value = {"accessToken": newer, "refreshToken": "theirs"}
    valkey.set(f"vault:{session.vault_key}", json.dumps(value))
    assert (await renewal).pair.refresh_token == "theirs"
    assert stored(valkey, session) == value


async def test_a_session_signed_out_during_its_renewal_stays_signed_out(
    process: Process, conduit: FakeConduit, clock: Clock, valkey: "Redis[bytes]"
) -> None:
    """Nor does the pair outlive it that the upstream gave meanwhile."""
    session = await process.sign_in(FIRST)
    clock.advance(3601)
    conduit.delay_s = 0.2
    call = asyncio.create_task(process.call(session))
    await asyncio.sleep(0.1)
    await process.service.sign_out(session, scope())
    with pytest.raises(NotAuthenticatedError):
        await call
    await process.keeper.aclose()
    assert valkey.keys("vault:*") == []
    assert conduit.live_users() == set()


async def test_members_of_other_applications_survive_a_renewal(
    process: Process, clock: Clock, valkey: "Redis[bytes]"
) -> None:
    session = await process.sign_in(FIRST)
    value = {**stored(valkey, session), "fluxToken": "flux-1"}
    valkey.set(f"vault:{session.vault_key}", json.dumps(value))
    clock.advance(3601)
    await process.call(session)
    assert stored(valkey, session)["fluxToken"] == "flux-1"
    assert stored(valkey, session)["refreshToken"] != value["refreshToken"]


async def test_the_lease_outlives_its_length_while_the_renewal_runs(
    new_process: MakeProcess, conduit: FakeConduit, clock: Clock
) -> None:
    """Tried without the extension: 2 renewals (lease 1 s, renewal 2.5 s)."""
    here, there = new_process(), new_process()
    session = await here.sign_in(FIRST)
    clock.advance(3601)
    conduit.delay_s = 2.5
    answers = await asyncio.gather(here.call(session), there.call(session))
    assert set(answers) == {USER}
    assert conduit.renewals == 1


async def test_a_dead_holder_blocks_for_one_lease_at_most(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    session = await process.sign_in(FIRST)
    clock.advance(3601)
    name = process.keeper.family.lock_name(ref_of(session))
    assert await process.vault.hold(name, "a process that died", 0.5)
    assert await process.call(session) == USER
    assert conduit.renewals == 1


async def test_a_renewal_is_kept_through_a_restart_of_the_store(
    conduit: FakeConduit, clock: Clock
) -> None:
    """Redis goes while the upstream answers and comes back with its data.

    Tried without `patiently`: the new pair is lost, the next call is signed out.
    """
    server = ValkeyServer(append_only=True)
    await server.start()
    client = connect(RedisSettings(url=server.url))
    vault = RedisVault(client, RecordCodec(VaultEncryption()))
    process = Process(vault, conduit, clock, SessionPolicy())
    try:
        session = await process.sign_in(FIRST)
        clock.advance(3601)
        conduit.delay_s = 0.3
        call = asyncio.create_task(process.call(session))
        await asyncio.sleep(0.15)
        await server.halt()
        with pytest.raises(VaultUnavailableError):
            await process.keeper.resolve(ref_of(session))
        await asyncio.sleep(0.4)
        await server.start()
        assert await call == USER
        assert conduit.renewals == 1
    finally:
        await process.keeper.aclose()
        await vault.aclose()
        await server.stop()


async def called_as_soon_as_can_be(process: Process, session: Session) -> str:
    """The first answer after an outage."""
    while True:
        try:
            return await process.call(session)
        except VaultUnavailableError:
            await asyncio.sleep(0.01)


async def test_nobody_uses_up_a_token_whose_answer_waits_for_the_store(
    conduit: FakeConduit, clock: Clock
) -> None:
    """The store is away for longer than a lease: another process may then renew.

    Tried without the wait after an outage: the upstream is asked again, in vain.
    """
    server = ValkeyServer(append_only=True)
    await server.start()
    vaults = [
        RedisVault(
            connect(RedisSettings(url=server.url)), RecordCodec(VaultEncryption())
        )
        for _ in range(2)
    ]
    here, there = [Process(vault, conduit, clock, SessionPolicy()) for vault in vaults]
    try:
        session = await here.sign_in(FIRST)
        assert await there.call(session) == USER
        clock.advance(3601)
        conduit.delay_s = 0.3
        call = asyncio.create_task(here.call(session))
        await asyncio.sleep(0.15)
        await server.halt()
        await asyncio.sleep(here.settings.lease.lease_s + 0.2)
        with pytest.raises(VaultUnavailableError):
            await there.call(session)
        await server.start()
        assert await called_as_soon_as_can_be(there, session) == USER
        assert await call == USER
        assert conduit.renewals == 1
    finally:
        for process in (here, there):
            await process.keeper.aclose()
        for vault in vaults:
            await vault.aclose()
        await server.stop()


async def test_a_store_that_is_down_keeps_the_cookie(process: Process) -> None:
    """Only a session that is known to have ended may be told so to the client."""
    session = Session(SessionRef("user", "vault-key-1"), source="cookie")
    process.vault._outage.failed()
    with pytest.raises(VaultUnavailableError):
        await process.call(session)
    assert session.is_open


async def test_another_persons_record_is_refused(
    process: Process, valkey: "Redis[bytes]"
) -> None:
    """A plain record moved to another key: the token says whose it is."""
    first = await process.sign_in(FIRST)
    second = await process.sign_in("second@example.com")
    valkey.set(
        f"vault:{first.vault_key}", valkey.get(f"vault:{second.vault_key}") or b""
    )
    with pytest.raises(NotAuthenticatedError):
        await process.call(first)
    assert await process.call(second) == "user-second@example.com"
