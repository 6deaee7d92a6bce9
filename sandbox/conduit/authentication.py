"""Sign-up, sign-in, renewal, sign-out, and who the caller is.

Relies on section 2 of conduit.md and on recordings/auth.json and auth_settings.json.
"""

import re
from collections.abc import Mapping
from email.utils import formatdate
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, unquote

from .declarations import Input
from .failures import ModuleError
from .parameters import BODY, URL
from .routes import Call, Caller, Handler, Route, RouteLimit, WithCookies
from .state import ConduitState
from .tokens import Pair

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SIGN_IN_LIMIT = RouteLimit(requests=30, window_s=900.0)
_CREDENTIALS = (Input("email", "String", BODY), Input("password", "String", BODY))
_USER_DATA = Input("userData", "JSON", BODY)
_TEAM_NAME = Input("name", "String", BODY)
_MEMBER = (
    Input("teamId", "String", URL),
    Input("userId", "String", BODY),
    Input("role", "String", BODY, optional=True),
)


class Authentication:
    """The authentication module."""

    def __init__(self, state: ConduitState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """What it serves."""
        return [
            _open("/authentication/local/new", self._sign_up),
            _open("/authentication/local", self._sign_in),
            Route("POST", "/authentication/renew", self._renew, token="open"),
            Route("POST", "/authentication/logout", self._sign_out),
            Route("GET", "/authentication/user", self._me),
            Route("PATCH", "/authentication/user", self._change_me, (_USER_DATA,)),
            Route("DELETE", "/authentication/user", self._delete_me),
            Route("POST", "/authentication/teams", self._create_team, (_TEAM_NAME,)),
            Route(
                "POST", "/authentication/teams/:teamId/add", self._add_to_team, _MEMBER
            ),
        ]

    def caller(self, headers: Mapping[str, str], client_id: str) -> Caller:
        """Who sent a request with these headers. Raises: ModuleError."""
        token = self._token(headers, "accessToken")
        claims = self._state.tokens.claims(token, client_id)
        user = self._state.users.get(claims["id"])
        if user is None or not user["active"]:
            raise ModuleError(403, "User is blocked or deleted")
        return Caller(user, claims, token)

    def _token(self, headers: Mapping[str, str], cookie: str) -> str:
        """The bearer token. Raises: ModuleError."""
        header = headers.get("authorization")
        if header is None:
            value = _cookie(headers, cookie)
            if value is None:
                raise ModuleError(
                    401, f"No 'Authorization' header or '{cookie}' cookie present"
                )
            return value
        parts = header.split(" ")
        if len(parts) != 2:
            raise ModuleError(401, "'Authorization' header malformed")
        if parts[0] != "Bearer":
            raise ModuleError(
                401, "The 'Authorization' header must be prefixed by 'Bearer '"
            )
        return parts[1]

    async def _sign_up(self, call: Call) -> object:
        email = _email(call)
        if self._state.user_with_email(email) is not None:
            raise ModuleError(500, "User already exists", "USER_EXISTS")
        return {"user": self._state.add_user(email, call.parameters["password"])}

    async def _sign_in(self, call: Call) -> object:
        user = self._state.user_with_email(_email(call))
        password = call.parameters["password"]
        if user is None or not self._state.password_fits(user, password):
            raise ModuleError(401, "Invalid login credentials")
        if not user["active"]:
            raise ModuleError(403, "Inactive user")
        return self._pair(await self._state.tokens.sign_in(user["_id"], call.client_id))

    async def _renew(self, call: Call) -> object:
        token = self._token(call.headers, "refreshToken")
        pair = self._state.tokens.find(token)
        user = self._state.users.get(pair.user_id)
        if user is None or not user["active"]:
            raise ModuleError(403, "User is blocked")
        return self._pair(await self._state.tokens.renew(pair))

    async def _sign_out(self, call: Call) -> object:
        if call.caller is not None:
            self._state.tokens.sign_out(call.user_id, call.caller.token)
        return {"result": "LoggedOut"}

    async def _me(self, call: Call) -> object:
        return None if call.caller is None else call.caller.user

    async def _change_me(self, call: Call) -> object:
        # This stand-in's User has no fields beside the built-in ones.
        raise ModuleError(400, "User data contains invalid fields")

    async def _delete_me(self, call: Call) -> object:
        if call.caller is None or not call.caller.claims["sudo"]:
            raise ModuleError(403, "Re-login required to enter sudo mode")
        self._state.tokens.revoke(call.user_id)
        self._state.users.delete(call.user_id)
        return {"result": "LoggedOut"}

    async def _create_team(self, call: Call) -> object:
        values = {
            "name": call.parameters["name"],
            "parentTeam": None,
            "isDefault": False,
        }
        team = self._state.teams.insert(values)
        scope = f"Team:{team['_id']}"
        self._state.relations.give_role(f"User:{call.user_id}", "owner", scope)
        return team

    async def _add_to_team(self, call: Call) -> object:
        scope = f"Team:{call.parameters['teamId']}"
        self._state.relations.check_scope(f"User:{call.user_id}", "edit", scope)
        user = f"User:{call.parameters['userId']}"
        role = call.parameters.get("role", "member")
        self._state.relations.give_role(user, role, scope)
        return {"result": "User added to team"}

    def _pair(self, pair: Pair) -> object:
        """A new pair in the body, or in cookies when those are on."""
        settings = self._state.settings
        tokens = {"accessToken": pair.access_token, "refreshToken": pair.refresh_token}
        if not settings.tokens_in_cookies:
            return tokens
        lives = (settings.access_token_s, settings.refresh_token_s)
        return WithCookies(
            {},
            tuple(
                self._cookie(name, value, life_s)
                for (name, value), life_s in zip(tokens.items(), lives, strict=True)
            ),
        )

    def _cookie(self, name: str, value: str, life_s: float) -> str:
        """With the recorded mistake: a thousandth of the life that was meant."""
        age = int(life_s / 1000)
        expires = formatdate(self._state.clock() + life_s / 1000, usegmt=True)
        return (
            f"{name}={quote(value, safe='')}; Max-Age={age}; Path=/; "
            f"Expires={expires}; HttpOnly; SameSite=Lax"
        )


def _open(path: str, handler: Handler) -> Route:
    """A route that takes e-mail and password and has a limit of its own."""
    return Route(
        "POST", path, handler, _CREDENTIALS, token="open", limit=_SIGN_IN_LIMIT
    )


def _email(call: Call) -> str:
    email = str(call.parameters["email"])
    if not _EMAIL.fullmatch(email):
        raise ModuleError(400, "Invalid email address provided")
    return email


def _cookie(headers: Mapping[str, str], name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return None if found is None else unquote(found.value)
