"""Access and refresh tokens, and which of them live side by side.

Relies on "Tokens", "Sessions" and "Renew under concurrency" in section 2 of
conduit.md. Used by `authentication.py`, and by `router.py` to know the caller.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from .failures import ModuleError
from .settings import ConduitSettings


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One session's tokens."""

    user_id: str
    client_id: str
    access_token: str
    refresh_token: str
    refresh_expires: float


class Tokens:
    """The token tables of the authentication module."""

    def __init__(self, settings: ConduitSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._by_user: dict[str, list[Pair]] = {}
        self._by_refresh: dict[str, Pair] = {}

    async def sign_in(self, user_id: str, client_id: str) -> Pair:
        """A new pair, ending the user's others by the settings."""
        if not self._settings.multiple_user_sessions:
            self._end(user_id, client_id)
        await asyncio.sleep(self._settings.renew_step_s)
        return self._issue(user_id, client_id, sudo=True)

    def find(self, refresh_token: str) -> Pair:
        """The pair of a refresh token. Raises: ModuleError."""
        pair = self._by_refresh.get(refresh_token)
        if pair is None:
            raise ModuleError(400, "Refresh token not found")
        return pair

    async def renew(self, pair: Pair) -> Pair:
        """A new pair for an old one that was just found. Raises: ModuleError."""
        if pair.refresh_expires <= self._clock():
            raise ModuleError(400, "Token expired")
        await asyncio.sleep(self._settings.renew_step_s)
        if self._settings.multiple_user_sessions:
            self._remove(pair)
        else:
            self._end(pair.user_id, pair.client_id)
        await asyncio.sleep(self._settings.renew_step_s)
        return self._issue(pair.user_id, pair.client_id, sudo=False)

    def sign_out(self, user_id: str, access_token: str) -> None:
        """End the session of an access token."""
        for pair in list(self._by_user.get(user_id, ())):
            if pair.access_token == access_token:
                self._remove(pair)

    def revoke(self, user_id: str) -> None:
        """End all sessions of a user, as an administrator can."""
        for pair in list(self._by_user.get(user_id, ())):
            self._remove(pair)

    def claims(self, access_token: str, client_id: str) -> dict[str, Any]:
        """The claims of a token that is valid and not revoked. Raises: ModuleError."""
        try:
            claims: dict[str, Any] = jwt.decode(
                access_token,
                self._settings.jwt_secret,
                algorithms=["HS256"],
                options={"verify_exp": False, "verify_iat": False},
            )
            expired = claims["exp"] <= self._clock()
        except (jwt.InvalidTokenError, KeyError):
            expired = True
        if expired:
            raise ModuleError(401, "Token is expired or otherwise not valid")
        for pair in self._by_user.get(claims.get("id", ""), ()):
            if pair.access_token == access_token and pair.client_id == client_id:
                return claims
        raise ModuleError(
            401,
            "Token has been revoked or there is a mismatch between the token and the "
            "client",
        )

    def _issue(self, user_id: str, client_id: str, *, sudo: bool) -> Pair:
        now = self._clock()
        claims = {
            "id": user_id,
            "authorized": True,
            "sudo": sudo,
            "iat": int(now),
            "exp": int(now + self._settings.access_token_s),
        }
        pair = Pair(
            user_id=user_id,
            client_id=client_id,
            access_token=jwt.encode(claims, self._settings.jwt_secret, "HS256"),
            refresh_token=base64.b64encode(secrets.token_bytes(64)).decode(),
            refresh_expires=now + self._settings.refresh_token_s,
        )
        self._by_user.setdefault(user_id, []).append(pair)
        self._by_refresh[pair.refresh_token] = pair
        return pair

    def _end(self, user_id: str, client_id: str) -> None:
        for pair in list(self._by_user.get(user_id, ())):
            if pair.client_id == client_id:
                self._remove(pair)

    def _remove(self, pair: Pair) -> None:
        if self._by_refresh.pop(pair.refresh_token, None) is not None:
            self._by_user[pair.user_id].remove(pair)
