"""What Flux sets up for a project in PostgreSQL: roles, schema, `auth.uid()`.

`sandbox/upstreams.py` and tests call `create_login` once per server, `create_tenant`
once per project, and `run_as_owner` with the project's own SQL (`flux-init.sql`).
"""

import secrets
from typing import Any

import asyncpg

from .settings import Project
from .sql import identifier, literal

LOGIN_ROLE = "authenticator"

_AUTH = """
create schema if not exists auth;
create or replace function auth.uid() returns text language sql stable as $$
    select nullif(
        nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub', ''
    )
$$;
grant usage on schema auth to public;
"""


async def create_login(connection: "asyncpg.Connection[Any]") -> str:
    """Make the role that PostgREST logs in as; its new password is the answer."""
    password = secrets.token_hex(16)
    await _create_role(connection, LOGIN_ROLE, "login noinherit")
    await connection.execute(
        f"alter role {identifier(LOGIN_ROLE)} password {literal(password)}"
    )
    return password


async def create_tenant(
    connection: "asyncpg.Connection[Any]", project: Project
) -> None:
    """Make a project's roles and its empty schema, with Flux's default privileges."""
    role, owner = identifier(project.role), identifier(project.owner_role)
    schema = identifier(project.schema)
    await _create_role(connection, project.role, "nologin")
    await _create_role(connection, project.owner_role, "nologin")
    await connection.execute(
        f"grant {role} to {identifier(LOGIN_ROLE)};"
        f"create schema {schema} authorization {owner};"
        f"grant usage on schema {schema} to {role};"
        f"alter default privileges for role {owner} in schema {schema}"
        f" grant select on tables to {role};"
        f"{_AUTH}"
    )


async def run_as_owner(
    connection: "asyncpg.Connection[Any]", project: Project, sql: str
) -> None:
    """Run a project's SQL as `flux push` does: as its owner, in its schema."""
    async with connection.transaction():
        await connection.execute(
            f"set local role {identifier(project.owner_role)};"
            f"set local search_path = {identifier(project.schema)};{sql}"
        )


async def _create_role(
    connection: "asyncpg.Connection[Any]", name: str, options: str
) -> None:
    """Roles belong to the server, so another database may have made it already."""
    if not await connection.fetchval("select to_regrole($1)", identifier(name)):
        await connection.execute(f"create role {identifier(name)} {options}")
