"""Where tokens lie: the `TokenVault` protocol, and its two implementations by name.

Used by `session/renewal.py`, `session/family.py` and `session/accounts.py`; the server
uses `RedisVault`, unit tests may use `MemoryVault`. One contract test runs on both.
"""

from collections.abc import Iterable
from typing import Protocol

from clients.conduit.records import TokenPair
from clients.errors import VaultUnavailableError

from .claims import ClaimStore
from .memory import MemoryVault
from .records import SessionEntry, VaultRecord
from .redis_vault import RedisVault
from .session import SessionRef
from .shared_read import SharedRead

__all__ = ["MemoryVault", "RedisVault", "TokenVault", "VaultUnavailableError"]


class TokenVault(ClaimStore, Protocol):
    """The store; each method is one round trip. Raises: VaultUnavailableError."""

    async def resolve(
        self, ref: SessionRef
    ) -> tuple[VaultRecord | None, SessionEntry | None]:
        """The record, if it is this person's, and the index entry of one session."""

    async def read(
        self, vault_keys: Iterable[str], user_id: str | None = None
    ) -> dict[str, VaultRecord]:
        """The records that exist and can be read; of one person, if one is named."""

    def begin_read(
        self, ref: SessionRef, *, deadline: float
    ) -> SharedRead[VaultRecord | None] | None:
        """One record of this person's, for any number of callers to await.

        None where there is no cheap way to it; then `read` does the same. `deadline`
        in event loop time. Raises: VaultUnavailableError during an outage.
        """

    async def create(self, vault_key: str, pair: TokenPair) -> None:
        """Store the tokens of a session that has just been opened."""

    async def swap(
        self, vault_key: str, record: VaultRecord, pair: TokenPair
    ) -> VaultRecord | None:
        """Put `pair` in the place of `record`, its other members and a new life kept.

        None, and nothing written, when the stored value is not `record`'s any more.
        """

    async def discard(self, vault_key: str, record: VaultRecord) -> bool:
        """Delete the record unless it has changed meanwhile; False if it had."""

    async def take(self, vault_key: str) -> VaultRecord | None:
        """Delete the record and return it."""

    async def entries(self, user_id: str) -> dict[str, SessionEntry]:
        """The person's index, by vault key."""

    async def enter(self, ref: SessionRef, entry: SessionEntry) -> None:
        """Put a session into its person's index."""

    async def touch(self, ref: SessionRef, entry: SessionEntry) -> None:
        """Renew the entry's times and the record's life; no entry is made anew."""

    async def leave(self, user_id: str, vault_keys: Iterable[str]) -> None:
        """Take sessions out of their person's index."""

    def back_for_s(self) -> float:
        """Seconds since it came back from its last outage; inf if there was none."""

    async def hold(self, name: str, owner: str, lease_s: float) -> bool:
        """Win the lock or extend its lease; False while somebody else holds it."""

    async def release(self, name: str, owner: str) -> None:
        """Give the lock up, if `owner` still holds it."""

    async def count(self, name: str, window_s: int) -> tuple[int, float]:
        """Count one attempt: how many in this window, and seconds until it ends."""

    async def forget_count(self, name: str) -> None:
        """Start counting anew."""

    async def remember_account(self, account: str, user_id: str) -> None:
        """Note whose account this is (`account` is a digest of the address)."""

    async def recall_account(self, account: str) -> str | None:
        """Whose account this is, if a sign-in has told."""

    async def ping(self) -> None:
        """Raise if the store does not answer."""

    async def aclose(self) -> None:
        """Close all connections."""
