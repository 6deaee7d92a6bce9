"""`lease`: one holder at a time over all processes, as long as the holder lives.

Used by `session/renewal.py` and `session/accounts.py` around everything that changes
a person's tokens upstream. The lock ends by itself when its holder dies; while the
holder lives it is extended. It is not a fence: a holder that was stopped for longer
than the lease may find another one at work, so what is written under it is written by
compare-and-set all the same.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from clients.errors import UpstreamUnavailableError, VaultUnavailableError

from .vault import TokenVault

FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.1
# Far above the time-outs of all that is done under a lease.
LONGEST_S: Final = 120.0

log = logging.getLogger("mainstem.session")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """`lease_s`: how long a dead holder blocks the others; `wait_s`: their patience.

    Short on purpose: an upstream may still be at work for a holder that died, and only
    who asks before it is done finds the refresh token unused.
    """

    lease_s: float = 2.0
    wait_s: float = 20.0


@contextlib.asynccontextmanager
async def lease(
    vault: TokenVault, name: str, settings: LeaseSettings
) -> AsyncIterator[None]:
    """Hold the lock `name` for the length of the block.

    Raises: UpstreamUnavailableError when it is not won in time, VaultUnavailableError.
    """
    owner, over = secrets.token_urlsafe(16), asyncio.Event()
    await _win(vault, name, owner, settings)
    extending = asyncio.create_task(_extend(vault, name, owner, settings.lease_s, over))
    try:
        yield
    finally:
        over.set()
        # Or an extension on its way would take the lock again that is given up here.
        await extending
        # If it cannot be given back now it ends by itself.
        with contextlib.suppress(VaultUnavailableError):
            await vault.release(name, owner)


async def _win(
    vault: TokenVault, name: str, owner: str, settings: LeaseSettings
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + settings.wait_s
    pause_s = FIRST_PAUSE_S
    while not await vault.hold(name, owner, settings.lease_s):
        if loop.time() > end:
            raise UpstreamUnavailableError("lock not won in time", service="vault")
        # Uneven pauses, so that waiting processes do not ask in step.
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


async def _extend(
    vault: TokenVault, name: str, owner: str, lease_s: float, over: asyncio.Event
) -> None:
    """Extend until it is over, but not for ever: a holder may hang.

    Ended by a word and not by cancelling it: on a machine that stood still redis-py was
    seen to turn a cancellation into a time-out, and a lock was held by nobody for good.
    """
    end = asyncio.get_running_loop().time() + LONGEST_S
    while asyncio.get_running_loop().time() < end:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(lease_s / 4):
                await over.wait()
        if over.is_set():
            return
        try:
            if not await vault.hold(name, owner, lease_s):
                log.warning("lease lost to another holder")
                return
        except VaultUnavailableError:
            log.warning("lease not extended: vault unavailable")
