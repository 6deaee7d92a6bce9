"""Gives a request its upstream tokens: `ConduitAuth` and `FluxAuth`.

Made by `server/context.py` for every request and handed to the two clients; called by
`clients/http.py` before a call (`token`) and when the upstream refused the token
(`replacement`). The vault is read once per request, by whichever call is first.
"""

from collections.abc import Awaitable
from typing import NoReturn

from clients.errors import NotAuthenticatedError
from clients.http import CallScope

from .flux_tokens import FluxTokens
from .records import VaultRecord
from .renewal import TokenKeeper
from .session import Session, SessionRef


class ConduitAuth:
    """The access token of the session's person; a `clients.http.Auth`."""

    def __init__(self, keeper: TokenKeeper, session: Session, scope: CallScope) -> None:
        self._keeper = keeper
        self._session = session
        self._scope = scope
        self._ref: SessionRef | None = None
        self._reading: Awaitable[VaultRecord] | None = None
        self._record: VaultRecord | None = None

    @property
    def person(self) -> str | None:
        """Whose token it is."""
        return self._session.user_id

    async def record(self) -> VaultRecord:
        """The session's record; one read of the vault for the whole request.

        The read is shared, so a caller that is cancelled must not end it.

        Raises: NotAuthenticatedError when nobody is signed in (any more).
        """
        ref = self._current()
        if self._record is not None:
            return self._record
        if self._reading is None:
            self._reading = self._keeper.reading(ref, self._scope)
        try:
            record = await self._reading
        except NotAuthenticatedError:
            self._close(ref)
        return self._remember(ref, record)

    async def token(self) -> str:
        """The access token, renewed first when it is about to end."""
        record = await self.record()
        if not self._keeper.is_fresh(record):
            ref = self._current()
            try:
                record = await self._keeper.renewed(ref, self._scope)
            except NotAuthenticatedError:
                self._close(ref)
            self._remember(ref, record)
        return record.pair.access_token

    async def replacement(self, refused: str) -> str | None:
        """Another token than `refused`, from the vault or by a renewal."""
        ref = self._current()
        if self._record is None or self._record.pair.access_token == refused:
            try:
                record = await self._keeper.replaced(ref, refused, self._scope)
            except NotAuthenticatedError:
                self._close(ref)
            return self._remember(ref, record).pair.access_token
        return self._record.pair.access_token

    async def reread(self) -> VaultRecord:
        """The record as it is in the vault now."""
        ref = self._current()
        try:
            record = await self._keeper.resolve(ref)
        except NotAuthenticatedError:
            self._close(ref)
        return self._remember(ref, record)

    def _current(self) -> SessionRef:
        """The session as it is now: a sign-in in this request changes it."""
        ref = self._session.ref
        if ref is None:
            raise NotAuthenticatedError("nobody is signed in", operation="session")
        if ref != self._ref:
            self._ref, self._reading, self._record = ref, None, None
        return ref

    def _remember(self, ref: SessionRef, record: VaultRecord) -> VaultRecord:
        if ref == self._ref:
            self._record = record
        return record

    def _close(self, ref: SessionRef) -> NoReturn:
        """The session has ended elsewhere: tell the client, by clearing its cookie."""
        if self._session.ref == ref:
            self._session.close()
        raise NotAuthenticatedError("the session has ended", operation="session")


class FluxAuth:
    """The Flux token of the session's person; a `clients.http.Auth`.

    Asks the vault too: a sealed cookie outlives its sign-out, so a token is made only
    for a session whose record still exists (`conduit` has read it: no second trip).
    """

    def __init__(
        self, tokens: FluxTokens, session: Session, conduit: ConduitAuth
    ) -> None:
        self._tokens = tokens
        self._session = session
        self._conduit = conduit

    @property
    def person(self) -> str | None:
        """Whose token it is; known also where no token is sent."""
        return self._session.user_id

    async def token(self) -> str | None:
        """None sends no Authorization header."""
        ref = self._session.ref
        return self._token(ref, await self._conduit.record())

    async def replacement(self, refused: str) -> str | None:
        """A newly made or newly vaulted token; None when there is no other one."""
        ref = self._session.ref
        if ref is None:
            return None
        self._tokens.forget(user_id=ref.user_id, refused=refused)
        token = self._token(ref, await self._conduit.reread())
        return token if token != refused else None

    def _token(self, ref: SessionRef | None, record: VaultRecord) -> str | None:
        """Only for the session that `record` was read for."""
        if ref is None or ref != self._session.ref:
            raise NotAuthenticatedError("nobody is signed in", service="flux")
        return self._tokens.token(user_id=ref.user_id, vaulted=record.flux_token)
