"""The stand-in as Mainstem uses it: gateway, `flux-init.sql`, limits and outages."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import jwt
import pytest

from sandbox.flux.app import create_flux_app
from sandbox.flux.settings import FluxSettings, Project
from sandbox.flux.tenant import LOGIN_ROLE, create_login, create_tenant, run_as_owner
from sandbox.launch import PostgresServer

INIT_SQL = (Path(__file__).parents[3] / "flux-init.sql").read_text()
SECRET = "a secret of the sandbox, thirty-two bytes or more"
PROJECT = Project(
    slug="sandbox",
    hash="5a4db0c",
    tenant_id="5a4db0c0-0000-4000-8000-000000000000",
    jwt_secret=SECRET,
)
SETTINGS = FluxSettings(
    projects=(PROJECT,),
    loopback_project=PROJECT.slug,
    direct_hosts=frozenset(("postgrest.localhost",)),
    schemas=("public", PROJECT.schema),
    direct_jwt_secret=SECRET,
    rate_limit_requests=None,
)
POST = "40000000-0000-4000-8000-000000000001"

SLOW_SQL = """
create function slow_note(body text, owner_id text) returns void language sql as $$
    insert into notes (body, owner_id) values ($1, $2);
    select from pg_sleep(0.4);
$$;
"""


@pytest.fixture(scope="module")
async def login(postgres: PostgresServer) -> str:
    """The login role's address in a server with the sandbox's project."""
    return await prepared(postgres, INIT_SQL + SLOW_SQL)


async def prepared(server: PostgresServer, sql: str) -> str:
    connection = await asyncpg.connect(server.dsn)
    password = await create_login(connection)
    await create_tenant(connection, PROJECT)
    await run_as_owner(connection, PROJECT, sql)
    await connection.close()
    return server.address(LOGIN_ROLE, password)


@pytest.fixture(autouse=True)
async def empty(postgres: PostgresServer, login: str) -> None:
    admin = await asyncpg.connect(postgres.dsn)
    await admin.execute(f"truncate {PROJECT.schema}.notes")
    await admin.close()


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(
    login: str, settings: FluxSettings = SETTINGS, clock: Any = time.monotonic
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_flux_app(login, settings, clock=clock)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8101"
        ) as client,
    ):
        yield client


def bearer(sub: str) -> dict[str, str]:
    token = jwt.encode({"sub": sub, "exp": int(time.time()) + 300}, SECRET)
    return {"Authorization": f"Bearer {token}"}


def note(owner: str, body: str = "x") -> dict[str, str]:
    return {"owner_id": owner, "body": body, "post_id": POST}


async def test_two_people_never_see_each_others_rows_when_their_requests_interleave(
    login: str,
) -> None:
    async with running(login) as client:

        async def person(sub: str) -> set[str]:
            owners: set[str] = set()
            for _ in range(20):
                await client.post("/notes", json=note(sub), headers=bearer(sub))
                rows = await client.get("/notes?select=owner_id", headers=bearer(sub))
                owners |= {row["owner_id"] for row in rows.json()}
            return owners

        people = [f"person-{n}" for n in range(12)]
        seen = await asyncio.gather(*map(person, people))
    assert seen == [{sub} for sub in people]


async def test_answers_the_functions_of_flux_init_sql(login: str) -> None:
    async with running(login) as client:
        rows = [note("alice", str(n)) for n in range(3)]
        await client.post("/notes", json=rows, headers=bearer("alice"))
        by_post = await client.post(
            "/rpc/notes_by_post?select=body,post_id",
            json={"post_ids": [POST], "per_post": 2},
            headers=bearer("alice"),
        )
        counts = await client.post(
            "/rpc/note_counts_by_post",
            json={"post_ids": [POST]},
            headers=bearer("alice"),
        )
    assert [row["post_id"] for row in by_post.json()] == [POST, POST]
    assert counts.json() == [{"post_id": POST, "n": 3}]


async def test_answers_without_the_gateway_under_its_other_name(login: str) -> None:
    async with running(login) as client:
        token = jwt.encode({"sub": "alice", "role": PROJECT.role}, SECRET)
        answer = await client.get(
            "/notes",
            headers={
                "Host": "postgrest.localhost",
                "Authorization": f"Bearer {token}",
                "Accept-Profile": PROJECT.schema,
            },
        )
    assert (answer.status_code, answer.json()) == (200, [])


async def test_the_rate_limit_starts_anew_when_its_window_has_passed(
    login: str,
) -> None:
    clock = Clock()
    settings = replace(SETTINGS, rate_limit_requests=2)
    async with running(login, settings, clock) as client:

        async def status() -> int:
            answer = await client.get("/notes?limit=1", headers=bearer("alice"))
            return answer.status_code

        assert [await status() for _ in range(4)] == [200, 200, 429, 429]
        clock.now = 59.9
        assert await status() == 429
        clock.now = 60.0
        assert [await status() for _ in range(3)] == [200, 200, 429]


async def test_a_write_goes_on_after_the_gateway_gave_up_on_it(login: str) -> None:
    async with running(login, replace(SETTINGS, upstream_timeout_s=0.1)) as client:
        answer = await client.post(
            "/rpc/slow_note",
            json={"body": "late", "owner_id": "alice"},
            headers=bearer("alice"),
        )
        assert (answer.status_code, answer.json()) == (
            504,
            {"error": "upstream timeout"},
        )
        await asyncio.sleep(0.6)
        rows = await client.get("/notes?select=body", headers=bearer("alice"))
    assert rows.json() == [{"body": "late"}]


async def test_refuses_what_passes_the_inflight_cap(login: str) -> None:
    async with running(login, replace(SETTINGS, inflight_cap=1)) as client:
        slow = asyncio.create_task(
            client.post(
                "/rpc/slow_note",
                json={"body": "x", "owner_id": "alice"},
                headers=bearer("alice"),
            )
        )
        await asyncio.sleep(0.1)
        answer = await client.get("/notes", headers=bearer("alice"))
        await slow
    assert answer.status_code == 503
    assert answer.json() == {
        "error": "gateway overloaded, retry later",
        "inflight": 1,
        "cap": 1,
    }


async def test_latency_delays_every_answer(login: str) -> None:
    async with running(login, replace(SETTINGS, latency_s=0.2)) as client:
        started = time.monotonic()
        await client.get("/health")
        assert time.monotonic() - started >= 0.2


async def test_max_rows_cuts_silently(login: str) -> None:
    async with running(login, replace(SETTINGS, max_rows=2)) as client:
        rows = [note("alice", str(n)) for n in range(3)]
        await client.post("/notes", json=rows, headers=bearer("alice"))
        answer = await client.get("/notes?limit=3", headers=bearer("alice"))
    assert (answer.status_code, len(answer.json())) == (200, 2)


async def test_says_so_while_the_database_is_down_and_recovers() -> None:
    async with PostgresServer() as server:
        login = await prepared(server, INIT_SQL)
        async with running(login) as client:

            async def ask(path: str) -> tuple[int, Any]:
                answer = await client.get(path, headers=bearer("alice"))
                return answer.status_code, answer.json()

            assert await ask("/notes") == (200, [])
            await server.halt()
            status, body = await ask("/notes")
            assert (status, body["code"]) == (503, "PGRST002")
            assert await ask("/health") == (200, {"status": "ok"})
            assert await ask("/health/deep") == (
                503,
                {"ok": False, "db": "down", "redis": "up"},
            )
            await server.start()
            assert await ask("/notes") == (200, [])


async def test_a_reload_shows_new_columns_to_writes(
    postgres: PostgresServer, login: str
) -> None:
    async with running(login) as client:
        wider = {**note("alice"), "mood": "calm"}

        async def insert() -> int:
            answer = await client.post("/notes", json=wider, headers=bearer("alice"))
            return answer.status_code

        admin = await asyncpg.connect(postgres.dsn)
        await admin.execute(f"alter table {PROJECT.schema}.notes add column mood text")
        assert await insert() == 400
        await admin.execute("notify pgrst, 'reload schema'")
        await admin.close()
        await asyncio.sleep(0.1)
        assert await insert() == 201


async def test_every_error_of_its_own_has_the_four_keys(login: str) -> None:
    async with running(login) as client:
        for path in ("/notes?limit=-1", "/notes?id=eq.x", "/notes?page=2", "/rpc/nope"):
            answer = await client.get(path, headers=bearer("alice"))
            assert set(json.loads(answer.text)) == {
                "code",
                "details",
                "hint",
                "message",
            }
