"""`SessionService`: what a person does with sessions: sign up, in, out, list, end.

One per process; made by `server/resources.py`, called by `resolvers/users.py` and
`resolvers/sessions.py` through the request context. Whatever changes tokens upstream
runs in a task of its own, under the lease of the person's family, so that a client that
hangs up leaves nothing half done.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, Protocol

from clients.conduit.records import ConduitUser, TokenPair
from clients.errors import (
    InvalidCredentialsError,
    InvalidInputError,
    NotAuthenticatedError,
    UpstreamResponseError,
    UpstreamUnavailableError,
    VaultUnavailableError,
)
from clients.http import CallScope

from .cookie import SessionCookie
from .endings import Endings
from .even_timing import even_out
from .login_limits import LoginLimiter, LoginLimits, account_name
from .policy import SessionPolicy
from .records import (
    USER_AGENT_LIMIT,
    AccessClaims,
    SessionEntry,
    digest,
)
from .renewal import Authentication, TokenKeeper
from .session import USER_ID_LIMIT, Session, SessionRef, Transport
from .tasks import watch
from .vault import TokenVault

# 192 random bits; never taken from a client except out of a verified seal.
VAULT_KEY_BYTES: Final = 24
EMAIL_LIMIT: Final = 320
PASSWORD_LIMIT: Final = 1024

log = logging.getLogger("mainstem.session")


class Accounts(Authentication, Protocol):
    """What is needed of `clients.conduit.authentication.ConduitAuthentication`."""

    async def sign_up(
        self, email: str, password: str, scope: CallScope
    ) -> ConduitUser: ...

    async def sign_in(
        self, email: str, password: str, scope: CallScope
    ) -> TokenPair: ...


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session of the viewer. `id` is a digest: it opens nothing."""

    id: str
    created_at: float
    last_used_at: float
    user_agent: str | None
    is_current: bool


class SessionService:
    """Process-wide; every method says what it costs upstream."""

    def __init__(
        self,
        vault: TokenVault,
        keeper: TokenKeeper,
        authentication: Accounts,
        cookie: SessionCookie,
        *,
        policy: SessionPolicy,
        limits: LoginLimits | None = None,
        announce_end: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._vault = vault
        self._keeper = keeper
        self._family = keeper.family
        self._endings = Endings(vault, keeper, policy, announce_end)
        self._authentication = authentication
        self._cookie = cookie
        self._policy = policy
        self._limiter = LoginLimiter(vault, limits or LoginLimits())
        self._clock = clock

    async def sign_up(
        self,
        email: str,
        password: str,
        scope: CallScope,
        *,
        client_address: str | None = None,
    ) -> ConduitUser:
        """Make an account; opens no session. One call.

        Raises: ConflictError, InvalidInputError, RateLimitedError.
        """
        _check_input(email, password)
        await self._limiter.check_sign_up(client_address)
        return await self._authentication.sign_up(email, password, scope)

    async def sign_in(
        self,
        session: Session,
        email: str,
        password: str,
        scope: CallScope,
        *,
        user_agent: str | None = None,
        client_address: str | None = None,
        transport: Transport = "cookie",
    ) -> None:
        """Open `session` with a new vault key. One call.

        The session that it replaces in the client's cookie is ended. With
        `transport="bearer"` no cookie is written; see `sealed_token`.

        Raises: InvalidCredentialsError, InvalidInputError, RateLimitedError,
        VaultUnavailableError (then the upstream has not been asked).
        """
        _check_input(email, password)
        await self._limiter.check_sign_in(email, client_address)
        before = session.ref if session.source == transport else None
        entering = self._keeper.tasks.start(
            self._enter(email, password, scope, user_agent)
        )
        started = asyncio.get_running_loop().time()
        try:
            ref = await watch(entering, deadline=scope.deadline, what="sign-in")
        except InvalidCredentialsError:
            await even_out(started)
            raise
        except BaseException:
            # Nobody will get the cookie: what was opened must not stay open.
            entering.add_done_callback(self._end_unclaimed)
            raise
        session.open(ref.user_id, ref.vault_key, source=transport)
        if before is not None:
            self._keeper.tasks.start(self._endings.end(before, "replaced"))

    async def sign_out(
        self, session: Session, scope: CallScope, *, everywhere: bool = False
    ) -> None:
        """End this session, or all of the person. At most three calls per session.

        Nothing happens when signed out already. An upstream that cannot be reached
        does not keep anybody signed in here. Raises: VaultUnavailableError.
        """
        ref = session.ref
        if ref is None:
            return
        if everywhere and not await self._is_live(ref):
            # A cookie that was signed out before has no power over other sessions.
            session.close()
            return
        end = self._endings.end_all if everywhere else self._endings.end
        gone = asyncio.Event()
        await self._finish(end(ref, scope.request_id, gone), gone, scope)
        session.close()

    def sealed_token(self, session: Session) -> str:
        """The sealed session for `Authorization: Bearer …`; never fits the cookie."""
        return self._cookie.seal_bearer(session)

    async def list_sessions(self, session: Session) -> list[SessionInfo]:
        """The person's live sessions, the last used first. No call.

        Raises: NotAuthenticatedError, VaultUnavailableError.
        """
        ref = await self._live(session)
        entries = await self._vault.entries(ref.user_id)
        records = await self._vault.read({*entries, ref.vault_key})
        now = self._clock()
        # This session may be so new here that its entry is still on its way.
        entries.setdefault(ref.vault_key, SessionEntry(now, now))
        shown = [
            _info(key, entry, is_current=key == ref.vault_key)
            for key, entry in entries.items()
            if key in records and not self._policy.is_over(entry, now)
        ]
        await self._vault.leave(ref.user_id, entries.keys() - records.keys())
        return sorted(shown, key=lambda info: info.last_used_at, reverse=True)

    async def end_session(
        self, session: Session, session_id: str, scope: CallScope
    ) -> bool:
        """End one of the person's own sessions; False when there is no such one.

        Raises: NotAuthenticatedError, VaultUnavailableError.
        """
        ref = await self._live(session)
        keys = {*await self._vault.entries(ref.user_id), ref.vault_key}
        found = next((key for key in keys if digest(key) == session_id), None)
        if found is None:
            return False
        ended = SessionRef(ref.user_id, found)
        gone = asyncio.Event()
        end = self._endings.end(ended, scope.request_id, gone)
        await self._finish(end, gone, scope)
        if ended == ref:
            session.close()
        return True

    async def _finish(
        self,
        end: Coroutine[object, object, None],
        gone: asyncio.Event,
        scope: CallScope,
    ) -> None:
        """Wait for an ending.

        Once the session has ended here, neither the deadline nor a vault that goes down
        is a failure any more.
        """
        ending = self._keeper.tasks.start(end)
        try:
            await watch(ending, deadline=scope.deadline, what="ending a session")
        except UpstreamUnavailableError as error:  # also the vault's, and the deadline
            if not gone.is_set():
                raise
            name = type(error).__name__
            log.warning("a session ended here only", extra={"fields": {"error": name}})

    async def _live(self, session: Session) -> SessionRef:
        """Sealed is not enough here: the vault must know the session too."""
        if session.ref is None:
            raise NotAuthenticatedError("nobody is signed in", operation="session")
        await self._keeper.resolve(session.ref)
        return session.ref

    async def _is_live(self, ref: SessionRef) -> bool:
        try:
            await self._keeper.resolve(ref)
        except NotAuthenticatedError:
            return False
        return True

    async def _enter(
        self, email: str, password: str, scope: CallScope, user_agent: str | None
    ) -> SessionRef:
        """Sign in upstream and store what it gives, for all devices of the person.

        In `single` mode this ends the tokens of the other devices, which must not
        renew meanwhile: the person's lease is held from before the call where the
        vault knows whose address this is, and else from the answer on.
        """
        account = account_name(email)
        async with contextlib.AsyncExitStack() as held:
            known = None
            if self._policy.mode == "single":
                known = await self._vault.recall_account(account)
            if known is not None:
                await held.enter_async_context(self._keeper.holding_person(known))
            pair = await self._authentication.sign_in(email, password, scope)
            ref = SessionRef(_owner(pair), secrets.token_urlsafe(VAULT_KEY_BYTES))
            if self._policy.mode == "single" and known != ref.user_id:
                await held.enter_async_context(
                    self._endings.lease_if_free(self._family.person_lock(ref.user_id))
                )
            await self._keeper.patiently(lambda: self._store(ref, pair, user_agent))
        with contextlib.suppress(VaultUnavailableError):
            await self._limiter.signed_in(email)
            if known != ref.user_id:
                await self._vault.remember_account(account, ref.user_id)
        return ref

    async def _store(
        self, ref: SessionRef, pair: TokenPair, user_agent: str | None
    ) -> None:
        """May be repeated; the record first, so that no entry is without one."""
        now = self._clock()
        agent = user_agent[:USER_AGENT_LIMIT] if user_agent else None
        await self._vault.create(ref.vault_key, pair)
        await self._vault.enter(ref, SessionEntry(now, now, agent))
        if self._policy.mode == "single":
            await self._family.share(await self._family.records(ref), pair)
        surplus = await self._family.trim(ref.user_id)
        if surplus and self._policy.mode == "multiple":
            # By itself: no upstream that hangs there keeps anybody out.
            pairs = [record.pair for record in surplus]
            self._keeper.tasks.start(self._endings.end_pairs(pairs, "trim"))

    def _end_unclaimed(self, entering: asyncio.Task[SessionRef]) -> None:
        if not entering.cancelled() and entering.exception() is None:
            self._keeper.tasks.start(self._endings.end(entering.result(), "unclaimed"))


def _owner(pair: TokenPair) -> str:
    """Whose tokens these are, by their own word (claim `id`)."""
    user_id = AccessClaims.of(pair.access_token).user_id
    if user_id is None or len(user_id) > USER_ID_LIMIT:
        raise UpstreamResponseError(
            "the access token does not say whose it is",
            service="conduit",
            operation="sign in",
        )
    return user_id


def _check_input(email: str, password: str) -> None:
    """What no upstream needs to be asked about."""
    if not 0 < len(email.strip()) <= EMAIL_LIMIT:
        raise _invalid("email", "Give an e-mail address.")
    if not 0 < len(password) <= PASSWORD_LIMIT:
        raise _invalid(
            "password", f"Give a password of 1 to {PASSWORD_LIMIT} characters."
        )


def _invalid(field: str, public_message: str) -> InvalidInputError:
    return InvalidInputError(
        f"{field} refused before the call",
        field=field,
        public_message=public_message,
        operation="session",
    )


def _info(vault_key: str, entry: SessionEntry, *, is_current: bool) -> SessionInfo:
    return SessionInfo(
        id=digest(vault_key),
        created_at=entry.created_at,
        last_used_at=entry.last_used_at,
        user_agent=entry.user_agent,
        is_current=is_current,
    )
