"""Both stand-ins with their servers and the demo data, as one thing to start and stop.

`sandbox/__main__.py` runs it. The HTTP servers (Flux, Conduit, Conduit's file
server and its Admin API) share this process's event loop; each is wrapped in
`FaultyUpstream`.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import uvicorn
from starlette.types import ASGIApp

from . import data
from .conduit import (
    ConduitSettings,
    ConduitState,
    create_admin_app,
    create_conduit_app,
    create_file_server,
    load_declarations,
)
from .faults import FaultyUpstream
from .flux.app import create_flux_app
from .flux.dialect import PostgREST12
from .flux.settings import FluxSettings, Project
from .flux.tenant import LOGIN_ROLE, create_login, create_tenant, run_as_owner
from .launch import LaunchError, PostgresServer

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
SLUG = "mainstem-demo"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to listen; 0 takes a free port."""

    flux: int
    conduit: int
    files: int
    admin: int


class Upstreams:
    """Flux and Conduit, ready once entered; their addresses are known from then on."""

    def __init__(
        self, ports: Ports, *, jwt_secret: str, unlimited: bool, dialect: PostgREST12
    ) -> None:
        self._ports = ports
        self._dialect = dialect
        self._unlimited = unlimited
        self._project = Project(
            slug=SLUG,
            hash="0a1b2c3",
            tenant_id="5ecfa3ab-72d1-4b2a-8000-000000000000",
            jwt_secret=jwt_secret,
        )
        self._stack = AsyncExitStack()
        self._served: list[FaultyUpstream] = []
        self.flux_url = ""
        self.conduit_url = ""
        self.files_url = ""
        self.admin_url = ""
        self.conduit_settings = ConduitSettings(
            rate_limit=None if unlimited else 50,
            route_limits=not unlimited,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._start_conduit()
            await self._start_flux()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _start_flux(self) -> None:
        postgres = await self._stack.enter_async_context(PostgresServer())
        password = await make_database(postgres.dsn, self._project)
        settings = FluxSettings(
            projects=(self._project,),
            loopback_project=SLUG,
            dialect=self._dialect,
            schemas=("public", self._project.schema),
            rate_limit_requests=None if self._unlimited else 100,
        )
        app = create_flux_app(postgres.address(LOGIN_ROLE, password), settings)
        await self._stack.enter_async_context(app.router.lifespan_context(app))
        self.flux_url = await self._serve(app, self._ports.flux)

    async def _start_conduit(self) -> None:
        settings = self.conduit_settings
        declarations = load_declarations(ROOT / "conduit-init.json")
        state = ConduitState(declarations, settings)
        files = create_file_server(state)
        self.files_url = await self._serve(files, self._ports.files)
        settings.file_server_url = self.files_url
        fill(state)
        conduit = create_conduit_app(state)
        self.conduit_url = await self._serve(conduit, self._ports.conduit)
        settings.host_url = self.conduit_url
        admin = create_admin_app(state)
        self.admin_url = await self._serve(admin, self._ports.admin)

    async def _serve(self, app: ASGIApp, port: int) -> str:
        """Serve an application on one port until the end. Raises: LaunchError."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            listener.close()
            raise LaunchError(f"port {port} is taken ({error.strerror})") from error
        config = uvicorn.Config(
            FaultyUpstream(app, together=self._served),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve([listener]))
        self._stack.push_async_callback(_end, server, task)
        while not server.started:
            if task.done():
                raise LaunchError(f"nothing serves port {port}")
            await asyncio.sleep(0.01)
        return f"http://{HOST}:{listener.getsockname()[1]}"


class _Server(uvicorn.Server):
    """Signals are for `sandbox/__main__.py`, which ends everything in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _end(server: uvicorn.Server, task: "asyncio.Task[None]") -> None:
    server.should_exit = True
    await task


async def make_database(dsn: str, project: Project) -> str:
    """Roles, tenant, `flux-init.sql`, demo notes; gives the login role's password."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn)
    try:
        password = await create_login(connection)
        await create_tenant(connection, project)
        script = await asyncio.to_thread((ROOT / "flux-init.sql").read_text)
        await run_as_owner(connection, project, script)
        await connection.executemany(
            f'insert into "{project.schema}".notes'  # noqa: S608 - a name of ours
            " (id, owner_id, post_id, body, created_at) values ($1, $2, $3, $4, $5)",
            [
                (note.id, note.owner_id, note.post_id, note.body, note.created_at)
                for note in data.notes()
            ],
        )
    finally:
        await connection.close()
    return password


def fill(state: ConduitState) -> None:
    """Put the demo people, files and posts into Conduit."""
    for user in data.users():
        state.add_user(user.email, data.PASSWORD, user.username, id=user.id)
    for file in data.files():
        state.add_file(
            file.name,
            file.content,
            mime_type=file.mime_type,
            folder=f"u/{file.owner_id}/",
            is_public=file.is_public,
            owner=file.owner_id,
            id=file.id,
            created_at=_moment(file.created_at),
        )
    for post in data.posts():
        state.add_post(
            post.title,
            post.author_id,
            body=post.body,
            cover_file=post.cover_file_id,
            id=post.id,
            created_at=_moment(post.created_at),
        )


def _moment(time: datetime) -> str:
    """As Conduit writes times: UTC, milliseconds, Z."""
    text = time.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
