"""The Admin API: what a provisioning tool needs of it, as its own application.

`create_admin_app` makes it over the same state as the client API; what it declares
reaches the router a little later. Every call needs the master key, every call but the
log-in a token too. Relies on section 13 of conduit.md and on recordings/admin.json.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from .admin_config import AdminConfig
from .admin_endpoints import AdminEndpoints
from .admin_schemas import AdminSchemas
from .answers import Answer, json_answer, not_found, refusal
from .exchange import Request, parsed_body, read_request, send_answer
from .failures import BadParametersError, MiddlewareError, ModuleError, NoAnswerError
from .parameters import parse_query
from .state import ConduitState


@dataclass(slots=True)
class NotAdmittedError(Exception):
    """A 401 of the core itself, which is not in the shape of a module's."""

    text: str


def create_admin_app(state: ConduitState) -> ASGIApp:
    """Conduit's Admin API over one state."""
    return AdminApp(state)


class AdminApp:
    """Checks who calls, and finds what is to be done."""

    def __init__(self, state: ConduitState) -> None:
        self._settings = state.settings
        self._tokens: set[str] = set()
        self._config = AdminConfig(state)
        self._schemas = AdminSchemas(state)
        self._endpoints = AdminEndpoints(state, self._schemas)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; lifespan messages are of no interest."""
        if scope["type"] != "http":
            return
        request = await read_request(scope, receive)
        try:
            answer = self._answer(request)
        except NotAdmittedError as error:
            answer = json_answer({"error": error.text}, status=401)
        except (ModuleError, BadParametersError, MiddlewareError) as error:
            answer = refusal(error)
        except NoAnswerError:
            await _until_the_client_leaves(receive)
            return
        await send_answer(send, request, answer)

    def _answer(self, request: Request) -> Answer:
        """Raises: NotAdmittedError, NoAnswerError, one of the families of failures."""
        if not _same(request.headers.get("masterkey"), self._settings.admin_master_key):
            raise NotAdmittedError("Unauthorized")
        parsed = parsed_body(request)
        body = parsed if isinstance(parsed, dict) else {}
        if (request.method, request.segments) == ("POST", ("login",)):
            return json_answer({"token": self._log_in(body)})
        self._check_token(request.headers)
        query = parse_query(request.query)
        parts = request.segments
        match request.method, parts[0], parts[1:]:
            case "GET", "config", ["modules"]:
                value = self._config.modules()
            case "GET" | "PATCH", "config", [module] if module in self._config:
                changes = body.get("config", {}) if request.method == "PATCH" else {}
                value = self._config.merged(module, changes)
            case method, "database", ["schemas", *id]:
                value = self._schemas.answer(method, id, query, body)
            case method, "database", ["customEndpoints", *id]:
                value = self._endpoints.answer(method, id, query, body)
            case _:
                value = None
        if value is None:
            return not_found(request.method, request.path)
        return json_answer(value)

    def _log_in(self, body: Mapping[str, object]) -> str:
        """A token. Raises: ModuleError."""
        settings = self._settings
        if not (
            _same(body.get("username"), settings.admin_user)
            and _same(body.get("password"), settings.admin_password)
        ):
            raise ModuleError(401, "Invalid username/password")
        token = secrets.token_urlsafe(32)
        self._tokens.add(token)
        return token

    def _check_token(self, headers: Mapping[str, str]) -> None:
        """Raises: NotAdmittedError."""
        prefix, _, token = headers.get("authorization", "").partition(" ")
        if not token:
            raise NotAdmittedError("No token provided")
        if prefix != "Bearer" or token not in self._tokens:
            raise NotAdmittedError("Invalid token")  # its words were not recorded


def _same(given: object, right: str) -> bool:
    return isinstance(given, str) and secrets.compare_digest(
        given.encode(), right.encode()
    )


async def _until_the_client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
