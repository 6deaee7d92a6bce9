"""`MemoryVault`: a `TokenVault` in a dictionary, for unit tests of what stands above.

Behaves as `RedisVault` does (one contract test runs on both) except that nothing
outlives the process. Never used by the server.
"""

import time
from collections.abc import Callable, Iterable
from math import inf
from typing import Generic, TypeVar

from clients.conduit.records import TokenPair

from .claims import Claim
from .encryption import RecordCodec, VaultEncryption
from .records import SessionEntry, VaultRecord
from .session import SessionRef
from .shared_read import SharedRead

T = TypeVar("T")


class _Expiring(Generic[T]):
    """Values that end by themselves."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._values: dict[str, tuple[T, float]] = {}

    def get(self, key: str) -> T | None:
        value, end = self._values.get(key, (None, 0.0))
        return value if self._clock() < end else None

    def put(self, key: str, value: T, life_s: float) -> None:
        self._values[key] = (value, self._clock() + life_s)

    def left_s(self, key: str) -> float:
        return self._values[key][1] - self._clock()

    def pop(self, key: str) -> T | None:
        value = self.get(key)
        self._values.pop(key, None)
        return value


class MemoryVault:
    """Everything in this process; the clock may be a test's own."""

    def __init__(
        self,
        codec: RecordCodec | None = None,
        *,
        record_ttl_s: int = 604_800,
        index_ttl_s: int = 2_678_400,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._codec = codec or RecordCodec(VaultEncryption())
        self._record_ttl_s = record_ttl_s
        self._index_ttl_s = index_ttl_s
        self._records: _Expiring[bytes] = _Expiring(clock)
        self._index: _Expiring[dict[str, SessionEntry]] = _Expiring(clock)
        self._locks: _Expiring[str] = _Expiring(clock)
        self._counts: _Expiring[int] = _Expiring(clock)
        self._accounts: _Expiring[str] = _Expiring(clock)
        self._claims: _Expiring[str] = _Expiring(clock)

    async def resolve(
        self, ref: SessionRef
    ) -> tuple[VaultRecord | None, SessionEntry | None]:
        entries = self._index.get(ref.user_id) or {}
        record = self._record(ref.vault_key, ref.user_id)
        return record, entries.get(ref.vault_key)

    async def read(
        self, vault_keys: Iterable[str], user_id: str | None = None
    ) -> dict[str, VaultRecord]:
        found = {key: self._record(key, user_id) for key in vault_keys}
        return {key: record for key, record in found.items() if record is not None}

    def begin_read(
        self, ref: SessionRef, *, deadline: float
    ) -> SharedRead[VaultRecord | None]:
        return SharedRead.of(self._record(ref.vault_key, ref.user_id))

    async def create(self, vault_key: str, pair: TokenPair) -> None:
        stored = self._codec.encode(vault_key, pair, {}).stored
        self._records.put(vault_key, stored, self._record_ttl_s)

    async def swap(
        self, vault_key: str, record: VaultRecord, pair: TokenPair
    ) -> VaultRecord | None:
        if self._records.get(vault_key) != record.stored:
            return None
        new = self._codec.encode(vault_key, pair, record.other)
        self._records.put(vault_key, new.stored, self._record_ttl_s)
        return new

    async def discard(self, vault_key: str, record: VaultRecord) -> bool:
        stored = self._records.get(vault_key)
        if stored is not None and stored != record.stored:
            return False
        self._records.pop(vault_key)
        return True

    async def take(self, vault_key: str) -> VaultRecord | None:
        return self._codec.decode(vault_key, self._records.pop(vault_key))

    async def entries(self, user_id: str) -> dict[str, SessionEntry]:
        return dict(self._index.get(user_id) or {})

    async def enter(self, ref: SessionRef, entry: SessionEntry) -> None:
        entries = {**(self._index.get(ref.user_id) or {}), ref.vault_key: entry}
        self._index.put(ref.user_id, entries, self._index_ttl_s)

    async def touch(self, ref: SessionRef, entry: SessionEntry) -> None:
        stored = self._records.get(ref.vault_key)
        if stored is not None:
            self._records.put(ref.vault_key, stored, self._record_ttl_s)
        if ref.vault_key in (self._index.get(ref.user_id) or {}):
            await self.enter(ref, entry)

    async def leave(self, user_id: str, vault_keys: Iterable[str]) -> None:
        gone = set(vault_keys)
        entries = self._index.get(user_id) or {}
        kept = {key: entry for key, entry in entries.items() if key not in gone}
        self._index.put(user_id, kept, self._index_ttl_s)

    def back_for_s(self) -> float:
        return inf

    async def hold(self, name: str, owner: str, lease_s: float) -> bool:
        if self._locks.get(name) not in (None, owner):
            return False
        self._locks.put(name, owner, lease_s)
        return True

    async def release(self, name: str, owner: str) -> None:
        if self._locks.get(name) == owner:
            self._locks.pop(name)

    async def count(self, name: str, window_s: int) -> tuple[int, float]:
        so_far = self._counts.get(name)
        left_s = float(window_s) if so_far is None else self._counts.left_s(name)
        self._counts.put(name, (so_far or 0) + 1, left_s)
        return (so_far or 0) + 1, left_s

    async def forget_count(self, name: str) -> None:
        self._counts.pop(name)

    async def remember_account(self, account: str, user_id: str) -> None:
        self._accounts.put(account, user_id, self._index_ttl_s)

    async def recall_account(self, account: str) -> str | None:
        return self._accounts.get(account)

    async def claim(self, name: str, value: str, life_s: int) -> Claim | None:
        found = self._claims.get(name)
        if found is not None:
            return Claim(found, life_s - self._claims.left_s(name))
        self._claims.put(name, value, life_s)
        return None

    async def replace_claim(self, name: str, old: str, new: str, life_s: int) -> bool:
        if self._claims.get(name) != old:
            return False
        self._claims.put(name, new, life_s)
        return True

    async def drop_claim(self, name: str, value: str) -> None:
        if self._claims.get(name) == value:
            self._claims.pop(name)

    async def ping(self) -> None:
        """Always there."""

    async def aclose(self) -> None:
        """Nothing to close."""

    def _record(self, vault_key: str, user_id: str | None) -> VaultRecord | None:
        return self._codec.decode(vault_key, self._records.get(vault_key), user_id)
