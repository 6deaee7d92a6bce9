"""`Family`: the sessions that live on the same pair of tokens.

In `multiple` mode that is one session. In `single` mode it is all sessions of a
person: Conduit ends their other tokens at every sign-in and renewal, so each newest
pair is written into every record. Used by `session/renewal.py` and
`session/accounts.py`, always under the family's lease.

The records are written one by one (in a Cluster they lie on different nodes). A crash
in between leaves some with an older pair; whoever finds one refused looks at all
members first and takes over the newest, so nothing is lost.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from clients.conduit.records import TokenPair

from .policy import SessionPolicy
from .records import AccessClaims, SessionEntry, VaultRecord
from .session import SessionRef
from .vault import TokenVault

# A record changes under us only when another application writes it as well.
SWAP_ATTEMPTS = 5

log = logging.getLogger("mainstem.session")


class Family:
    """Finds the sessions that share tokens, and writes to all of them."""

    def __init__(
        self, vault: TokenVault, policy: SessionPolicy, clock: Callable[[], float]
    ) -> None:
        self._vault = vault
        self._policy = policy
        self._clock = clock

    def lock_name(self, ref: SessionRef) -> str:
        """What must be held while the family's tokens change."""
        if self._policy.mode == "single":
            return self.person_lock(ref.user_id)
        return f"session:{ref.vault_key}"

    def person_lock(self, user_id: str) -> str:
        return f"person:{user_id}"

    async def records(self, ref: SessionRef) -> dict[str, VaultRecord]:
        """The live records of the family by vault key; its own too, if it is alive."""
        keys = {ref.vault_key}
        if self._policy.mode == "single":
            keys |= (await self._live(ref.user_id)).keys()
        return await self._vault.read(keys, ref.user_id)

    async def share(
        self, records: Mapping[str, VaultRecord], pair: TokenPair
    ) -> dict[str, VaultRecord]:
        """Write `pair` into each of `records`; those that have ended are left out."""
        saved = await asyncio.gather(
            *(self._save(key, record, pair) for key, record in records.items())
        )
        return {
            key: record
            for key, record in zip(records, saved, strict=True)
            if record is not None
        }

    async def trim(self, user_id: str) -> list[VaultRecord]:
        """End the least recently used sessions above the limit; their records."""
        entries = await self._live(user_id)
        if len(entries) > self._policy.max_per_person:
            # What another application has ended takes nobody's place.
            found = await self._vault.read(entries)
            await self._vault.leave(user_id, entries.keys() - found.keys())
            entries = {key: entries[key] for key in found}
        by_use = sorted(entries, key=lambda key: entries[key].last_used_at)
        surplus = by_use[: max(len(by_use) - self._policy.max_per_person, 0)]
        taken = await asyncio.gather(*(self._vault.take(key) for key in surplus))
        await self._vault.leave(user_id, surplus)
        return [record for record in taken if record is not None]

    async def _live(self, user_id: str) -> dict[str, SessionEntry]:
        """The person's entries; those at their end are ended on the way."""
        now = self._clock()
        entries = await self._vault.entries(user_id)
        over = [key for key, item in entries.items() if self._policy.is_over(item, now)]
        if over:
            await asyncio.gather(*(self._vault.take(key) for key in over))
            await self._vault.leave(user_id, over)
        return {key: item for key, item in entries.items() if key not in over}

    async def _save(
        self, key: str, record: VaultRecord, pair: TokenPair
    ) -> VaultRecord | None:
        """Never makes a record anew: what has been deleted has been signed out."""
        issued_at = AccessClaims.of(pair.access_token).issued_at or 0.0
        for _ in range(SWAP_ATTEMPTS):
            if record.pair == pair:
                return record
            swapped = await self._vault.swap(key, record, pair)
            if swapped is not None:
                return swapped
            current = (await self._vault.read([key])).get(key)
            if current is None:
                return None
            if current.issued_at and current.issued_at >= issued_at:
                # Another application renewed meanwhile; what is newer counts.
                return current
            record = current
        log.warning("vault record keeps changing")
        return record


def newest_first(records: Iterable[VaultRecord]) -> list[VaultRecord]:
    """By the time their access token was issued."""
    return sorted(records, key=lambda record: record.issued_at, reverse=True)
