"""Attempts to sign in are bounded before the upstream's own bound is used up."""

from collections.abc import Callable

import pytest
from session_harness import PASSWORD, FakeConduit, Process, scope

from clients.errors import InvalidCredentialsError, RateLimitedError
from session.accounts import SessionService
from session.login_limits import LoginLimiter, LoginLimits, account_name, network
from session.session import Session
from session.vault import RedisVault

LIMITS = LoginLimits(window_s=60, per_address=5, per_account=3)
FIRST = "first@example.com"
WRONG = "not the password"


@pytest.fixture
def service(process: Process) -> SessionService:
    return SessionService(
        process.vault,
        process.keeper,
        process.conduit,
        process.cookie,
        policy=process.policy,
        limits=LIMITS,
    )


async def attempt(
    service: SessionService, email: str, address: str | None, password: str = WRONG
) -> None:
    await service.sign_in(Session(), email, password, scope(), client_address=address)


async def test_guessing_one_account_from_many_addresses_is_stopped(
    service: SessionService, conduit: FakeConduit
) -> None:
    for number in range(3):
        with pytest.raises(InvalidCredentialsError):
            await attempt(service, FIRST, f"192.0.2.{number}")
    for spelling in (FIRST, " First@Example.com "):
        with pytest.raises(RateLimitedError) as caught:
            await attempt(service, spelling, "192.0.2.9", PASSWORD)
        assert 0 < (caught.value.retry_after_s or 0) <= 60
    assert conduit.sign_ins == 3


async def test_guessing_many_accounts_from_one_address_is_stopped(
    service: SessionService, conduit: FakeConduit
) -> None:
    for number in range(5):
        with pytest.raises(InvalidCredentialsError):
            await attempt(service, f"{number}@example.com", "2001:db8::1")
    with pytest.raises(RateLimitedError):
        await attempt(service, "9@example.com", "2001:db8::ffff")
    with pytest.raises(InvalidCredentialsError):
        await attempt(service, "9@example.com", "2001:db8:0:1::1")
    assert conduit.sign_ins == 6


async def test_who_knows_the_password_is_not_locked_out(
    service: SessionService,
) -> None:
    for number in range(6):
        for _ in range(2):
            with pytest.raises(InvalidCredentialsError):
                await attempt(service, FIRST, None)
        await attempt(service, FIRST, f"192.0.2.{number}", PASSWORD)


async def test_all_processes_count_together(
    new_vault: Callable[..., RedisVault],
) -> None:
    limiters = [LoginLimiter(new_vault(), LIMITS) for _ in range(2)]
    for limiter in limiters:
        await limiter.check_sign_in(FIRST, None)
    await limiters[0].check_sign_in(FIRST, None)
    with pytest.raises(RateLimitedError):
        await limiters[1].check_sign_in(FIRST, None)


async def test_sign_ups_are_counted_apart(service: SessionService) -> None:
    for number in range(5):
        await service.sign_up(
            f"{number}@example.com", PASSWORD, scope(), client_address="192.0.2.1"
        )
    with pytest.raises(RateLimitedError):
        await service.sign_up("9@e.org", PASSWORD, scope(), client_address="192.0.2.1")
    await attempt(service, FIRST, "192.0.2.1", PASSWORD)


def test_the_default_stays_under_the_upstreams_30_in_15_minutes() -> None:
    assert LoginLimits().per_address < 30
    assert LoginLimits().window_s == 900


def test_names_do_not_give_addresses_away() -> None:
    assert "first" not in account_name(FIRST)
    assert network("192.0.2.1") == network("::ffff:192.0.2.1") == "192.0.2.1"
    assert network("unix") == "unix"
