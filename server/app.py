"""The application factory: routes, door, lifespan.

`create_app(settings)` builds everything and connects to nothing; pools and vault open
with the lifespan. All requests come in by the door (`door.py`). Behind it stand plain
routes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry import Schema

from clients.conduit.detection import detect
from clients.conduit.storage import ConduitStorage
from clients.http import CallScope
from schema import build_schema
from session.cookie import SessionCookie

from .context import request_context, resources_of
from .door import Door
from .event_stream import EventStreamEndpoint
from .graphiql_page import GraphiQLFiles, GraphiQLPage
from .graphql import GraphQLEndpoint
from .guard import Guard
from .health import LiveRoute, Readiness, ReadyRoute
from .logs import configure_logging
from .preview import PreviewRoute
from .protocols import LEAVING, STOPPING
from .refusals import RefusalCode, RefusalError
from .resources import Resources, open_resources
from .settings import Settings
from .uploads import UPLOAD_PATH, UploadRoute
from .websocket import SocketEndpoint

GRAPHQL_PATH: Final = "/graphql"
# A Conduit that hangs delays the start by no more.
DETECTION_S: Final = 2.0


class Application(FastAPI):
    """FastAPI, and a shorter way in for `/graphql`.

    Starlette's own middlewares, its router and FastAPI's exit stack cost a request as
    much as all of ours; the operations go past them, by a door of the same kind.
    """

    graphql: Door
    resources: Resources  # what the lifespan opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # The path below the one that a proxy in front has cut off.
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if path == GRAPHQL_PATH:
                scope["app"] = self
                await self.graphql(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> Application:
    cookie = SessionCookie(settings.session.cookie)
    protection = settings.protection
    schema = build_schema(
        protection.limits.document,
        reveals_schema=protection.reveals_schema,
        engine=settings.engine,
    )
    guard = Guard(
        settings.guard,
        cookie_name=settings.session.cookie.name,
        upload_bytes=settings.uploads.max_bytes,
    )
    door = partial(Door, cookie=cookie, guard=guard, production=settings.production)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[dict[str, object]]:
        async with open_resources(settings, cookie) as resources:
            app.resources = resources
            # Before the first request, so that none of them finds it out by itself.
            await detect(
                resources.conduit_http,
                resources.conduit_offers,
                CallScope.for_background(DETECTION_S, "start-up"),
            )
            yield {STOPPING: resources.stopping, LEAVING: resources.leaving}

    app = Application(
        title="Mainstem",
        lifespan=lifespan,
        openapi_url=None,  # the API is the GraphQL schema, served as /schema.graphql
        redirect_slashes=False,
        routes=_routes(settings, schema, cookie),
        middleware=[Middleware(door)],
    )
    app.router.default = _nothing_here
    app.graphql = door(_graphql(settings, schema))
    return app


def create_app_from_env() -> FastAPI:
    """For worker processes, which each read the environment again."""
    settings = Settings.from_env()
    configure_logging(settings.log_level)
    return create_app(settings)


def _routes(
    settings: Settings, schema: Schema, cookie: SessionCookie
) -> list[BaseRoute]:
    """Everything but `/graphql` over HTTP."""
    routes: list[BaseRoute] = [
        *_live_routes(settings, schema, cookie),
        Route("/preview/{file_id:path}", PreviewRoute(_storage_of, settings.storage)),
        Route(UPLOAD_PATH, _uploads(settings)),
        Route("/health/live", LiveRoute()),
        Route("/health/ready", ReadyRoute(_readiness_of)),
    ]
    if settings.protection.reveals_schema:
        routes.append(Route("/schema.graphql", _schema_text(schema)))
    if settings.graphiql:
        routes.append(Mount("/graphiql", GraphiQLFiles()))
        routes.append(Route("/", RedirectResponse("/graphql", 307)))
    return routes


def _graphql(settings: Settings, schema: Schema) -> GraphQLEndpoint:
    return GraphQLEndpoint(
        schema,
        request_context,
        body_s=settings.guard.body_s,
        max_operations_bytes=settings.guard.max_body_bytes,
        cookie_name=settings.session.cookie.name,
        limits=settings.protection.limits,
        page=GraphiQLPage() if settings.graphiql else None,
        status_profile=settings.protection.status_profile,
    )


def _uploads(settings: Settings) -> UploadRoute:
    return UploadRoute(request_context, silence_s=settings.guard.body_s)


def _live_routes(
    settings: Settings, schema: Schema, cookie: SessionCookie
) -> list[BaseRoute]:
    socket = SocketEndpoint(schema, cookie, guard=settings.guard, live=settings.live)
    stream = EventStreamEndpoint(schema, cookie_name=cookie.name, live=settings.live)
    return [
        WebSocketRoute(GRAPHQL_PATH, socket),
        Route("/graphql/stream", stream),
    ]


def _schema_text(schema: Schema) -> ASGIApp:
    return PlainTextResponse(schema.as_str(), media_type="text/plain; charset=utf-8")


def _storage_of(scope: Scope) -> ConduitStorage:
    return request_context(scope).conduit.storage


def _readiness_of(scope: Scope) -> Readiness:
    return resources_of(scope).readiness


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        raise RefusalError(404, RefusalCode.NOT_FOUND, "There is nothing here.")
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})  # before the accept: a 403
