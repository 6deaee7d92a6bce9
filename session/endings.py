"""`Endings`: how sessions end: one, or all of a person.

Used by `session/accounts.py`. The record goes first, so that a session has ended
before anything else can fail; then its entry in the index; then, if no other session
lives on the same tokens, the upstream's own session.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from clients.conduit.records import TokenPair
from clients.errors import UpstreamUnavailableError, VaultUnavailableError

from .family import newest_first
from .lease import LeaseSettings, lease
from .policy import SessionPolicy
from .records import VaultRecord
from .renewal import TokenKeeper
from .session import SessionRef
from .vault import TokenVault

# Ending a session does not wait for long for whoever renews it: the record is gone
# already, and the renewal ends the tokens that it can no longer store.
SHORT_LEASE: Final = LeaseSettings(wait_s=5.0)

log = logging.getLogger("mainstem.session")


class Endings:
    """Process-wide, over the keeper's family of sessions."""

    def __init__(
        self,
        vault: TokenVault,
        keeper: TokenKeeper,
        policy: SessionPolicy,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        """`announce` is told the vault key of every session that ends here."""
        self._vault = vault
        self._keeper = keeper
        self._family = keeper.family
        self._policy = policy
        self._announce = announce

    async def end(
        self, ref: SessionRef, request_id: str, gone: asyncio.Event | None = None
    ) -> None:
        """End one session; the upstream's too, if no other one lives on it.

        `gone` is set when it has ended here.
        """
        record = await self._take(ref.vault_key)
        if gone is not None:
            gone.set()
        async with self.lease_if_free(self._family.lock_name(ref)):
            await self._forget(ref.user_id, [ref.vault_key])
            others = await self._family.records(ref)
            if record is not None and not others:
                await self.end_pairs([record.pair], request_id)

    async def end_all(
        self, ref: SessionRef, request_id: str, gone: asyncio.Event | None = None
    ) -> None:
        """End every session of the person; records first, so they end at once."""
        taken = await self._take_all(ref)
        async with self.lease_if_free(self._family.person_lock(ref.user_id)):
            # Again: a sign-in or a renewal may have been under way.
            taken += await self._take_all(ref)
        if gone is not None:
            gone.set()
        pairs = [record.pair for record in newest_first(taken)]
        if self._policy.mode == "single":
            pairs = pairs[:1]
        await self.end_pairs(pairs, request_id)

    async def _take_all(self, ref: SessionRef) -> list[VaultRecord]:
        keys = {*await self._vault.entries(ref.user_id), ref.vault_key}
        taken = await asyncio.gather(*(self._take(key) for key in keys))
        await self._forget(ref.user_id, keys)
        return [record for record in taken if record is not None]

    async def _take(self, vault_key: str) -> VaultRecord | None:
        record = await self._vault.take(vault_key)
        if self._announce is not None:
            self._announce(vault_key)
        return record

    async def _forget(self, user_id: str, vault_keys: Iterable[str]) -> None:
        # An entry without a record is left out of every list, and ends by itself.
        with contextlib.suppress(VaultUnavailableError):
            await self._vault.leave(user_id, vault_keys)

    async def end_pairs(self, pairs: Iterable[TokenPair], request_id: str) -> None:
        scope = self._keeper.background_scope(request_id)
        for pair in pairs:
            await self._keeper.end_upstream(pair, scope)

    @contextlib.asynccontextmanager
    async def lease_if_free(self, name: str) -> AsyncIterator[None]:
        """The lease, or after a while the block without it."""
        async with contextlib.AsyncExitStack() as held:
            try:
                await held.enter_async_context(lease(self._vault, name, SHORT_LEASE))
            except UpstreamUnavailableError:
                log.warning("went on without the lease")
            yield
