"""The application factory: routes, middlewares, lifespan.

`create_app(settings)` builds everything and connects to nothing; pools and vault open
with the lifespan. The middlewares, from the outside: telemetry (id, log line), guard
(origin, size), cookies (session). Beneath them stand plain ASGI routes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from clients.conduit.storage import ConduitStorage
from schema import schema
from session.cookie import SessionCookie

from .context import request_context, resources_of
from .cookies import SessionCookieMiddleware
from .graphiql_page import GraphiQLFiles, GraphiQLPage
from .graphql import GraphQLEndpoint
from .guard import GuardMiddleware
from .health import LiveRoute, Readiness, ReadyRoute
from .logs import configure_logging
from .preview import PreviewRoute
from .refusals import RefusalCode, RefusalError
from .resources import open_resources
from .settings import Settings
from .telemetry import TelemetryMiddleware


def create_app(settings: Settings) -> FastAPI:
    cookie = SessionCookie(settings.session.cookie)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings, cookie) as resources:
            app.state.resources = resources
            yield

    app = FastAPI(
        title="Mainstem",
        lifespan=lifespan,
        openapi_url=None,  # the API is the GraphQL schema, served as /schema.graphql
        redirect_slashes=False,
        routes=_routes(settings),
        middleware=[
            Middleware(TelemetryMiddleware),
            Middleware(
                GuardMiddleware,
                settings=settings.guard,
                cookie_name=settings.session.cookie.name,
            ),
            Middleware(SessionCookieMiddleware, cookie=cookie),
        ],
    )
    app.router.default = _nothing_here
    return app


def create_app_from_env() -> FastAPI:
    """For worker processes, which each read the environment again."""
    settings = Settings.from_env()
    configure_logging(settings.log_level)
    return create_app(settings)


def _routes(settings: Settings) -> list[BaseRoute]:
    routes: list[BaseRoute] = [
        Route("/graphql", _graphql(settings)),
        Route("/preview/{file_id:path}", PreviewRoute(_storage_of, settings.storage)),
        Route("/schema.graphql", _schema_text()),
        Route("/health/live", LiveRoute()),
        Route("/health/ready", ReadyRoute(_readiness_of)),
    ]
    if settings.graphiql:
        routes.append(Mount("/graphiql", GraphiQLFiles()))
        routes.append(Route("/", RedirectResponse("/graphql", 307)))
    return routes


def _graphql(settings: Settings) -> GraphQLEndpoint:
    return GraphQLEndpoint(
        schema,
        request_context,
        body_s=settings.guard.body_s,
        cookie_name=settings.session.cookie.name,
        page=GraphiQLPage() if settings.graphiql else None,
    )


def _schema_text() -> ASGIApp:
    return PlainTextResponse(schema.as_str(), media_type="text/plain; charset=utf-8")


def _storage_of(scope: Scope) -> ConduitStorage:
    return request_context(scope).conduit.storage


def _readiness_of(scope: Scope) -> Readiness:
    return resources_of(scope).readiness


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        raise RefusalError(404, RefusalCode.NOT_FOUND, "There is nothing here.")
