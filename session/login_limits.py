"""`LoginLimiter`: bounds attempts to sign in or up, before the upstream's bound is hit.

Used by `session/accounts.py`. Conduit allows 30 sign-ins and 30 sign-ups per address
in 15 minutes (conduit.md §8) and forgets them only with time; an attacker who uses
them up locks everybody out who shares the address. The counts stand in the vault, so
all processes count together.
"""

import asyncio
import ipaddress
from dataclasses import dataclass

from clients.errors import RateLimitedError

from .records import digest
from .vault import TokenVault


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginLimits:
    """Attempts in each window; the address's must stay under the upstream's 30."""

    window_s: int = 900
    per_address: int = 25
    per_account: int = 10


class LoginLimiter:
    """Counts before the upstream is asked; a refused attempt costs it nothing."""

    def __init__(self, vault: TokenVault, limits: LoginLimits) -> None:
        self._vault = vault
        self._limits = limits

    async def check_sign_in(self, email: str, address: str | None) -> None:
        """Count one attempt. Raises: RateLimitedError, VaultUnavailableError."""
        limits = self._limits
        await asyncio.gather(
            self._check(account_name(email), limits.per_account),
            self._check_address("in", address),
        )

    async def check_sign_up(self, address: str | None) -> None:
        """Count one attempt. Raises: RateLimitedError, VaultUnavailableError."""
        await self._check_address("up", address)

    async def signed_in(self, email: str) -> None:
        """The account's count starts anew: its person knows the password."""
        await self._vault.forget_count(account_name(email))

    async def _check_address(self, what: str, address: str | None) -> None:
        if address is not None:
            name = f"{what}:{digest(network(address))}"
            await self._check(name, self._limits.per_address)

    async def _check(self, name: str, limit: int) -> None:
        count, resets_in_s = await self._vault.count(name, self._limits.window_s)
        if count > limit:
            raise RateLimitedError(
                "too many attempts to sign in",
                retry_after_s=resets_in_s,
                service="vault",
                operation="login limit",
            )


def account_name(email: str) -> str:
    """One name for an account, however its address is written; not the address."""
    return f"account:{digest(email.strip().lower())}"


def network(address: str) -> str:
    """Whom an address stands for: an IPv4 address, or an IPv6 /64 (one customer)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
