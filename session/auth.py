"""Gives a request its upstream tokens: `ConduitAuth` and `FluxAuth`.

Made by `server/context.py` for every request and handed to the two clients; called by
`clients/http.py` before a call (`token`) and when the upstream refused the token
(`replacement`). The vault is read once per request, by whichever call is first.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

import msgspec

from clients.errors import NotAuthenticatedError
from clients.http import CallScope

from .flux_tokens import FluxTokens
from .records import VaultRecord
from .renewal import TokenKeeper
from .session import Session, SessionRef
from .shared_read import SharedRead


class ConduitAuth(msgspec.Struct, eq=False):
    """The access token of the session's person; a `clients.http.Auth`."""

    keeper: TokenKeeper
    session: Session
    scope: CallScope
    # Whose record is read, and no other's.
    _ref: SessionRef | None = None
    _reading: Awaitable[VaultRecord | None] | None = None

    @property
    def person(self) -> str | None:
        """Whose token it is."""
        return self.session.user_id

    def reading(self, ref: SessionRef | None) -> Awaitable[VaultRecord | None]:
        """The record of the session `ref`; one read of the vault for a whole request.

        The read is shared, so a caller that is cancelled must not end it. A sign-in in
        this request changes the session. None is for `ended`.

        Raises: NotAuthenticatedError when nobody is signed in.
        """
        if ref is None:
            raise _nobody()
        if self._reading is None or ref != self._ref:
            self._reading, self._ref = self.keeper.reading(ref, self.scope), ref
        return self._reading

    def ended(self, ref: SessionRef | None) -> NoReturn:
        """The session has ended elsewhere: tell the client, by clearing its cookie."""
        if self.session.ref == ref:
            self.session.close()
        raise NotAuthenticatedError("the session has ended", operation="session")

    async def token(self) -> str:
        """The access token, renewed first when it is about to end."""
        ref = self.session.ref
        record = await self.reading(ref) or self.ended(ref)
        if not self.keeper.is_fresh(record):
            record = await self._anew(partial(self.keeper.renewed, scope=self.scope))
        return record.pair.access_token

    async def replacement(self, refused: str) -> str | None:
        """Another token than `refused`, from the vault or by a renewal."""
        ref = self.session.ref
        record = await self.reading(ref) or self.ended(ref)
        if record.pair.access_token == refused:
            ask = partial(self.keeper.replaced, refused=refused, scope=self.scope)
            record = await self._anew(ask)
        return record.pair.access_token

    async def reread(self) -> VaultRecord:
        """The record as it is in the vault now."""
        return await self._anew(self.keeper.resolve)

    async def _anew(
        self, ask: Callable[[SessionRef], Awaitable[VaultRecord]]
    ) -> VaultRecord:
        """What the keeper answers now, in the place of what was read before."""
        ref = self.session.ref
        if ref is None:
            raise _nobody()
        try:
            record = await ask(ref)
        except NotAuthenticatedError:
            self.ended(ref)
        self._reading, self._ref = SharedRead.of(record), ref
        return record


class FluxAuth(msgspec.Struct, eq=False):
    """The Flux token of the session's person; a `clients.http.Auth`.

    Asks the vault too: a sealed cookie outlives its sign-out, so a token is made only
    for a session whose record still exists (`conduit` has read it: no second trip).
    """

    tokens: FluxTokens
    session: Session
    conduit: ConduitAuth

    @property
    def person(self) -> str | None:
        """Whose token it is; known also where no token is sent."""
        return self.session.user_id

    async def token(self) -> str | None:
        """None sends no Authorization header."""
        ref = self.session.ref
        record = await self.conduit.reading(ref) or self.conduit.ended(ref)
        return self._token(ref, record)

    async def replacement(self, refused: str) -> str | None:
        """A newly made or newly vaulted token; None when there is no other one."""
        ref = self.session.ref
        if ref is None:
            return None
        self.tokens.forget(user_id=ref.user_id, refused=refused)
        token = self._token(ref, await self.conduit.reread())
        return token if token != refused else None

    def _token(self, ref: SessionRef | None, record: VaultRecord) -> str | None:
        """Only for the session that `record` was read for."""
        if ref is None or ref != self.session.ref:
            raise NotAuthenticatedError("nobody is signed in", service="flux")
        return self.tokens.token(user_id=ref.user_id, record=record)


def _nobody() -> NotAuthenticatedError:
    return NotAuthenticatedError("nobody is signed in", operation="session")
