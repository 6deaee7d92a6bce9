"""`flux-init.sql` on a real PostgreSQL: fresh, again, and over the guide's table."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

INIT_SQL = (Path(__file__).parents[3] / "flux-init.sql").read_text()
POST = "40000000-0000-4000-8000-000000000001"
OTHER_POST = "40000000-0000-4000-8000-000000000002"

GUIDE_TABLE = """
create schema if not exists {schema};
create table {schema}.notes (
    id uuid primary key default gen_random_uuid(),
    body text not null,
    created_at timestamptz not null default now()
);
insert into {schema}.notes (body, created_at)
values ('from before', '2026-01-01T00:00:00Z');
"""

# Everything that the script makes, as the catalogue tells it.
CATALOGUE = """
select 'column' as kind, attname::text as name,
       format_type(atttypid, atttypmod) || ' ' || attnotnull as what
from pg_attribute where attrelid = 'api.notes'::regclass and attnum > 0
union all
select 'index', indexname, indexdef from pg_indexes where schemaname = 'api'
union all
select 'policy', policyname, cmd || coalesce(qual, '') || coalesce(with_check, '')
from pg_policies where schemaname = 'api'
union all
select 'function', proname, pg_get_functiondef(oid) from pg_proc
where pronamespace in ('api'::regnamespace, 'auth'::regnamespace)
union all
select 'trigger', tgname, pg_get_triggerdef(oid) from pg_trigger
where tgrelid = 'api.notes'::regclass
union all
select 'grant', grantee, privilege_type from information_schema.role_table_grants
where table_schema = 'api'
order by 1, 2, 3
"""


@pytest.fixture
async def connection(database: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def role(
    connection: "asyncpg.Connection[Any]", name: str, *, sub: str | None = None
) -> AsyncIterator[None]:
    """Act as PostgREST does for a token: role and claims for one transaction."""
    transaction = connection.transaction()
    await transaction.start()
    claims = "{}" if sub is None else f'{{"sub": "{sub}"}}'
    await connection.execute(f'set local role "{name}"')
    await connection.execute(
        "select set_config('request.jwt.claims', $1, true)", claims
    )
    try:
        yield
    except BaseException:
        await transaction.rollback()
        raise
    else:
        await transaction.commit()


@asynccontextmanager
async def roles(
    connection: "asyncpg.Connection[Any]", *names: str
) -> AsyncIterator[None]:
    """Roles belong to the server, not to the database: take them away again."""
    for name in names:
        await connection.execute(f'create role "{name}"')
    try:
        yield
    finally:
        for name in names:
            await connection.execute(f'drop owned by "{name}"; drop role "{name}"')


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(asyncpg.PostgresError) as caught:
        yield
    assert caught.value.sqlstate == code


async def test_running_it_twice_changes_nothing(
    connection: "asyncpg.Connection[Any]",
) -> None:
    async with roles(connection, "authenticated"):
        await connection.execute(INIT_SQL)
        once = await connection.fetch(CATALOGUE)
        await connection.execute(INIT_SQL)
        assert await connection.fetch(CATALOGUE) == once
        assert {row["name"] for row in once} >= {
            *("id", "body", "created_at", "owner_id", "updated_at", "post_id"),
            *("notes_by_owner", "notes_by_owner_and_post", "touch_note"),
            *("notes_by_post", "note_counts_by_post", "uid", "authenticated"),
        }
        assert len([row for row in once if row["kind"] == "policy"]) == 4


async def test_upgrades_the_guides_table_and_keeps_its_rows(
    connection: "asyncpg.Connection[Any]",
) -> None:
    async with roles(connection, "authenticated"):
        await connection.execute(GUIDE_TABLE.format(schema="api"))
        await connection.execute(INIT_SQL)
        await connection.execute(INIT_SQL)
        (row,) = await connection.fetch("select * from api.notes")
        assert row["body"] == "from before"
        assert row["updated_at"] == row["created_at"]
        assert row["post_id"] is None
        for sub in (None, "", "somebody"):
            async with role(connection, "authenticated", sub=sub):
                assert await connection.fetch("select * from api.notes") == []


async def test_an_operator_gives_old_rows_to_a_person(
    connection: "asyncpg.Connection[Any]",
) -> None:
    async with roles(connection, "authenticated"):
        await connection.execute(GUIDE_TABLE.format(schema="api"))
        await connection.execute(INIT_SQL)
        await connection.execute(
            "update api.notes set owner_id = 'alice' where owner_id = ''"
        )
        async with role(connection, "authenticated", sub="alice"):
            (row,) = await connection.fetch("select * from api.notes")
        assert row["updated_at"] == row["created_at"]


async def test_takes_the_schema_of_the_setting(
    connection: "asyncpg.Connection[Any]",
) -> None:
    async with roles(connection, "t_5ecfa3ab72d1_role"):
        await connection.execute(
            "select set_config('mainstem.schema', 't_5ecfa3ab72d1_api', false)"
        )
        await connection.execute(INIT_SQL)
        async with role(connection, "t_5ecfa3ab72d1_role", sub="alice"):
            await connection.execute(
                "insert into t_5ecfa3ab72d1_api.notes (body, owner_id)"
                " values ('mine', 'alice')"
            )
        assert await connection.fetchval("select to_regnamespace('api')") is None
        assert await connection.fetchval("show search_path") == '"$user", public'


async def test_takes_the_current_schema_when_it_is_a_tenants(
    connection: "asyncpg.Connection[Any]",
) -> None:
    await connection.execute(
        "create schema t_0123456789ab_api; set search_path = t_0123456789ab_api, public"
    )
    await connection.execute(INIT_SQL)
    assert await connection.fetchval("select to_regclass('t_0123456789ab_api.notes')")


async def test_keeps_an_auth_uid_that_is_there(
    connection: "asyncpg.Connection[Any]",
) -> None:
    await connection.execute(
        "create schema auth;"
        "create function auth.uid() returns text language sql as $$ select 'x' $$"
    )
    await connection.execute(INIT_SQL)
    assert await connection.fetchval("select auth.uid()") == "x"


async def test_nobody_reads_or_writes_the_notes_of_another(
    connection: "asyncpg.Connection[Any]",
) -> None:
    async with roles(connection, "authenticated"):
        await connection.execute(INIT_SQL)
        async with role(connection, "authenticated", sub="alice"):
            await connection.execute(
                "insert into api.notes (body, owner_id) values ('mine', 'alice')"
            )
        async with role(connection, "authenticated", sub="bob"):
            assert await connection.fetch("select * from api.notes") == []
            for statement in (
                "update api.notes set body = 'x'",
                "delete from api.notes",
            ):
                assert (await connection.execute(statement)).endswith(" 0")
        with refused("42501"):
            async with role(connection, "authenticated", sub="bob"):
                await connection.execute(
                    "insert into api.notes (body, owner_id) values ('forged', 'alice')"
                )
        with refused("42501"):
            async with role(connection, "authenticated", sub="alice"):
                await connection.execute("update api.notes set owner_id = 'bob'")


async def test_an_edit_moves_updated_at_only(
    connection: "asyncpg.Connection[Any]",
) -> None:
    await connection.execute(INIT_SQL)
    made = await connection.fetchrow(
        "insert into api.notes (body, owner_id) values ('a', 'alice') returning *"
    )
    edited = await connection.fetchrow("update api.notes set body = 'b' returning *")
    assert made
    assert edited
    assert made["updated_at"] == made["created_at"] == edited["created_at"]
    assert edited["updated_at"] > made["updated_at"]


TEN_NOTES = f"""
insert into api.notes (id, body, owner_id, post_id, created_at)
select (lpad(n::text, 8, '0') || '-0000-4000-8000-000000000001')::uuid, 'alice' || n,
    'alice', case when n <= 2 then '{OTHER_POST}'::uuid else '{POST}' end,
    timestamptz '2026-01-01Z' + n / 2 * interval '1 hour'
from generate_series(1, 8) as n;
insert into api.notes (body, owner_id, post_id)
values ('bob1', 'bob', '{POST}'), ('bob2', 'bob', '{POST}');
"""  # noqa: S608 - our own ids


@pytest.fixture
async def ten_notes(
    connection: "asyncpg.Connection[Any]",
) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Alice has six notes on a post, two each at a time, and two on another; bob has
    two on the first."""
    async with roles(connection, "authenticated"):
        await connection.execute(INIT_SQL)
        await connection.execute(TEN_NOTES)
        yield connection


async def test_gives_the_newest_notes_of_many_posts_in_one_call(
    ten_notes: "asyncpg.Connection[Any]",
) -> None:
    async with role(ten_notes, "authenticated", sub="alice"):
        rows = await ten_notes.fetch(
            "select body, post_id from api.notes_by_post($1, 3)",
            [OTHER_POST, POST, POST, "40000000-0000-4000-8000-000000000009"],
        )
        counts = await ten_notes.fetch(
            "select post_id::text, n from api.note_counts_by_post($1) order by 1",
            [POST, OTHER_POST],
        )
    assert [row["body"] for row in rows] == [
        *("alice8", "alice7", "alice6"),
        *("alice2", "alice1"),
    ]
    assert [tuple(row) for row in counts] == [(POST, 6), (OTHER_POST, 2)]


async def test_goes_on_strictly_after_a_cursor_with_equal_times(
    ten_notes: "asyncpg.Connection[Any]",
) -> None:
    seen: list[str] = []
    cursor: tuple[Any, ...] = (None, None)
    async with role(ten_notes, "authenticated", sub="alice"):
        while rows := await ten_notes.fetch(
            "select * from api.notes_by_post($1, 2, $2, $3)", [POST], *cursor
        ):
            seen += [row["body"] for row in rows]
            cursor = (rows[-1]["created_at"], rows[-1]["id"])
    assert seen == [f"alice{n}" for n in (8, 7, 6, 5, 4, 3)]


MANY_NOTES = """
insert into api.notes (body, owner_id, post_id, created_at)
select 'x', 'owner' || n % 50,
    ('40000000-0000-4000-8000-' || lpad((n % 97)::text, 12, '0'))::uuid,
    now() - n * interval '1 second'
from generate_series(1, 20000) as n;
analyze api.notes;
"""


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("created_at < now()", "notes_by_owner"),
        (f"post_id = '{POST}'", "notes_by_owner_and_post"),
    ],
)
async def test_pages_and_lookups_use_the_indexes(
    connection: "asyncpg.Connection[Any]", condition: str, index: str
) -> None:
    async with roles(connection, "authenticated"):
        await connection.execute(INIT_SQL)
        await connection.execute(MANY_NOTES)
        async with role(connection, "authenticated", sub="owner1"):
            plan = await connection.fetchval(
                "explain (format json) select * from api.notes where"  # noqa: S608
                f" {condition} order by created_at desc, id desc limit 5"
            )
    assert f'"Index Name": "{index}"' in plan
