"""Signing in and out, on one device and on three, here and in a Next.js application."""

import asyncio
import json
import secrets
from collections.abc import Callable

import pytest
from redis import Redis
from session_harness import (
    PASSWORD,
    Clock,
    FakeConduit,
    Process,
    ref_of,
    scope,
)

from clients.errors import (
    InvalidCredentialsError,
    InvalidInputError,
    NotAuthenticatedError,
    VaultUnavailableError,
)
from clients.http import CallScope
from session.policy import SessionPolicy
from session.records import SessionEntry
from session.session import Session, SessionRef

MakeProcess = Callable[..., Process]
FIRST, SECOND = "first@example.com", "second@example.com"
USER = f"user-{FIRST}"
MULTIPLE = SessionPolicy(mode="multiple")


class NextApp:
    """What the guide's code does: one record per session, no lease, no index."""

    def __init__(self, conduit: FakeConduit, valkey: "Redis[bytes]") -> None:
        self.conduit = conduit
        self.valkey = valkey

    async def sign_in(self, email: str) -> Session:
        pair = await self.conduit.sign_in(email, PASSWORD, scope())
        key = secrets.token_hex(16)
        self._write(key, pair.access_token, pair.refresh_token)
        return Session(SessionRef(f"user-{email}", key), source="cookie")

    async def call(self, session: Session) -> str:
        name = f"vault:{session.vault_key}"
        record = json.loads(self.valkey.get(name) or b"{}")
        try:
            return self.conduit.check(record["accessToken"])
        except NotAuthenticatedError:
            pair = await self.conduit.renew(record["refreshToken"], scope())
            self._write(session.vault_key or "", pair.access_token, pair.refresh_token)
            return self.conduit.check(pair.access_token)

    def _write(self, key: str, access: str, refresh: str) -> None:
        value = {"accessToken": access, "refreshToken": refresh}
        self.valkey.set(f"vault:{key}", json.dumps(value), ex=604_800)


@pytest.fixture
def next_app(conduit: FakeConduit, valkey: "Redis[bytes]") -> NextApp:
    return NextApp(conduit, valkey)


async def settled(process: Process) -> None:
    """Let background work (adoption, endings) come to its end."""
    await process.keeper.tasks.drain(5)


async def test_sign_in_opens_a_session_under_a_new_key_every_time(
    process: Process, valkey: "Redis[bytes]"
) -> None:
    first, second = await process.sign_in(FIRST), await process.sign_in(FIRST)
    assert first.user_id == second.user_id == USER
    assert first.vault_key != second.vault_key
    assert len(valkey.keys("vault:*")) == 2
    assert first.changed
    assert len(process.cookie.write(first)) == 1


async def test_sign_in_with_bearer_transport_writes_no_cookie(process: Process) -> None:
    session = Session(source="cookie")
    await process.service.sign_in(session, FIRST, PASSWORD, scope(), transport="bearer")
    assert process.cookie.write(session) == []
    bearer = process.service.sealed_token(session)
    assert process.cookie.read_bearer(bearer).ref == session.ref


async def test_a_wrong_password_opens_nothing(
    process: Process, valkey: "Redis[bytes]"
) -> None:
    session = Session(source="cookie")
    with pytest.raises(InvalidCredentialsError):
        await process.service.sign_in(session, FIRST, "wrong", scope())
    assert not session.is_open
    assert not session.changed
    assert valkey.keys("vault:*") == []


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("", PASSWORD, "email"),
        ("  ", PASSWORD, "email"),
        ("a" * 321, PASSWORD, "email"),
        (FIRST, "", "password"),
        (FIRST, "p" * 1025, "password"),
    ],
)
async def test_unusable_input_is_refused_before_any_call(
    process: Process, conduit: FakeConduit, email: str, password: str, field: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await process.service.sign_in(Session(), email, password, scope())
    assert caught.value.field == field
    assert conduit.sign_ins == 0


async def test_a_sign_in_replaces_and_ends_the_session_before_it(
    process: Process, conduit: FakeConduit, valkey: "Redis[bytes]"
) -> None:
    session = await process.sign_in(FIRST)
    before = ref_of(session)
    await process.service.sign_in(session, SECOND, PASSWORD, scope())
    await settled(process)
    assert valkey.keys("vault:*") == [f"vault:{session.vault_key}".encode()]
    assert ref_of(session) != before
    assert conduit.live_users() == {f"user-{SECOND}"}


async def test_a_sign_in_that_nobody_waits_for_leaves_no_session(
    process: Process, conduit: FakeConduit, valkey: "Redis[bytes]"
) -> None:
    conduit.delay_s = 0.1
    signing_in = asyncio.create_task(process.sign_in(FIRST))
    await asyncio.sleep(0.05)
    signing_in.cancel()
    with pytest.raises(asyncio.CancelledError):
        await signing_in
    await settled(process)
    assert valkey.keys("vault:*") == []
    assert conduit.live_users() == set()


async def test_the_upstream_is_not_asked_while_the_vault_is_down(
    process: Process, conduit: FakeConduit
) -> None:
    process.vault._outage.failed()
    with pytest.raises(VaultUnavailableError):
        await process.sign_in(FIRST)
    assert conduit.sign_ins == 0


async def test_a_sign_in_elsewhere_signs_nobody_out(
    new_process: MakeProcess,
    conduit: FakeConduit,
    clock: Clock,
    valkey: "Redis[bytes]",
) -> None:
    """Nor from a Next.js application, which knows only its own record.

    Tried without `share` in `_store`: the phone keeps a dead pair.
    """
    phones, laptops = new_process(), new_process()
    phone = await phones.sign_in(FIRST)
    clock.advance(5)
    laptop = await laptops.sign_in(FIRST)
    records = [valkey.get(f"vault:{device.vault_key}") for device in (phone, laptop)]
    assert records[0] == records[1]
    assert await phones.call(phone) == USER
    assert await laptops.call(laptop) == USER
    assert conduit.renewals == 0


async def test_a_renewal_of_one_device_renews_them_all(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    devices = [await process.sign_in(FIRST) for _ in range(3)]
    clock.advance(3601)
    answers = await asyncio.gather(*(process.call(device) for device in devices * 20))
    assert set(answers) == {USER}
    assert conduit.renewals == 1


async def test_devices_that_missed_the_newest_pair_find_it(
    process: Process, conduit: FakeConduit, clock: Clock, valkey: "Redis[bytes]"
) -> None:
    """A crash between writing one record and the next."""
    phone, laptop = await process.sign_in(FIRST), await process.sign_in(FIRST)
    old = valkey.get(f"vault:{phone.vault_key}")
    clock.advance(3601)
    await process.call(laptop)
    valkey.set(f"vault:{phone.vault_key}", old or b"")
    assert await process.call(phone) == USER
    assert conduit.renewals == 1


async def test_a_phone_a_laptop_and_a_next_app_keep_each_other_signed_in(
    process: Process, next_app: NextApp, conduit: FakeConduit, clock: Clock
) -> None:
    phone = await process.sign_in(FIRST)
    clock.advance(5)
    web = await next_app.sign_in(FIRST)
    assert await process.call(web) == USER  # known here from now on
    await settled(process)
    assert await process.call(phone) == USER
    clock.advance(5)
    laptop = await process.sign_in(FIRST)
    assert await next_app.call(web) == USER
    for device in (phone, laptop, web):
        clock.advance(3601)
        assert await process.call(device) == USER
        assert await next_app.call(web) == USER
    clock.advance(3601)
    assert await next_app.call(web) == USER  # renews without our lease
    for device in (phone, laptop, web):
        assert await process.call(device) == USER


async def test_signing_out_on_one_device_leaves_the_others(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    phone, laptop = await process.sign_in(FIRST), await process.sign_in(FIRST)
    stolen = Session(phone.ref, source="cookie")
    await process.service.sign_out(phone, scope())
    assert not phone.is_open
    with pytest.raises(NotAuthenticatedError):
        await process.call(stolen)
    assert await process.call(laptop) == USER
    clock.advance(3601)
    assert await process.call(laptop) == USER
    await process.service.sign_out(laptop, scope())
    assert conduit.live_users() == set()


async def test_the_last_sign_out_ends_the_upstreams_session_with_an_expired_token(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    session = await process.sign_in(FIRST)
    clock.advance(3601)
    await process.service.sign_out(session, scope())
    assert conduit.live_users() == set()


async def test_multiple_keeps_pairs_apart(
    new_process: MakeProcess,
    conduit: FakeConduit,
    clock: Clock,
    valkey: "Redis[bytes]",
) -> None:
    conduit.multiple = True
    process = new_process(MULTIPLE)
    phone = await process.sign_in(FIRST)
    clock.advance(3601)
    laptop = await process.sign_in(FIRST)
    before = valkey.get(f"vault:{phone.vault_key}")
    await process.keeper.renewed(ref_of(laptop), scope())
    await process.service.sign_out(laptop, scope())
    assert valkey.get(f"vault:{phone.vault_key}") == before
    assert conduit.owns(json.loads(before or b"{}")["refreshToken"]) == USER
    assert await process.call(phone) == USER


@pytest.mark.parametrize("mode", ["single", "multiple"])
async def test_sign_out_everywhere_ends_all_sessions_and_the_upstreams(
    new_process: MakeProcess,
    conduit: FakeConduit,
    valkey: "Redis[bytes]",
    clock: Clock,
    mode: str,
) -> None:
    conduit.multiple = mode == "multiple"
    process = new_process(MULTIPLE if conduit.multiple else SessionPolicy())
    devices = []
    for _ in range(3):
        devices.append(await process.sign_in(FIRST))
        clock.advance(2)
    other = await process.sign_in(SECOND)
    await process.service.sign_out(devices[0], scope(), everywhere=True)
    for device in devices[1:]:
        with pytest.raises(NotAuthenticatedError):
            await process.call(device)
    assert conduit.live_users() == {f"user-{SECOND}"}
    assert await process.call(other) == f"user-{SECOND}"
    assert len(valkey.keys("vault:*")) == 1


async def test_a_signed_out_cookie_has_no_power_over_other_sessions(
    process: Process,
) -> None:
    phone, laptop = await process.sign_in(FIRST), await process.sign_in(FIRST)
    stolen = [Session(phone.ref, source="cookie") for _ in range(3)]
    await process.service.sign_out(phone, scope())
    await process.service.sign_out(stolen[0], scope(), everywhere=True)
    with pytest.raises(NotAuthenticatedError):
        await process.service.list_sessions(stolen[1])
    [info] = await process.service.list_sessions(laptop)
    with pytest.raises(NotAuthenticatedError):
        await process.service.end_session(stolen[2], info.id, scope())
    assert await process.call(laptop) == USER


async def test_signing_out_twice_or_anonymously_is_fine(process: Process) -> None:
    session = await process.sign_in(FIRST)
    again = Session(session.ref, source="cookie")
    await process.service.sign_out(session, scope())
    await process.service.sign_out(again, scope())
    await process.service.sign_out(Session(), scope())
    await process.service.sign_out(Session(), scope(), everywhere=True)
    assert not again.is_open


async def test_an_upstream_that_is_down_keeps_nobody_signed_in(
    process: Process, conduit: FakeConduit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(access_token: str, scope: object) -> None:
        raise VaultUnavailableError("down", service="conduit")

    session = await process.sign_in(FIRST)
    stolen = Session(session.ref, source="cookie")
    monkeypatch.setattr(conduit, "sign_out", down)
    await process.service.sign_out(session, scope())
    with pytest.raises(NotAuthenticatedError):
        await process.call(stolen)


@pytest.mark.parametrize("everywhere", [False, True])
async def test_an_upstream_that_hangs_keeps_nobody_signed_in(
    process: Process,
    conduit: FakeConduit,
    monkeypatch: pytest.MonkeyPatch,
    everywhere: bool,
) -> None:
    """The session has ended here; who signed out must not hear of a failure."""
    hangs = asyncio.Event()

    async def hanging(access_token: str, scope: object) -> None:
        await hangs.wait()

    session = await process.sign_in(FIRST)
    stolen = Session(session.ref, source="cookie")
    monkeypatch.setattr(conduit, "sign_out", hanging)
    await process.service.sign_out(session, scope(0.3), everywhere=everywhere)
    assert not session.is_open
    with pytest.raises(NotAuthenticatedError):
        await process.call(stolen)
    hangs.set()


async def test_a_vault_that_goes_down_once_the_session_has_ended_keeps_no_cookie(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(ref: SessionRef) -> None:
        raise VaultUnavailableError("down", service="vault")

    session = await process.sign_in(FIRST)
    monkeypatch.setattr(process.keeper.family, "records", down)
    await process.service.sign_out(session, scope())
    assert not session.is_open


async def test_a_vault_that_is_down_does_not_pretend_to_sign_out(
    process: Process,
) -> None:
    session = await process.sign_in(FIRST)
    process.vault._outage.failed()
    with pytest.raises(VaultUnavailableError):
        await process.service.sign_out(session, scope())
    assert session.is_open


async def test_lists_sessions_with_time_and_user_agent_and_ends_one(
    process: Process, clock: Clock
) -> None:
    phone = await process.sign_in(FIRST, user_agent="Phone")
    clock.advance(1000)
    laptop = await process.sign_in(FIRST, user_agent="L" * 1000)
    await process.sign_in(SECOND, user_agent="Other")
    await process.call(phone)
    await settled(process)
    listed = await process.service.list_sessions(laptop)
    assert [info.user_agent for info in listed] == ["Phone", "L" * 256]
    [shown] = [info for info in listed if not info.is_current]
    assert shown.user_agent == "Phone"
    assert shown.last_used_at - shown.created_at >= 999
    assert phone.vault_key not in {info.id for info in listed}
    assert not await process.service.end_session(laptop, "unknown", scope())
    assert await process.service.end_session(laptop, shown.id, scope())
    with pytest.raises(NotAuthenticatedError):
        await process.call(phone)
    [info] = await process.service.list_sessions(laptop)
    assert info.is_current
    assert await process.service.end_session(laptop, info.id, scope())
    assert not laptop.is_open


async def test_nobody_ends_another_persons_session(process: Process) -> None:
    mine, theirs = await process.sign_in(FIRST), await process.sign_in(SECOND)
    [info] = await process.service.list_sessions(theirs)
    assert not await process.service.end_session(mine, info.id, scope())
    assert await process.call(theirs) == f"user-{SECOND}"


async def test_an_entry_without_a_record_is_not_listed(
    process: Process, valkey: "Redis[bytes]"
) -> None:
    phone, laptop = await process.sign_in(FIRST), await process.sign_in(FIRST)
    valkey.delete(f"vault:{phone.vault_key}")
    assert len(await process.service.list_sessions(laptop)) == 1
    assert set(await process.vault.entries(USER)) == {laptop.vault_key}


async def test_a_session_ends_without_use(
    new_process: MakeProcess, clock: Clock, valkey: "Redis[bytes]"
) -> None:
    process = new_process(SessionPolicy(idle_s=3600))
    session = await process.sign_in(FIRST)
    for _ in range(3):
        clock.advance(2400)
        assert await process.call(session) == USER
        await settled(process)
    clock.advance(3700)
    with pytest.raises(NotAuthenticatedError):
        await process.call(session)
    assert valkey.keys("vault:*") == []


async def test_a_session_ends_at_its_absolute_end_though_used(
    new_process: MakeProcess, clock: Clock
) -> None:
    process = new_process(SessionPolicy(absolute_s=7200))
    session = await process.sign_in(FIRST)
    for _ in range(3):
        clock.advance(2300)
        assert await process.call(session) == USER
        await settled(process)
    clock.advance(400)
    with pytest.raises(NotAuthenticatedError):
        await process.call(session)


async def test_a_person_has_no_more_sessions_than_allowed(
    new_process: MakeProcess, clock: Clock, valkey: "Redis[bytes]"
) -> None:
    process = new_process(SessionPolicy(max_per_person=3))
    devices = []
    for _ in range(5):
        devices.append(await process.sign_in(FIRST))
        clock.advance(2)
    assert len(valkey.keys("vault:*")) == 3
    for device in devices[:2]:
        with pytest.raises(NotAuthenticatedError):
            await process.call(device)
    for device in devices[2:]:
        assert await process.call(device) == USER


async def test_a_sign_in_does_not_wait_for_the_end_of_the_session_it_drives_out(
    new_process: MakeProcess,
    conduit: FakeConduit,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or an upstream whose sign-out hangs would let nobody in who is at the limit."""
    conduit.multiple, hangs = True, asyncio.Event()
    process = new_process(SessionPolicy(mode="multiple", max_per_person=1))
    await process.sign_in(FIRST)
    clock.advance(2)
    sign_out = conduit.sign_out

    async def hanging(access_token: str, scope: CallScope) -> None:
        await hangs.wait()
        await sign_out(access_token, scope)

    monkeypatch.setattr(conduit, "sign_out", hanging)
    laptop = await asyncio.wait_for(process.sign_in(FIRST), 2)
    assert await process.call(laptop) == USER
    hangs.set()
    await settled(process)
    assert len(conduit._live) == 1


async def test_what_another_application_s_session_drives_out_ends_upstream_too(
    new_process: MakeProcess, conduit: FakeConduit, clock: Clock
) -> None:
    conduit.multiple = True
    process = new_process(SessionPolicy(mode="multiple", max_per_person=1))
    phone = await process.sign_in(FIRST)
    clock.advance(2)
    theirs = SessionRef(USER, secrets.token_urlsafe(24))
    pair = await conduit.sign_in(FIRST, PASSWORD, scope())
    await process.vault.create(theirs.vault_key, pair)
    assert await process.call(Session(theirs, source="cookie")) == USER
    await settled(process)
    with pytest.raises(NotAuthenticatedError):
        await process.call(phone)
    assert [access for _, access in conduit._live.values()] == [pair.access_token]


async def test_sessions_that_another_application_ended_take_nobody_s_place(
    new_process: MakeProcess, clock: Clock, valkey: "Redis[bytes]"
) -> None:
    """The Next.js application deletes a record, and knows nothing of our index."""
    process = new_process(SessionPolicy(max_per_person=3))
    oldest = await process.sign_in(FIRST)
    for _ in range(2):
        clock.advance(2)
        other = await process.sign_in(FIRST)
        valkey.delete(f"vault:{other.vault_key}")
    clock.advance(2)
    await process.sign_in(FIRST)
    assert await process.call(oldest) == USER
    assert len(valkey.hkeys(f"mainstem:sessions:{oldest.user_id}")) == 2


async def test_a_sign_in_holds_renewals_back_where_the_person_is_known(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    """Or both would end each other's tokens upstream.

    Tried without recalling the account: the phone asks for a renewal in vain.
    """
    phone = await process.sign_in(FIRST)
    clock.advance(3601)
    conduit.delay_s = 0.3
    signing_in = asyncio.create_task(process.sign_in(FIRST))
    await asyncio.sleep(0.1)
    assert await process.call(phone) == USER
    laptop = await signing_in
    assert await process.call(laptop) == USER
    assert conduit.renewals == 0


async def test_no_token_and_no_address_in_the_log_or_in_names(
    process: Process,
    clock: Clock,
    valkey: "Redis[bytes]",
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="mainstem")
    session = await process.sign_in(FIRST)
    token = (await process.keeper.resolve(ref_of(session))).pair.access_token
    clock.advance(3601)
    await process.call(session)
    await process.service.sign_out(session, scope())
    names = b" ".join(valkey.keys()).decode()
    assert FIRST not in names.replace(f"sessions:{USER}", "")
    logged = " ".join(str(record.__dict__) for record in caplog.records)
    assert token not in logged
    assert "refresh-" not in logged


async def test_a_sign_out_elsewhere_is_seen_at_once(new_process: MakeProcess) -> None:
    """Although a process may remember for a while that it knows the session."""
    here, there = new_process(), new_process()
    session = await here.sign_in(FIRST)
    assert await there.call(session) == USER
    await here.service.sign_out(Session(session.ref, source="cookie"), scope())
    with pytest.raises(NotAuthenticatedError):
        await there.call(session)


async def test_a_use_in_another_process_counts_for_the_idle_end(
    new_process: MakeProcess, clock: Clock
) -> None:
    """Tried without asking again before an end: the session is ended while in use."""
    here, there = (new_process(SessionPolicy(idle_s=60)) for _ in range(2))
    session = await here.sign_in(FIRST)
    clock.advance(50)
    assert await here.call(session) == USER
    await here.keeper.tasks.drain(5)
    entry = SessionEntry(clock() - 50, clock() - 50)
    due = SessionPolicy(idle_s=60).next_due(entry)
    here.keeper._entries.remember(ref_of(session), entry, clock(), due=due)
    clock.advance(15)
    assert await there.call(session) == USER
    assert await here.call(session) == USER
