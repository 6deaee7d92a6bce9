"""Replays the recorded exchanges against the stand-in and compares the answers.

Each file starts from the fixture in `recordings.sql` and runs in order, over raw ASGI,
so that a query goes out byte for byte as it was recorded. Those of PostgREST itself
run twice: as 12.2, and as 14.17, whose differences are recording 21. Compared are
status, the headers in `HEADERS` (also their absence) and the body. What is not
replayed, and why, stands in `recordings_left_out.json`; what counts as equal although
it differs, in `normalised`, `is_cut` and `PLANNED`.
"""

# ruff: noqa: S608 - the schema's name is ours

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import asyncpg
import pytest
from starlette.types import ASGIApp, Message

from sandbox.flux.app import create_flux_app
from sandbox.flux.dialect import PostgREST14
from sandbox.flux.settings import FluxSettings, Project
from sandbox.flux.tenant import LOGIN_ROLE, create_login, create_tenant, run_as_owner
from sandbox.launch import PostgresServer

HERE = Path(__file__).parent
RECORDINGS = Path(__file__).parents[2] / "recordings" / "flux"
FIXTURE_SQL = (HERE / "recordings.sql").read_text()
LEFT_OUT: dict[str, dict[str, str]] = json.loads(
    (HERE / "recordings_left_out.json").read_text()
)
NEWER = "21-newer-postgrest"
FILES = sorted(
    path.stem for path in RECORDINGS.glob("[0-2]*.json") if path.stem != NEWER
)
# What was recorded of both versions: all but nginx, the gateway and the outages.
FILES_OF_BOTH = [file for file in FILES if not "15" <= file[:2] <= "19"]
MUST_AGREE = {*["01", "02", "03", "05", "06", "08", "09", "10", "12", "14", "16", "17"]}

HEADERS = frozenset(
    (
        *("content-type", "content-range", "content-location", "content-profile"),
        *("preference-applied", "location", "www-authenticate", "retry-after"),
        *("allow", "cache-control", "server", "proxy-status"),
        *("access-control-allow-origin", "access-control-allow-methods"),
        *("access-control-allow-headers", "access-control-max-age"),
        "access-control-expose-headers",
    )
)
# The recordings are of PostgreSQL 15, the embedded server is 18. All that its version
# changes is what the planner expects of a table that was never analysed: 1310 or 970.
PLANNED = frozenset(("count=planned", "count=estimated"))
TIME = re.compile(r"2026-11-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?\+00(?::00)?")
RANDOM_UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-(?!0{6})[0-9a-f]{12}"
)

POOL_SECRET = "the pool's own secret"
PROJECT_SECRET = "the project's secret, as the dashboard shows it"
TENANT_ID = "5ecfa3ab-72d1-4b2a-9a1d-0f1e2d3c4b5a"
ROLE = "t_5ecfa3ab72d1_role"
TENANT = Project(
    slug="bloom-atelier",
    hash="61d9dff",
    tenant_id=TENANT_ID,
    jwt_secret=PROJECT_SECRET,
    domains=frozenset(("data.example.test",)),
)
SECOND = Project("second", "0123abc", "01234567-89ab-4000-8000-000000000000", "x")


def _other(slug: str, hash_: str, **fields: Any) -> Project:
    return Project(slug, hash_, SECOND.tenant_id, PROJECT_SECRET, **fields)


POOL = FluxSettings(
    projects=(
        TENANT,
        SECOND,
        _other("dedicated", "aaaaaaa", mode="v1_dedicated"),
        _other("moving", "bbbbbbb", state="migrating"),
        _other("asleep", "ccccccc", state="dormant"),
        Project("nosecret", "eeeeeee", SECOND.tenant_id, None),
    ),
    direct_hosts=frozenset(("postgrest",)),
    schemas=("public", SECOND.schema, TENANT.schema),
    direct_jwt_secret=POOL_SECRET,
)
SETTINGS = {
    "16": replace(POOL, upstream_timeout_s=1.5),
    "18": replace(
        POOL,
        schemas=("api", "public"),
        anonymous_role="anon",
        max_rows=10,
        pool_size=1,
        pool_timeout_s=0.2,
    ),
    "19": replace(POOL, statement_timeout_s=0.3),
}

FRESH_SQL = """
create table fresh (id int primary key, note text);
insert into fresh values (1, 'x');
create function fresh_fn() returns int language sql as 'select 1';
"""


@dataclass(frozen=True)
class Got:
    """An answer; `body` is JSON where the text is JSON."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text


def jwt(
    claims: Mapping[str, object], secret: str = POOL_SECRET, alg: str = "HS256"
) -> str:
    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = encode(json.dumps({"alg": alg}).encode())
    unsigned = f"{head}.{encode(json.dumps(claims).encode())}"
    if alg == "none":
        return f"{unsigned}."
    digest = hashlib.sha512 if alg == "HS512" else hashlib.sha256
    signature = hmac.digest(secret.encode(), unsigned.encode(), digest)
    return f"{unsigned}.{encode(signature)}"


def token(description: str, *, gateway: bool) -> str:
    """The token that a recording describes in angle brackets."""
    now = int(time.time())
    alice = "alice@example.test"
    claims: dict[str, object] = {"sub": alice, "iat": now, "exp": now + 300}
    if not gateway:
        claims |= {"nbf": now - 5, "role": ROLE, "tenant_id": TENANT_ID}
    secret = PROJECT_SECRET if gateway else POOL_SECRET
    changes: dict[str, dict[str, object]] = {
        "exp 120 s ago": {"exp": now - 120},
        "exp 20 s ago": {"exp": now - 20},
        "exp 2 s ago": {"exp": now - 2},
        "nbf in 120 s": {"nbf": now + 120},
        "nbf in 60 s": {"nbf": now + 60},
        "iat in 120 s": {"iat": now + 120},
        "iat in 600 s": {"iat": now + 600},
        "no exp": {"exp": None},
        "no sub": {"sub": None},
        "no role": {"role": None},
        "blank sub": {"sub": "  "},
        "sub is a number": {"sub": 7},
        "exp is a string": {"exp": str(now + 300)},
        "fractional exp": {"exp": now + 300.5},
        "aud=something": {"aud": "something"},
        "role=nobody_here": {"role": "nobody_here"},
        "role not granted to authenticator": {"role": "t_5ecfa3ab72d1_ddl"},
        "role=authenticated": {"role": "authenticated"},
        "alice": {"role": "authenticated"},
        "service_role": {"role": "service_role"},
        "role=service_role with extra claims": {
            "role": "service_role",
            "email": alice,
            "org_id": "x",
        },
    }
    claims |= changes.get(description, {})
    if named := re.match(r"(?:JWT role=(\w+), |project JWT, )sub=(.+)", description):
        claims["sub"] = named[2]
        if named[1]:
            claims["role"] = named[1]
    claims = {name: value for name, value in claims.items() if value is not None}
    match description:
        case "not a JWT":
            return "garbage"
        case "two parts":
            return "two.parts"
        case "alg none" | "none":
            return jwt(claims, secret, "none")
        case "HS512":
            return jwt(claims, secret, "HS512")
        case "signed with another secret" | "wrong secret" | "bridge-like token":
            return jwt(claims, "another secret")
    return jwt(claims, secret)


def scope_of(request: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"Host": "postgrest", **request["headers"]}
    gateway = "Host" in request["headers"]
    if authorization := headers.get("Authorization"):
        headers["Authorization"] = re.sub(
            r"<(.*)>", lambda found: token(found[1], gateway=gateway), authorization
        )
    return {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
        "method": request["method"],
        "path": request["path"],
        "raw_path": request["path"].encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": (request.get("query") or "").encode(),
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in headers.items()
        ],
        "server": ("testserver", 80),
        "client": ("127.0.0.1", 1),
        "state": {},
    }


def body_of(request: Mapping[str, Any]) -> bytes:
    if "body" in request:
        return json.dumps(request["body"], ensure_ascii=False).encode()
    return str(request.get("body_text", "")).encode()


async def ask(app: ASGIApp, request: Mapping[str, Any]) -> Got:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body_of(request), "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of(request), receive, send)
    text = b"".join(message.get("body", b"") for message in sent).decode()
    headers = {
        name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]
    }
    return Got(sent[0]["status"], headers, text)


def expected(response: Mapping[str, Any]) -> Got:
    headers = {name.lower(): value for name, value in response["headers"].items()}
    text = response.get("body_text", "")
    if "body" in response:
        text = json.dumps(response["body"])
    return Got(response["status"], headers, text)


def normalised(value: Any) -> Any:
    """Times of the run and generated ids are alike in every run."""
    if isinstance(value, dict):
        return {
            name: 0 if name in ("exp", "iat", "nbf") else normalised(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [normalised(item) for item in value]
    if isinstance(value, str):
        return RANDOM_UUID.sub("<uuid>", TIME.sub("<time>", value))
    return value


def same_text(want: str, got: str | None) -> bool:
    """The recordings cut long texts: `start...` or `start...(n bytes in all)`."""
    if got is None:
        return False
    start, cut, rest = want.partition("...")
    if not cut or (rest and not rest.endswith("bytes in all)")):
        return want == got
    size = re.match(r"\((\d+)", rest)
    return got.startswith(start) and (not size or len(got) == int(size[1]))


def is_cut(want: Got, got: Got) -> bool:
    """Recording 21 has only the first rows of long lists, and the length of all."""
    return (
        isinstance(want.body, list)
        and isinstance(got.body, list)
        and len(want.body) < len(got.body)
        and all(row in got.body for row in want.body)
        and want.headers.get("content-length") == got.headers.get("content-length")
    )


def same_header(name: str, want: str | None, got: str | None, *, planned: bool) -> bool:
    if name == "content-range" and planned and want and got:
        return want.partition("/")[0] == got.partition("/")[0]
    return want is got if want is None else same_text(want, got)


def differences(want: Got, got: Got, *, planned: bool = False) -> list[str]:
    found = []
    if want.status != got.status:
        found.append(f"status {got.status}, recorded {want.status}")
    found.extend(
        f"{name}: {got.headers.get(name)!r}, recorded {want.headers.get(name)!r}"
        for name in sorted(HEADERS)
        if not same_header(
            name, want.headers.get(name), got.headers.get(name), planned=planned
        )
    )
    if not (
        same_text(want.text, got.text)
        or normalised(want.body) == normalised(got.body)
        or is_cut(want, got)
    ):
        found.append(f"body {got.text:.600}, recorded {want.text:.600}")
    return found


def completed(request: dict[str, Any]) -> dict[str, Any]:
    """The request with what the recording of long ones only describes."""
    query, body = request.get("query", ""), request.get("body")
    if count := request.get("ids"):
        ids = ",".join(note_id(n) for n in range(1000, 1000 + count))
        query = f"select=id&id=in.({ids})"
        assert len(query) + len("/notes?") == request["url_bytes"]
    if body == "(80009 bytes of JSON)":
        body = {"ids": [note_id(n) for n in range(1000, 3000)]}
    elif body == "(800000 bytes of JSON)":
        body = [{"id": note_id(n), "body": "x" * 91} for n in range(10000, 15000)]
    if body is None:
        return {**request, "query": query}
    return {**request, "query": query, "body": body}


def note_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


@pytest.fixture(scope="module")
async def login(postgres: PostgresServer) -> AsyncIterator[str]:
    """A template database with the fixture in it; the login role's password."""
    admin = await asyncpg.connect(postgres.dsn)
    password = await create_login(admin)
    await admin.execute(
        "create role anon; create role authenticated;"
        "create role service_role bypassrls;"
        f"grant anon, authenticated, service_role to {LOGIN_ROLE}"
    )
    await admin.execute("create database recordings_template")
    template = await asyncpg.connect(
        postgres.dsn.replace("/postgres?", "/recordings_template?")
    )
    await create_tenant(template, TENANT)
    await create_tenant(template, SECOND)
    await run_as_owner(template, TENANT, FIXTURE_SQL)
    await template.close()
    yield password
    await admin.close()


@asynccontextmanager
async def replay_of(
    postgres: PostgresServer,
    login: str,
    file: str,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[tuple[ASGIApp, "asyncpg.Connection[Any]"]]:
    """The stand-in over a fresh copy of the fixture, and a connection to prepare it."""
    name = f"recordings_{file[:2]}"
    admin = await asyncpg.connect(postgres.dsn)
    await admin.execute(f"create database {name} template recordings_template")
    connection = await asyncpg.connect(postgres.dsn.replace("/postgres?", f"/{name}?"))
    await prepare(connection, file[:2])
    settings = replace(SETTINGS.get(file[:2], POOL), **changes)
    app = create_flux_app(postgres.address(LOGIN_ROLE, login, name), settings)
    try:
        async with app.router.lifespan_context(app):
            yield app, connection
    finally:
        await connection.close()
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


async def prepare(connection: "asyncpg.Connection[Any]", file: str) -> None:
    """What some files had beyond the fixture of the README."""
    tenant = TENANT.schema
    if file == "02":
        bodies = (
            'comma, paren ) and "quote" and back\\slash',
            "naïve 東京 🎈 & plus+ hash#",
            "50% off_now *star*",
            "null",
        )
        for number, body in enumerate(bodies, start=1):
            await connection.execute(
                f"insert into {tenant}.notes (id, body) values ($1, $2)",
                f"0a000000-0000-4000-8000-{number:012}",
                body,
            )
    if file == "15":
        await connection.execute(
            f"insert into {tenant}.notes (id, body) select ('00000000-0000-4000-8000-'"
            " || lpad(n::text, 12, '0'))::uuid, 'x' from generate_series(1000, 2999) n"
        )
    if file == "18":
        await connection.execute(
            f"alter schema {tenant} rename to api;"
            "grant usage on schema api to anon, authenticated, service_role;"
            "grant select, insert, update, delete on all tables in schema api"
            " to anon, authenticated, service_role;"
            "delete from api.private_notes where body = 'alice 2';"
            "update api.private_notes set id = '10000000-0000-4000-8000-000000000002'"
            " where body = 'bob 1'"
        )


def exchanges(file: str) -> list[dict[str, Any]]:
    recording = json.loads((RECORDINGS / f"{file}.json").read_text())
    found: list[dict[str, Any]] = recording["exchanges"]
    return found


@pytest.mark.parametrize("file", FILES)
async def test_answers_as_recorded(
    postgres: PostgresServer, login: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    every = exchanges(file)
    async with replay_of(postgres, login, file) as (app, connection):
        replayed, failures = await replayed_all(file, every, app, connection)
    agreed = replayed - len(failures)
    with capsys.disabled():
        print(f"\n{file}: {agreed} of {len(every)} agree", end="")
    assert not failures, "\n".join(failures)
    if file[:2] in MUST_AGREE:
        assert agreed >= 0.85 * len(every)


@pytest.mark.parametrize("file", FILES_OF_BOTH)
async def test_answers_as_recorded_of_the_newer_version(
    postgres: PostgresServer, login: str, file: str
) -> None:
    every = [answered_by_newer(exchange) for exchange in exchanges(file)]
    newer = {"dialect": PostgREST14()}
    async with replay_of(postgres, login, file, newer) as (app, connection):
        _, failures = await replayed_all(file, every, app, connection)
    assert not failures, "\n".join(failures)


def test_every_difference_of_the_newer_version_is_replayed() -> None:
    older = [each for file in FILES_OF_BOTH for each in exchanges(file)]
    replayed = [each for each in older if recorded_of_newer(each) is not None]
    assert len(replayed) == len(exchanges(NEWER)) == 42


async def replayed_all(
    file: str,
    every: list[dict[str, Any]],
    app: ASGIApp,
    connection: "asyncpg.Connection[Any]",
) -> tuple[int, list[str]]:
    """How many exchanges were replayed, and what differs in which."""
    left_out = LEFT_OUT.get(file, {})
    assert set(left_out) <= {exchange["name"] for exchange in every}
    failures: list[str] = []
    replayed = 0
    for exchange in every:
        if exchange["name"] in left_out:
            continue
        replayed += 1
        async with circumstances(exchange, app, connection):
            got = await ask(app, completed(exchange["request"]))
        planned = exchange["name"] in PLANNED
        want = expected(exchange["response"])
        if wrong := differences(want, got, planned=planned):
            failures.append("\n  ".join((exchange["name"], *wrong)))
    return replayed, failures


def recorded_of_newer(exchange: dict[str, Any]) -> dict[str, Any] | None:
    """The same exchange in recording 21, if the newer version answers differently."""
    for other in exchanges(NEWER):
        if all(other[key] == exchange[key] for key in ("name", "request")):
            assert other["response_12"] == exchange["response"]
            return other
    return None


def answered_by_newer(exchange: dict[str, Any]) -> dict[str, Any]:
    """The exchange as 14.17 has it. Where nothing was recorded status and body are
    those of 12; every error of its own has one header more (note of recording 21)."""
    if (newer := recorded_of_newer(exchange)) is not None:
        return {**exchange, "response": newer["response_14"]}
    response = exchange["response"]
    headers = {**response["headers"], "Server": "postgrest/14.17"}
    if response["status"] >= 400 and isinstance(response.get("body"), dict):
        headers["Proxy-Status"] = f"PostgREST; error={response['body']['code']}"
    if exchange["name"] == "HEAD on an error":
        headers["Proxy-Status"] = "PostgREST; error=42703"
    return {**exchange, "response": {**response, "headers": headers}}


@asynccontextmanager
async def circumstances(
    exchange: dict[str, Any], app: ASGIApp, connection: "asyncpg.Connection[Any]"
) -> AsyncIterator[None]:
    """What was going on around some exchanges and is not in the files."""
    match exchange["name"]:
        case "hundredth":
            for _ in range(98):
                await ask(app, exchange["request"])
        case "new table before the schema cache reload, no grant":
            await run_as_owner(connection, TENANT, FRESH_SQL)
        case "after the reload, read":
            await connection.execute("notify pgrst")
            await asyncio.sleep(0.1)
        case "granted to authenticated only":
            await connection.execute(
                f"grant insert on {TENANT.schema}.fresh to authenticated"
            )
        case "delete with limit and order":
            # The newer version deletes all; what follows in the file was recorded
            # with all but the first there.
            notes = f"{TENANT.schema}.notes"
            await connection.execute(f"create temp table kept as table {notes}")
            yield
            await connection.execute(
                f"insert into {notes} select * from kept order by id offset 1"
                " on conflict do nothing"
            )
            return
        case "pool exhausted":
            slow = {**exchange["request"], "path": "/rpc/slow", "query": "ms=1000"}
            holding = asyncio.create_task(ask(app, slow))
            await asyncio.sleep(0.1)
            yield
            await holding
            return
    yield
