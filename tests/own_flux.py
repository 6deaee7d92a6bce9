"""`OwnFlux`: a dedicated Flux project of a test's own, on a PostgreSQL of its own.

Made by fixtures of `tests/flow/`. An operator's changes of the schema (a constraint, a
policy, a right taken away) touch nobody else, and the refusals are PostgreSQL's own.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
from serving import served

from harness import ROOT
from sandbox.faults import FaultyUpstream
from sandbox.flux.app import create_flux_app
from sandbox.flux.dialect import DIALECTS
from sandbox.flux.settings import FluxSettings, Project
from sandbox.flux.tenant import LOGIN_ROLE, create_login, create_tenant, run_as_owner
from sandbox.launch import PostgresServer

SECRET = secrets.token_urlsafe(36)
PROJECT = Project("own", "0a1b2c3", "18181818-0000-4000-8000-000000000000")


@dataclass(frozen=True)
class OwnDatabase:
    """A PostgreSQL with the project in it, and the role `readers`, who write nothing.

    `dsn` is the superuser's, `login` that of the role that PostgREST logs in as.
    """

    dsn: str
    login: str


@dataclass(frozen=True)
class OwnFlux:
    """The project as a server sees it: its settings, and what reached it."""

    database: OwnDatabase
    environment: dict[str, str]
    faulty: FaultyUpstream

    async def change(self, sql: str) -> None:
        """Run SQL as the project's owner, as `flux push` does."""
        connection: asyncpg.Connection[Any] = await asyncpg.connect(self.database.dsn)
        await run_as_owner(connection, PROJECT, sql)
        await connection.close()


@contextlib.contextmanager
def own_database() -> Iterator[OwnDatabase]:
    """Provisioned by `flux-init.sql`; started and stopped here."""
    server = PostgresServer()
    asyncio.run(server.start())
    try:
        yield OwnDatabase(server.dsn, asyncio.run(_provisioned(server)))
    finally:
        asyncio.run(server.stop())


async def _provisioned(server: PostgresServer) -> str:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(server.dsn)
    password = await create_login(connection)
    await create_tenant(connection, PROJECT)
    for role in ("authenticated", "readers"):
        await connection.execute(
            f"create role {role} nologin; grant {role} to "
            f"{LOGIN_ROLE}; grant usage on schema "
            f"{PROJECT.schema} to {role}"
        )
    await run_as_owner(connection, PROJECT, (ROOT / "flux-init.sql").read_text())
    await connection.execute(f"grant select on {PROJECT.schema}.notes to readers")
    await connection.close()
    return server.address(LOGIN_ROLE, password)


@contextlib.asynccontextmanager
async def own_flux(
    database: OwnDatabase, dialect: int = 12, **changes: Any
) -> AsyncIterator[OwnFlux]:
    """PostgREST without the gateway, of the version that `dialect` names.

    `changes` are of `FluxSettings`.
    """
    settings = FluxSettings(
        projects=(PROJECT,),
        direct_hosts=frozenset("*"),
        schemas=("public", PROJECT.schema),
        direct_jwt_secret=SECRET,
        dialect=DIALECTS[dialect],
    )
    app = create_flux_app(database.login, replace(settings, **changes))
    faulty = FaultyUpstream(app)
    async with app.router.lifespan_context(app), served(faulty) as url:
        environment = {
            "FLUX_URL": url,
            "FLUX_POSTGREST_SCHEMA": PROJECT.schema,
            "FLUX_JWT_SECRET": SECRET,
        }
        yield OwnFlux(database, environment, faulty)
