"""The lock over all processes: won by one, kept while it lives, never kept for good."""

import asyncio

import pytest

from clients.errors import UpstreamUnavailableError, VaultUnavailableError
from session.lease import LeaseSettings, lease
from session.memory import MemoryVault

SETTINGS = LeaseSettings(lease_s=0.2, wait_s=2.0)


async def is_free(vault: MemoryVault) -> bool:
    free = await vault.hold("name", "somebody else", 0.01)
    await vault.release("name", "somebody else")
    return free


async def test_one_holder_at_a_time_and_in_the_end_none() -> None:
    vault = MemoryVault()
    inside, most = 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with lease(vault, "name", SETTINGS):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(5)))
    assert most == 1
    assert await is_free(vault)


async def test_it_is_kept_for_longer_than_its_length() -> None:
    """Tried without `_extend`: free after 0.2 s."""
    vault = MemoryVault()
    async with lease(vault, "name", SETTINGS):
        for _ in range(6):
            await asyncio.sleep(0.1)
            assert not await is_free(vault)


async def test_who_waits_too_long_is_told_so() -> None:
    vault = MemoryVault()
    await vault.hold("name", "somebody else", 60)
    with pytest.raises(UpstreamUnavailableError):
        async with lease(vault, "name", LeaseSettings(wait_s=0.1)):
            raise AssertionError("must not get here")


class StubbornVault(MemoryVault):
    """Turns a cancelled extension into a failure, as a client may that times out."""

    async def hold(self, name: str, owner: str, lease_s: float) -> bool:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            raise VaultUnavailableError("timed out", service="vault") from None
        return await super().hold(name, owner, lease_s)


async def test_a_lock_that_was_given_up_is_not_extended_any_more() -> None:
    """Tried with the extending task cancelled, as it was: the lock is never free again.

    Seen with 10,000 operations on a machine that stood still for seconds.
    """
    vault = StubbornVault()
    for pause_s in (0.06, 0.08, 0.1, 0.12):  # some of them end amid an extension
        async with lease(vault, "name", SETTINGS):
            await asyncio.sleep(pause_s)
        assert await is_free(vault)
        await asyncio.sleep(0.15)
        assert await is_free(vault)


async def test_an_outage_while_it_is_held_does_not_end_the_work() -> None:
    vault = MemoryVault()
    async with lease(vault, "name", SETTINGS):
        vault.hold = failing  # type: ignore[method-assign]
        await asyncio.sleep(0.15)
    assert not vault._locks.get("name")


async def failing(name: str, owner: str, lease_s: float) -> bool:
    raise VaultUnavailableError("down", service="vault")
