"""Accounts: sign-up, sign-in, renewal, sign-out, and who a token belongs to.

Process-wide: nothing here belongs to one request. Called by `session/`. Relies on
conduit.md §2; recordings auth, auth_settings, auth_concurrency.

Tokens are in the bodies here: no message of a failure ever quotes a body of status 200.
"""

from typing import Final

import msgspec

from clients.errors import (
    InvalidInputError,
    NotAuthenticatedError,
    PermissionDeniedError,
    UpstreamMisconfiguredError,
)
from clients.http import Auth, CallScope, Response, Sending, UpstreamHTTP

from . import failures
from .calls import ConduitCalls
from .records import ConduitUser, ConduitViewer, TokenPair


class _SignedUp(msgspec.Struct):
    user: ConduitUser


class _Tokens(msgspec.Struct, rename="camel"):
    access_token: str | None = None
    refresh_token: str | None = None


_SIGNED_UP: Final = msgspec.json.Decoder(_SignedUp)
_TOKENS: Final = msgspec.json.Decoder(_Tokens)
_VIEWER: Final = msgspec.json.Decoder(ConduitViewer)


class ConduitAuthentication:
    """One per process, over Conduit's pool."""

    def __init__(self, http: UpstreamHTTP) -> None:
        self._http = http

    async def sign_up(self, email: str, password: str, scope: CallScope) -> ConduitUser:
        """`POST /authentication/local/new`: the account, and no tokens.

        Raises: ConflictError (e-mail in use), InvalidInputError (e-mail).
        """
        response = await self._post(
            "/authentication/local/new", "sign up", scope, email, password
        )
        return response.decode(_SIGNED_UP).user

    async def sign_in(self, email: str, password: str, scope: CallScope) -> TokenPair:
        """`POST /authentication/local`: by default it ends the person's other sessions.

        Raises: InvalidCredentialsError (unknown person and wrong password alike),
        PermissionDeniedError (blocked), InvalidInputError, RateLimitedError (30 in
        15 minutes per address).
        """
        response = await self._post(
            "/authentication/local", "sign in", scope, email, password
        )
        return _pair(response)

    def _post(
        self, path: str, operation: str, scope: CallScope, email: str, password: str
    ) -> Sending:
        return self._http.send(
            "POST",
            path,
            operation=operation,
            scope=scope,
            json={"email": email, "password": password},
            check=failures.raise_for_failure,
        )

    async def renew(self, refresh_token: str, scope: CallScope) -> TokenPair:
        """`POST /authentication/renew`: both tokens new, the old ones dead at once.

        Never sent twice: a refresh token works once.

        Raises: NotAuthenticatedError when refused (400, 401, 403): before a session is
        given up, the vault must be read again. Anything else keeps the session.
        """
        try:
            response = await self._http.send(
                "POST",
                "/authentication/renew",
                operation="renew",
                scope=scope,
                token=refresh_token,
                check=failures.raise_for_failure,
            )
        except (InvalidInputError, PermissionDeniedError) as error:
            raise NotAuthenticatedError(
                error.message,
                service=error.service,
                operation=error.operation,
                status=error.status,
                upstream_code=error.upstream_code,
            ) from error
        return _pair(response)

    async def sign_out(self, access_token: str, scope: CallScope) -> None:
        """`POST /authentication/logout`: both tokens of the session die.

        Raises: NotAuthenticatedError when the access token is expired or dead already.
        """
        await self._http.send(
            "POST",
            "/authentication/logout",
            operation="sign out",
            scope=scope,
            token=access_token,
            check=failures.raise_for_failure,
        )

    async def viewer(self, auth: Auth | None, scope: CallScope) -> ConduitViewer:
        """`GET /authentication/user`: three fields of the whole User object."""
        calls = ConduitCalls(self._http, auth, scope)
        response = await calls.read("/authentication/user", operation="viewer")
        return response.decode(_VIEWER)


def _pair(response: Response) -> TokenPair:
    tokens = response.decode(_TOKENS)
    if tokens.access_token is None or tokens.refresh_token is None:
        # With `setCookie` on, the tokens are in cookies (recording auth_settings).
        raise UpstreamMisconfiguredError(
            f"{response.operation}: no tokens in the answer; is setCookie on?",
            service="conduit",
            operation=response.operation,
            status=response.status,
        )
    return TokenPair(tokens.access_token, tokens.refresh_token)
