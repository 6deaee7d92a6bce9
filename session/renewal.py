"""`TokenKeeper`: reads a session's tokens and renews them, once for everybody.

One per process, made by `server/resources.py`; `session/auth.py` asks it for every
request that needs a token. Relies on conduit.md §2 and the recordings auth,
auth_concurrency: a refresh token is good for one use, a second renewal with it is
refused with 400, and a renewal ends the old access token at once.

A renewal, from inside to outside: the upstream is asked once; under the family's
lease, so no other process does the same; after the vault was read again, since
another one may have been first; the answer written by compare-and-set, so a session
that was ended meanwhile stays ended; all in one task per session and process that no
caller can cancel.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from clients.conduit.records import TokenPair
from clients.errors import (
    InvalidCredentialsError,
    InvalidInputError,
    NotAuthenticatedError,
    PermissionDeniedError,
    UpstreamError,
    VaultUnavailableError,
)
from clients.http import CallScope

from .family import Family, newest_first
from .lease import LeaseSettings, lease
from .policy import SessionPolicy
from .recent_entries import RecentEntries
from .records import SessionEntry, VaultRecord
from .session import SessionRef
from .tasks import TaskSet, Watched, watch
from .vault import TokenVault

T = TypeVar("T")

# What the renewal of a refresh token that is not good any more is answered with.
REFUSALS: Final = (
    NotAuthenticatedError,
    InvalidCredentialsError,
    InvalidInputError,
    PermissionDeniedError,
)
# How many flights one request may watch, and pairs one renewal may try.
MAX_FLIGHTS: Final = 3
MAX_CANDIDATES: Final = 3
POLL_S: Final = 0.05
LONGEST_SAVE_PAUSE_S: Final = 0.5
# Who holds an answer writes it within a pause; till then it may seem to be nobody's.
SETTLED_S: Final = 2 * LONGEST_SAVE_PAUSE_S

log = logging.getLogger("mainstem.session")


class Authentication(Protocol):
    """What is needed of `clients.conduit.authentication.ConduitAuthentication`."""

    async def renew(self, refresh_token: str, scope: CallScope) -> TokenPair: ...

    async def sign_out(self, access_token: str, scope: CallScope) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalSettings:
    """Seconds throughout.

    `margin_s`: renew this long before the access token ends. `give_up_after_s`: how
    long the vault is read again after a refusal, while whoever used the refresh token
    first writes its answer. `save_patience_s`: how long an answer that the vault does
    not take is kept and offered again.
    """

    margin_s: float = 30.0
    upstream_timeout_s: float = 20.0
    give_up_after_s: float = 2.0
    save_patience_s: float = 30.0
    lease: LeaseSettings = field(default_factory=LeaseSettings)


class TokenKeeper:
    """Process-wide; see the package's doc string for where it stands."""

    def __init__(
        self,
        vault: TokenVault,
        authentication: Authentication,
        *,
        policy: SessionPolicy,
        settings: RenewalSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.family = Family(vault, policy, clock)
        self.tasks = TaskSet()
        self._vault = vault
        self._authentication = authentication
        self._policy = policy
        self._settings = settings or RenewalSettings()
        self._clock = clock
        self._entries = RecentEntries()
        self._flights: dict[SessionRef, asyncio.Task[VaultRecord]] = {}

    def reading(
        self, ref: SessionRef, scope: CallScope
    ) -> Awaitable[VaultRecord | None]:
        """The session's record under way, for all the calls of one request to await.

        None when the session has ended. Nobody who is cancelled ends it for the
        others. Most requests find the entry known and cost no task: 30 µs of CPU, of
        180 before. Raises: VaultUnavailableError at once during an outage.
        """
        if self._entries.recall(ref, self._clock()) is not None:
            under_way = self._vault.begin_read(ref, deadline=scope.deadline)
            if under_way is not None:
                return under_way
        task = self.tasks.start(self._resolved(ref))
        return Watched(task, deadline=scope.deadline, what="vault read")

    async def resolve(self, ref: SessionRef) -> VaultRecord:
        """The session's record, in one round trip.

        Raises: NotAuthenticatedError when the session has ended, VaultUnavailableError.
        """
        record = await self._resolved(ref)
        if record is None:
            raise _ended("no tokens in the vault, or the session is at its end")
        return record

    async def _resolved(self, ref: SessionRef) -> VaultRecord | None:
        """None when the session has ended; what is due about it is done."""
        record, entry = await self._read(ref)
        now = self._clock()
        if record is None:
            return None
        if entry is None:
            entry = SessionEntry(now, now, opened_by="other")
            self.tasks.start(self._adopt(ref, entry))
        elif self._policy.is_over(entry, now):
            await self._vault.take(ref.vault_key)
            await self._vault.leave(ref.user_id, [ref.vault_key])
            return None
        elif self._policy.touch_due(entry, now):
            entry = entry.used(now)
            self.tasks.start(self._vault.touch(ref, entry))
        self._entries.remember(ref, entry, now, due=self._policy.next_due(entry))
        return record

    async def _read(
        self, ref: SessionRef
    ) -> tuple[VaultRecord | None, SessionEntry | None]:
        """The record always; its entry only if it was not read a moment ago.

        A session that has ended has no record, so an entry may be a little old; only
        its end, or that its use is to be written down, is never believed unasked.
        """
        entry = self._entries.recall(ref, self._clock())
        if entry is None:
            return await self._vault.resolve(ref)
        found = await self._vault.read([ref.vault_key], ref.user_id)
        return found.get(ref.vault_key), entry

    def is_fresh(self, record: VaultRecord) -> bool:
        """Whether the access token can be sent as it is: up to `margin_s` from its end.

        Of tokens that live shorter than ten margins a tenth of their life is kept
        free instead: otherwise each new token would be renewed at once. A token that
        does not tell its end counts as fresh; the upstream will say when it is not.
        """
        begin, end = record.claims.issued_at, record.claims.expires_at
        margin_s, now = self._settings.margin_s, self._clock()
        if end is None or now < end - margin_s:
            return True
        if begin:
            end -= min(margin_s, max(end - begin, 0.0) / 10)
        return now < end

    async def renewed(self, ref: SessionRef, scope: CallScope) -> VaultRecord:
        """A record whose access token is not about to end. Raises: as `replaced`."""
        return await self._watch_flights(ref, None, scope)

    async def replaced(
        self, ref: SessionRef, refused: str, scope: CallScope
    ) -> VaultRecord:
        """A record whose access token is not `refused`.

        Without any renewal when the vault holds another token by now: then somebody
        else's renewal revoked `refused` in flight.

        Raises: NotAuthenticatedError when the renewal is refused and the session has
        ended; the failure itself when it failed otherwise, the session kept.
        """
        record = await self.resolve(ref)
        if record.pair.access_token != refused and self.is_fresh(record):
            return record
        return await self._watch_flights(ref, refused, scope)

    async def end_upstream(self, pair: TokenPair, scope: CallScope) -> None:
        """End the upstream's session, as well as can be; a failure is only logged.

        An access token that has ended cannot sign out (conduit.md §2): renew first.
        """
        try:
            try:
                await self._authentication.sign_out(pair.access_token, scope)
            except NotAuthenticatedError:
                pair = await self._authentication.renew(pair.refresh_token, scope)
                await self._authentication.sign_out(pair.access_token, scope)
        except REFUSALS:
            return  # Dead already.
        except UpstreamError as error:
            log.warning(
                "upstream sign-out failed",
                extra={"fields": {"error": type(error).__name__}},
            )

    async def patiently(self, save: Callable[[], Awaitable[T]]) -> T:
        """Write what the upstream cannot give a second time, through an outage."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.save_patience_s
        pause_s = POLL_S
        while True:
            try:
                return await save()
            except VaultUnavailableError:
                if loop.time() > end:
                    log.error("tokens lost: the vault did not come back")
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_SAVE_PAUSE_S)

    def background_scope(self, request_id: str) -> CallScope:
        """For calls that outlive the request that began them."""
        return CallScope.for_background(self._settings.upstream_timeout_s, request_id)

    def holding_person(self, user_id: str) -> AbstractAsyncContextManager[None]:
        """The lease that keeps every renewal of the person waiting (`single` mode)."""
        name = self.family.person_lock(user_id)
        return lease(self._vault, name, self._settings.lease)

    async def aclose(self) -> None:
        """Let what is under way end; call it before the vault is closed."""
        await self.tasks.drain(self._settings.upstream_timeout_s)

    async def _watch_flights(
        self, ref: SessionRef, refused: str | None, scope: CallScope
    ) -> VaultRecord:
        for _ in range(MAX_FLIGHTS):
            flight = self._flights.get(ref)
            own = flight is None
            if flight is None:
                flight = self.tasks.start(self._fly(ref, refused, scope.request_id))
                self._flights[ref] = flight
            record = await watch(flight, deadline=scope.deadline, what="renewal")
            # A flight that others began for an older token may end with the refused
            # one. Not so our own: two tokens made in one second are the same text.
            if own or record.pair.access_token != refused:
                return record
        raise _ended("every new token is refused")

    async def _fly(
        self, ref: SessionRef, refused: str | None, request_id: str
    ) -> VaultRecord:
        """One flight; it is off the list before any of its watchers goes on."""
        try:
            return await self._renew(ref, refused, request_id)
        finally:
            self._flights.pop(ref, None)

    async def _renew(
        self, ref: SessionRef, refused: str | None, request_id: str
    ) -> VaultRecord:
        """Try until it is certain that the session can be kept or has ended.

        A refusal is not the end yet: another application may have used the refresh
        token a moment ago, or a sign-in on another device ended it, and the new pair
        is on its way to the vault. Between the attempts the lease is given up, since
        that sign-in may be waiting for it. Nor is anybody asked when the vault has just
        come back: another process may hold the answer and be about to write it.
        """
        loop = asyncio.get_running_loop()
        name = self.family.lock_name(ref)
        tried: set[str] = set()
        give_up_at: float | None = None
        while True:
            async with lease(self._vault, name, self._settings.lease):
                records = await self.family.records(ref)
                if ref.vault_key not in records:
                    raise _ended("the session was ended meanwhile")
                pair = self._taken_over(records, refused)
                settled = self._vault.back_for_s() >= SETTLED_S
                if pair is None and settled:
                    pair = await self._ask(records, tried, request_id)
                if pair is not None:
                    return await self._keep(ref, records, pair, request_id)
                if give_up_at is not None and loop.time() >= give_up_at:
                    await self._give_up(ref, records[ref.vault_key])
            if settled and give_up_at is None:
                give_up_at = loop.time() + self._settings.give_up_after_s
            await asyncio.sleep(POLL_S)

    async def _give_up(self, ref: SessionRef, record: VaultRecord) -> None:
        """End the session, unless its record has changed at this very moment."""
        if await self._vault.discard(ref.vault_key, record):
            await self._vault.leave(ref.user_id, [ref.vault_key])
            raise _ended("the renewal is refused")

    def _taken_over(
        self, records: Mapping[str, VaultRecord], refused: str | None
    ) -> TokenPair | None:
        newest = newest_first(records.values())[0]
        if newest.pair.access_token == refused or not self.is_fresh(newest):
            return None
        return newest.pair

    async def _ask(
        self, records: Mapping[str, VaultRecord], tried: set[str], request_id: str
    ) -> TokenPair | None:
        """A new pair from the upstream; None when it refuses all that can be tried.

        Of a family's pairs only the newest is good, but within one second it cannot
        be told which that is; a refresh token that is refused does no harm.
        """
        for record in newest_first(records.values()):
            token = record.pair.refresh_token
            if token in tried or len(tried) >= MAX_CANDIDATES:
                continue
            tried.add(token)
            scope = self.background_scope(request_id)
            try:
                return await self._authentication.renew(token, scope)
            except REFUSALS as error:
                log.info("renewal refused", extra={"fields": {"status": error.status}})
        return None

    async def _keep(
        self,
        ref: SessionRef,
        records: Mapping[str, VaultRecord],
        pair: TokenPair,
        request_id: str,
    ) -> VaultRecord:
        saved = await self.patiently(lambda: self.family.share(records, pair))
        if not saved:
            # All were signed out while the upstream answered: nobody may use it.
            await self.end_upstream(pair, self.background_scope(request_id))
        if ref.vault_key not in saved:
            raise _ended("the session was ended meanwhile")
        return saved[ref.vault_key]

    async def _adopt(self, ref: SessionRef, entry: SessionEntry) -> None:
        """Take a session that another application opened into the person's index."""
        await self._vault.enter(ref, entry)
        surplus = await self.family.trim(ref.user_id)
        if self._policy.mode == "multiple":
            for record in surplus:
                await self.end_upstream(record.pair, self.background_scope("trim"))


def _ended(message: str) -> NotAuthenticatedError:
    return NotAuthenticatedError(message, service="vault", operation="session")
