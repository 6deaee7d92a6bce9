"""The router: everything between a socket and a module.

`create_conduit_app` makes the ASGI application of the client API. Order of decisions
as in sections 1 and 8 of conduit.md: size, rate limit, body, CORS, client check,
route, route's limit, token, parameters, cache, handler.
"""

import asyncio
from collections.abc import Hashable, Mapping, Sequence

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from .answers import Answer, json_answer, not_found, preflight, redirect, refusal
from .authentication import Authentication
from .authorization import Authorization
from .cache import BYPASS, AnswerCache
from .database import Database
from .declarations import Declarations
from .endpoints import Endpoints
from .exchange import Request, parsed_body, read_request, send_answer
from .failures import BadParametersError, MiddlewareError, ModuleError
from .files import serve_files
from .graphql import GraphQLRoute, Invoke
from .limits import Limiter
from .parameters import parse_query, read
from .routes import Call, Caller, Redirect, Route, WithCookies
from .state import ConduitState
from .storage import Storage

MAX_HEAD_BYTES = 16 * 1024
_REFUSALS = (ModuleError, BadParametersError, MiddlewareError)


def create_conduit_app(state: ConduitState) -> ASGIApp:
    """Conduit's client API over one state."""
    return ConduitApp(state)


def create_file_server(state: ConduitState) -> ASGIApp:
    """The local storage provider's own server over the same state."""
    return serve_files(state.files)


class ConduitApp:
    """Finds the route of a request and makes its answer."""

    def __init__(self, state: ConduitState) -> None:
        self._state = state
        self._authentication = Authentication(state)
        self._limiter = Limiter(state.clock)
        self._cache = AnswerCache(state.settings, state.clock)
        self._learn(state.routed())

    def _learn(self, declarations: Declarations) -> None:
        """Make the routes anew, for what is declared by now."""
        state = self._state
        database = Database(state)
        routes = [
            Route("GET", "/ready", _ready, token="open"),
            *self._authentication.routes(),
            *Endpoints(state, database, declarations.endpoints).routes(),
            *database.routes(declarations.schemas),
            *Storage(state).routes(),
            *Authorization(state).routes(),
        ]
        self._known = declarations
        self._graphql = GraphQLRoute(routes)
        self._by_size: dict[tuple[str, int], list[Route]] = {}
        for route in routes:
            size = (route.method, len(route.segments))
            self._by_size.setdefault(size, []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; lifespan messages are of no interest."""
        if scope["type"] != "http":
            return
        request = await read_request(scope, receive)
        if (declarations := self._state.routed()) is not self._known:
            self._learn(declarations)
        if self._state.settings.latency_s:
            await asyncio.sleep(self._state.settings.latency_s)
        try:
            answer = await self._answer(request)
        except _REFUSALS as error:
            answer = refusal(error)
        await send_answer(send, request, answer)

    async def _answer(self, request: Request) -> Answer:
        """By the order of decisions. Raises: one of the families of failures."""
        head = sum(len(name) + len(value) for name, value in request.headers.items())
        if head + len(request.path) + len(request.query) > MAX_HEAD_BYTES:
            return Answer(431, b"", [(b"connection", b"close")])
        self._check_rate(request)
        body = parsed_body(request)
        if request.method == "OPTIONS":
            return preflight()
        client_id = self._client_id(request)
        if request.segments == ("graphql",):
            return await self._graphql.answer(
                request.method, body, self._invoke_graphql(request, client_id)
            )
        found = self._find(request)
        if found is None:
            return not_found(request.method, request.path)
        return await self._run(request, *found, body, client_id)

    async def _run(
        self,
        request: Request,
        route: Route,
        url: Mapping[str, str],
        body: object,
        client_id: str,
    ) -> Answer:
        self._check_route_limit(request, route)
        caller = self._caller(route, request.headers, client_id)
        query = parse_query(request.query)
        parameters = read(route.inputs, query=query, body=body, url=url)
        call = Call(request.segments, parameters, caller, client_id, request.headers)
        value, cache_control = await self._invoke(request.path, route, call)
        if isinstance(value, Redirect):
            return redirect(value.url)
        if isinstance(value, WithCookies):
            answer = json_answer(value.body, cache_control=cache_control)
            cookies = [(b"set-cookie", text.encode()) for text in value.cookies]
            answer.headers += cookies
            return answer
        return json_answer(value, cache_control=cache_control)

    async def _invoke(
        self, path: str, route: Route, call: Call
    ) -> tuple[object, str | None]:
        """The handler's answer or a kept one, with its Cache-Control."""
        if not route.cached or call.headers.get("cache-control") == BYPASS:
            return await route.handler(call), "no-store"
        key = _cache_key(path, call)
        if (kept := self._cache.get(key)) is not None:
            return kept[0], None
        value = await route.handler(call)
        self._cache.put(key, value)
        whose = "public" if route.token == "open" else "private"
        return value, f"{whose}, max-age={int(self._state.settings.cache_s)}"

    def _invoke_graphql(self, request: Request, client_id: str) -> Invoke:
        """How the GraphQL route calls a handler: same token check, same cache."""

        async def invoke(
            route: Route,
            segments: tuple[str, ...],
            parameters: Mapping[str, object],
            populate: tuple[str, ...],
        ) -> object:
            caller = self._caller(route, request.headers, client_id)
            headers = request.headers
            call = Call(segments, parameters, caller, client_id, headers, populate)
            value, _ = await self._invoke(f"/graphql{route.path}", route, call)
            return value

        return invoke

    def _find(self, request: Request) -> tuple[Route, dict[str, str]] | None:
        """The route and its URL parameters; letters' case does not count."""
        method = "GET" if request.method == "HEAD" else request.method
        segments = request.segments
        for route in self._by_size.get((method, len(segments)), ()):
            if (url := _matched(route, segments)) is not None:
                return route, url
        return None

    def _caller(
        self, route: Route, headers: Mapping[str, str], client_id: str
    ) -> Caller | None:
        """By the route's demand. Raises: ModuleError."""
        if route.token == "open":
            return None
        try:
            return self._authentication.caller(headers, client_id)
        except ModuleError:
            if route.token == "required":
                raise
            return None

    def _check_rate(self, request: Request) -> None:
        """The global limit of an address; a preflight passes the chain twice."""
        settings = self._state.settings
        cost = 2 if request.method == "OPTIONS" else 1
        if settings.rate_limit is not None and not self._limiter.allows(
            ("", request.address),
            settings.rate_limit,
            settings.rate_window_s,
            cost=cost,
        ):
            raise MiddlewareError(429, "Too Many Requests", parsing=True)

    def _check_route_limit(self, request: Request, route: Route) -> None:
        """The limit of one route."""
        limit = route.limit
        if limit is None or not self._state.settings.route_limits:
            return
        key = (f"{route.method} {route.path}", request.address)
        if not self._limiter.allows(key, limit.requests, limit.window_s):
            raise ModuleError(429, "Too Many Requests")

    def _client_id(self, request: Request) -> str:
        """The registered client, or the name for all. Raises: MiddlewareError."""
        settings = self._state.settings
        if not settings.client_validation or request.path == "/ready":
            return "anonymous-client"
        given = request.headers.get("clientid")
        for client in settings.clients:
            if client.client_id != given:
                continue
            # A WEB client is known by its origin, not by its secret.
            secret = request.headers.get("clientsecret")
            if client.platform == "WEB" or client.secret == secret:
                return client.client_id
        raise MiddlewareError(401, "Unauthorized")


def _matched(route: Route, segments: Sequence[str]) -> dict[str, str] | None:
    url = {}
    for pattern, segment in zip(route.segments, segments, strict=True):
        if pattern.startswith(":"):
            if not segment:
                return None
            url[pattern[1:]] = segment
        elif pattern.lower() != segment.lower():
            return None
    return url


def _cache_key(path: str, call: Call) -> Hashable:
    """Path, parameters and caller (the user's document and the token's claims)."""
    caller = call.caller
    who = (
        None if caller is None else (caller.id, caller.user["updatedAt"], caller.token)
    )
    parameters = orjson.dumps(call.parameters, option=orjson.OPT_SORT_KEYS)
    return (path, parameters, call.populate, who, call.client_id)


async def _ready(call: Call) -> object:
    return {"result": "Conduit is online!"}
