"""What a request gets as its tokens, and what it costs."""

import asyncio
import json
import os
import signal
import time

import jwt
import pytest
from redis import Redis
from session_harness import PASSWORD, Clock, FakeConduit, Process, scope

from clients.errors import (
    NotAuthenticatedError,
    UpstreamTimeoutError,
    VaultUnavailableError,
)
from sandbox.launch import ValkeyServer
from session.auth import ConduitAuth, FluxAuth
from session.flux_tokens import (
    MAX_CACHED,
    FluxTokenMinter,
    FluxTokenSettings,
    FluxTokenSource,
    flux_tokens,
)
from session.session import Session

FIRST = "first@example.com"
SECRET = "fX3kPq8WmZr5Ty7LbVn2CsJd9GhAeU4R"
MINT = FluxTokenSettings(source="mint", secret=SECRET)


def conduit_auth(process: Process, session: Session) -> ConduitAuth:
    return ConduitAuth(process.keeper, session, scope())


def flux_auth(
    process: Process,
    session: Session,
    source: FluxTokenSource = "mint",
    conduit: ConduitAuth | None = None,
) -> FluxAuth:
    tokens = flux_tokens(FluxTokenSettings(source=source, secret=SECRET))
    return FluxAuth(tokens, session, conduit or conduit_auth(process, session))


async def test_one_read_of_the_vault_for_a_whole_request(
    process: Process, valkey: "Redis[bytes]"
) -> None:
    """Tried without the shared read: as many as calls."""
    session = await process.sign_in(FIRST)
    conduit = conduit_auth(process, session)
    flux = flux_auth(process, session, conduit=conduit)
    before = valkey.info("commandstats")["cmdstat_get"]["calls"]
    await asyncio.gather(
        *(conduit.token() for _ in range(20)), *(flux.token() for _ in range(20))
    )
    after = valkey.info("commandstats")["cmdstat_get"]["calls"]
    assert after - before == 1


async def test_an_anonymous_request_costs_nothing(
    process: Process, valkey: "Redis[bytes]"
) -> None:
    before = valkey.info("stats")["total_commands_processed"]
    session = Session()
    for auth in (conduit_auth(process, session), flux_auth(process, session)):
        with pytest.raises(NotAuthenticatedError):
            await auth.token()
    after = valkey.info("stats")["total_commands_processed"]
    assert after - before == 1  # the question itself


async def test_a_field_that_is_cancelled_does_not_cancel_its_siblings(
    process: Process,
) -> None:
    session = await process.sign_in(FIRST)
    auth = conduit_auth(process, session)
    first, second = (asyncio.create_task(auth.token()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert first.cancelled()


async def test_most_requests_cost_no_task(process: Process) -> None:
    """Nor does one that is cancelled harm the others.

    Tried with a task for each read: 70 µs more of CPU for each request.
    """
    session = await process.sign_in(FIRST)
    await conduit_auth(process, session).token()  # its entry is known from now on
    await process.keeper.tasks.drain(2)
    auth = conduit_auth(process, session)
    first, second = (asyncio.create_task(auth.token()) for _ in range(2))
    await asyncio.sleep(0)
    assert not process.keeper.tasks._tasks
    first.cancel()
    assert process.conduit.check(await second) == f"user-{FIRST}"
    assert first.cancelled()


@pytest.mark.parametrize("known", [False, True])
async def test_a_vault_that_hangs_costs_a_request_its_deadline(
    process: Process, valkey_server: ValkeyServer, known: bool
) -> None:
    session = await process.sign_in(FIRST)
    if known:
        await conduit_auth(process, session).token()
        await process.keeper.tasks.drain(2)
    auth = ConduitAuth(process.keeper, session, scope(0.2))
    os.kill(valkey_server.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(UpstreamTimeoutError):
            await auth.token()
        assert time.monotonic() - started < 1
    finally:
        os.kill(valkey_server.pid, signal.SIGCONT)
    assert session.is_open


async def test_the_cookie_is_cleared_when_the_vault_is_empty(
    process: Process, valkey: "Redis[bytes]"
) -> None:
    session = await process.sign_in(FIRST)
    valkey.delete(f"vault:{session.vault_key}")
    session.changed = False
    with pytest.raises(NotAuthenticatedError):
        await conduit_auth(process, session).token()
    assert not session.is_open
    [header] = process.cookie.write(session)
    assert "Max-Age=0" in header


async def test_a_sign_in_within_the_request_is_seen(process: Process) -> None:
    session = await process.sign_in(FIRST)
    conduit = conduit_auth(process, session)
    flux = flux_auth(process, session, conduit=conduit)
    await asyncio.gather(conduit.token(), flux.token())
    email = "second@example.com"
    await process.service.sign_in(session, email, PASSWORD, scope())
    assert process.conduit.check(await conduit.token()) == f"user-{email}"
    assert subject(await flux.token()) == f"user-{email}"


async def test_what_is_read_anew_is_never_another_sessions(process: Process) -> None:
    email = "second@example.com"
    session, other = await process.sign_in(FIRST), await process.sign_in(email)
    assert other.ref is not None
    auth = conduit_auth(process, session)
    reading = asyncio.create_task(auth.reread())
    await asyncio.sleep(0)
    session.open(other.ref.user_id, other.ref.vault_key)
    assert process.conduit.check((await reading).pair.access_token) == f"user-{FIRST}"
    assert process.conduit.check(await auth.token()) == f"user-{email}"


async def test_ten_refused_calls_of_a_request_are_one_renewal(
    process: Process, conduit: FakeConduit, clock: Clock
) -> None:
    session = await process.sign_in(FIRST)
    auth = conduit_auth(process, session)
    token = await auth.token()
    clock.advance(3601)
    replaced = await asyncio.gather(*(auth.replacement(token) for _ in range(10)))
    assert len(set(replaced)) == 1
    assert conduit.check(replaced[0] or "") == f"user-{FIRST}"
    assert conduit.renewals == 1


async def test_a_signed_out_cookie_gets_no_flux_token(process: Process) -> None:
    """Tried with minting from the cookie alone: a stolen cookie reads on."""
    session = await process.sign_in(FIRST)
    stolen = Session(session.ref, source="cookie")
    await process.service.sign_out(session, scope())
    with pytest.raises(NotAuthenticatedError):
        await flux_auth(process, stolen).token()


async def test_no_flux_token_while_the_vault_is_down(process: Process) -> None:
    session = await process.sign_in(FIRST)
    process.vault._outage.failed()
    with pytest.raises(VaultUnavailableError):
        await flux_auth(process, session).token()


def subject(token: str | None) -> str:
    claims = jwt.decode(token or "", SECRET, algorithms=["HS256"])
    return str(claims["sub"])


async def test_a_minted_token_is_the_persons_own(process: Process) -> None:
    session = await process.sign_in(FIRST)
    token = await flux_auth(process, session).token()
    claims = jwt.decode(token or "", SECRET, algorithms=["HS256"])
    assert claims["sub"] == f"user-{FIRST}"
    assert claims["role"] == "authenticated"
    assert claims["exp"] - claims["iat"] == 300
    assert isinstance(claims["exp"], int)


async def test_a_refused_minted_token_is_minted_anew(
    process: Process, clock: Clock
) -> None:
    session = await process.sign_in(FIRST)
    minter = FluxTokenMinter(MINT, clock=clock)
    auth = FluxAuth(minter, session, conduit_auth(process, session))
    token = await auth.token()
    assert token is not None
    assert await auth.replacement(token) is None  # same second, same text
    clock.advance(2)
    assert await auth.replacement(token) not in (None, token)


def test_a_minted_token_is_cached_until_30_s_before_its_end(clock: Clock) -> None:
    minter = FluxTokenMinter(MINT, clock=clock)
    first = minter.token(user_id="u", record=None)
    clock.advance(265)
    assert minter.token(user_id="u", record=None) == first
    clock.advance(6)
    assert minter.token(user_id="u", record=None) != first
    assert minter.token(user_id="v", record=None) != first


def test_the_cache_of_minted_tokens_is_bounded(clock: Clock) -> None:
    minter = FluxTokenMinter(MINT, clock=clock)
    for number in range(MAX_CACHED + 5):
        minter.token(user_id=f"u{number}", record=None)
    assert len(minter._cached) == MAX_CACHED


async def test_a_vaulted_token_comes_from_the_record(
    process: Process, valkey: "Redis[bytes]"
) -> None:
    session = await process.sign_in(FIRST)
    with pytest.raises(NotAuthenticatedError):
        await flux_auth(process, session, "vault").token()
    name = f"vault:{session.vault_key}"
    record = json.loads(valkey.get(name) or b"{}")
    valkey.set(name, json.dumps({**record, "fluxToken": "flux-1"}))
    auth = flux_auth(process, session, "vault")
    assert await auth.token() == "flux-1"
    assert await auth.replacement("flux-1") is None
    valkey.set(name, json.dumps({**record, "fluxToken": "flux-2"}))
    assert await auth.replacement("flux-1") == "flux-2"


async def test_none_sends_no_header_but_asks_for_a_session(process: Process) -> None:
    session = await process.sign_in(FIRST)
    assert await flux_auth(process, session, "none").token() is None
    with pytest.raises(NotAuthenticatedError):
        await flux_auth(process, Session(), "none").token()


def test_minting_without_a_secret_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="FLUX_JWT_SECRET"):
        flux_tokens(FluxTokenSettings(source="mint"))
    assert SECRET not in repr(MINT)
