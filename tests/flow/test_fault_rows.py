"""Each row of the upstreams' error tables, answered by the sandbox on demand.

Rows: flux.md §5 (gateway) and §6 (PostgREST), conduit.md §1, §6, §8, §9, with the words
of the recordings. The code is the one that docs/errors.md promises; the other
upstream's data comes whole in the same answer; no word of the upstream gets out; once
the fault is over the field answers again. One server process serves all rows.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import NO_TLS

from harness import PASSWORD, Sandbox, server_process

RECORDINGS = Path(__file__).parents[1] / "recordings"
MARK = "db-7.internal.example"  # put into every answer of an upstream
MARKUP = f"<!DOCTYPE html><html><body><pre>{MARK}</pre></body></html>"
BOTH = "{ notes(first: 2) { nodes { body } } posts(first: 2) { nodes { title } } }"

UNAVAILABLE, TIMEOUT = "UPSTREAM_UNAVAILABLE", "UPSTREAM_TIMEOUT"
MISCONFIGURED, NONSENSE = "UPSTREAM_MISCONFIGURED", "UPSTREAM_BAD_RESPONSE"
ERROR, INPUT = "UPSTREAM_ERROR", "BAD_USER_INPUT"
FORBIDDEN, LIMITED = "FORBIDDEN", "RATE_LIMITED"


@dataclass(frozen=True)
class Row:
    """What the upstream says, and the code, or typed result, that becomes of it."""

    status: int
    body: object
    expected: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def fault(self) -> dict[str, Any]:
        return {"status": self.status, "body": self.body, "headers": self.headers}


def gateway(status: int, error: str, expected: str) -> Row:
    return Row(status, {"error": error, "trace": MARK}, expected)


def postgrest(status: int, code: str, expected: str, **headers: str) -> Row:
    """PostgREST's body; its message may hold other tenants' names (flux.md §6)."""
    body = {"code": code, "details": None, "hint": MARK, "message": f"made up {MARK}"}
    return Row(
        status, body, expected, {k.replace("_", "-"): headers[k] for k in headers}
    )


def module(status: int, message: str, expected: str) -> Row:
    """A module's error; outside production it comes with a stack."""
    names = {400: "INVALID_ARGUMENTS", 401: "UNAUTHORIZED", 403: "FORBIDDEN"}
    names |= {404: "NOT_FOUND", 429: "RATE_LIMIT"}
    name = names.get(status, "INTERNAL_SERVER_ERROR")
    body = {"name": name, "status": status, "message": message, "stack": MARK}
    return Row(status, body, expected)


def text(status: int, body: str, expected: str, media_type: str = "text/html") -> Row:
    return Row(status, body, expected, {"content-type": media_type})


# ---------------------------------------------------------------- Flux, when read

FLUX_GATEWAY = {
    "2 absorbed path": gateway(404, "not found", MISCONFIGURED),
    "3 bot filter": gateway(403, "forbidden", FORBIDDEN),
    "4 tenant not found": gateway(404, "tenant not found", UNAVAILABLE),
    "5 dedicated": gateway(
        502,
        'project mode "v1_dedicated" is not routed through this gateway',
        MISCONFIGURED,
    ),
    "6 migrating": gateway(503, "project is migrating; try again later", UNAVAILABLE),
    "7 dormant": gateway(
        503, "project is dormant; wake the project to resume API traffic", UNAVAILABLE
    ),
    "7 archived": gateway(
        503, "project is archived; wake the project to resume API traffic", UNAVAILABLE
    ),
    "8 no token": gateway(401, "authorization required", MISCONFIGURED),
    "8 bad token": gateway(401, "invalid or expired token", MISCONFIGURED),
    "8 no secret": gateway(
        503,
        "project jwt_secret missing; run repair on the control plane",
        MISCONFIGURED,
    ),
    "9 rate limit": gateway(429, "rate limit exceeded", LIMITED),
    "10 overloaded": gateway(503, "gateway overloaded, retry later", UNAVAILABLE),
    "11 slow": gateway(504, "upstream timeout", TIMEOUT),
    "12 unreachable": gateway(502, "upstream error", UNAVAILABLE),
}

FLUX_POSTGREST = {
    **{
        f"400 {code}": postgrest(400, code, ERROR)
        for code in (
            "PGRST100",
            "PGRST102",
            "PGRST108",
            "PGRST118",
            "PGRST119",
            "PGRST122",
            "PGRST124",
        )
    },
    **{
        f"{status} {code}": postgrest(status, code, MISCONFIGURED)
        for status, code in (
            (400, "PGRST200"),
            (400, "PGRST204"),
            (400, "42703"),
            (401, "PGRST301"),
            (401, "PGRST302"),
            (401, "PGRST303"),
            (401, "42501"),
            (404, "42P01"),
            (404, "PGRST205"),
            (404, "PGRST202"),
            (404, "42883"),
            (406, "PGRST106"),
        )
    },
    **{
        f"400 {code}": postgrest(400, code, INPUT)
        for code in ("22P02", "22007", "22003", "22P05", "22012", "23502", "P0001")
    },
    "400 23514": postgrest(400, "23514", INPUT),
    "400 2F004": postgrest(400, "2F004", NONSENSE),
    "402 PT402": postgrest(402, "PT402", NONSENSE),
    "403 42501": postgrest(403, "42501", FORBIDDEN),
    "403 28000": postgrest(403, "28000", FORBIDDEN),
    "404 {}": Row(404, {}, MISCONFIGURED),
    **{
        f"405 {code}": postgrest(405, code, ERROR)
        for code in ("PGRST101", "PGRST105", "PGRST117")
    },
    "405 25006": postgrest(405, "25006", NONSENSE),
    "406 PGRST107": postgrest(406, "PGRST107", ERROR),
    "406 PGRST116": postgrest(406, "PGRST116", ERROR),
    "409 23503": postgrest(409, "23503", "CONFLICT"),
    "409 23505": postgrest(409, "23505", "CONFLICT"),
    "416 PGRST103": postgrest(416, "PGRST103", ERROR),
    "400 text": text(400, f"Bad Request {MARK}", NONSENSE, "text/plain"),
    "414": text(414, MARKUP, NONSENSE),
    "431": Row(431, None, NONSENSE),
    "429": postgrest(429, "", LIMITED),
    "500 57014": postgrest(500, "57014", TIMEOUT),
    **{
        f"500 {code}": postgrest(500, code, ERROR)
        for code in ("55000", "55P03", "P0002", "XX000", "21000", "42P17")
    },
    "500 53400": postgrest(500, "53400", UNAVAILABLE),
    "500 text": text(500, f"Something went wrong {MARK}", ERROR, "text/plain"),
    "502 html": text(502, MARKUP, UNAVAILABLE),
    **{
        f"503 {code}": postgrest(503, code, UNAVAILABLE, retry_after="0")
        for code in ("PGRST000", "PGRST001", "PGRST002", "08006", "53300", "57P01")
    },
    "504 PGRST003": postgrest(504, "PGRST003", TIMEOUT),
}

# ------------------------------------------------------------- Conduit, when read

CONDUIT = {
    "module 400": module(400, f"made up {MARK}", INPUT),
    "module 403": module(403, "User is blocked or deleted", FORBIDDEN),
    "module 404, starting": module(404, "Not found", UNAVAILABLE),
    "module 404, schema": module(404, "Schema Post not defined yet", MISCONFIGURED),
    "module 500": module(500, f"made up {MARK}", ERROR),
    "bad id": module(500, 'invalid input syntax for type uuid: "x"', INPUT),
    "bad id, by storage": module(
        500,
        "/database.DatabaseProvider/findOne INTERNAL: invalid input syntax for type "
        'uuid: "x"',
        INPUT,
    ),
    "scope refused": module(500, "User:5 is not allowed to read Team:77123", FORBIDDEN),
    "scope malformed": module(500, "Object must be a valid resource identifier", INPUT),
    "not public": module(500, "File access is not public", FORBIDDEN),
    "no access": module(500, "You do not have access to file", FORBIDDEN),
    "unknown column": module(500, "column cnd_Post.nope does not exist", MISCONFIGURED),
    "unknown function": module(
        500, "Cannot read properties of undefined (reading 'operation')", MISCONFIGURED
    ),
    "bad limit": module(500, "LIMIT must not be negative", ERROR),
    "pool used up": module(500, "Operation timeout", TIMEOUT),
    "module down": module(
        500, f"round_robin: No connection established. Last error: {MARK}", UNAVAILABLE
    ),
    "validation": text(400, MARKUP, NONSENSE),
    "no such route": text(404, MARKUP, MISCONFIGURED),
    "moved": text(301, MARKUP, NONSENSE),
    "bad JSON": text(400, f"Bad Request {MARK}", NONSENSE),
    "client check": text(401, "Unauthorized", MISCONFIGURED),
    "too large": text(413, f"request entity too large {MARK}", NONSENSE),
    "address limit": text(429, "Too Many Requests", LIMITED),
    "route limit": module(429, "Too Many Requests", LIMITED),
    "long URL": Row(431, None, NONSENSE),
    "proxy 502": text(502, MARKUP, UNAVAILABLE),
    "proxy 503": text(503, MARKUP, UNAVAILABLE),
    "proxy 504": text(504, MARKUP, TIMEOUT),
    # Renewed once and repeated; it is then Conduit's word that counts.
    "token refused": module(
        401, "Token is expired or otherwise not valid", "UNAUTHENTICATED"
    ),
}


class Visit:
    """One person over one server, with faults at hand."""

    def __init__(self, sandbox: Sandbox, http: httpx.Client) -> None:
        self.sandbox = sandbox
        self.http = http

    def ask(self, query: str, **variables: object) -> httpx.Response:
        body = {"query": query, "variables": variables}
        answer = self.http.post("/graphql", json=body)
        assert answer.status_code == 200
        return answer

    def under(
        self, row: Row, upstream: str, path: str, query: str, **variables: object
    ) -> httpx.Response:
        """The answer while the upstream says so; nothing of its words is in it."""
        method = variables.pop("method", None)
        self.sandbox.fail(upstream, path, method=method, **row.fault)
        try:
            answer = self.ask(query, **variables)
        finally:
            self.sandbox.heal()
        assert_nothing_leaks(row, answer)
        return answer


def assert_nothing_leaks(row: Row, answer: httpx.Response) -> None:
    assert MARK not in answer.text
    words = row.body.values() if isinstance(row.body, dict) else [row.body]
    for word in words:
        if isinstance(word, str) and len(word) > 12 and " " in word:
            assert word not in answer.text


@pytest.fixture(scope="module")
def visit(running_sandbox: Sandbox) -> Iterator[Visit]:
    running_sandbox.heal()
    many = {"SIGN_IN_PER_ACCOUNT": "1000", "SIGN_IN_PER_ADDRESS": "1000"}
    with (
        server_process(running_sandbox, **many) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=30, verify=NO_TLS) as http,
    ):
        visit = Visit(running_sandbox, http)
        signed = visit.ask(SIGN_IN, input={"email": EMAIL, "password": PASSWORD})
        assert signed.json()["data"]["signIn"]["__typename"] == "SignInSuccess"
        yield visit


EMAIL = "first@example.com"
SIGN_IN = """mutation ($input: SignInInput!) {
  signIn(input: $input) { __typename ... on Problem { message } } }"""


def check_read(visit: Visit, row: Row, upstream: str) -> None:
    lost, kept, path = {
        "flux": ("notes", "posts", "/notes"),
        "conduit": ("posts", "notes", "/database/"),
    }[upstream]
    answer = visit.under(row, upstream, path, BOTH).json()
    assert answer["data"][lost] is None
    assert len(answer["data"][kept]["nodes"]) == 2
    (error,) = answer["errors"]
    assert error["path"] == [lost]
    assert error["extensions"]["code"] == row.expected
    assert error["extensions"]["service"] == upstream
    assert error["extensions"]["requestId"]
    after = visit.ask(BOTH).json()
    assert "errors" not in after
    assert after["data"][lost]["nodes"]


@pytest.mark.parametrize("name", FLUX_GATEWAY)
def test_a_row_of_the_gateway_costs_only_notes(visit: Visit, name: str) -> None:
    check_read(visit, FLUX_GATEWAY[name], "flux")


@pytest.mark.parametrize("name", FLUX_POSTGREST)
def test_a_row_of_postgrest_costs_only_notes(visit: Visit, name: str) -> None:
    check_read(visit, FLUX_POSTGREST[name], "flux")


@pytest.mark.parametrize("name", CONDUIT)
def test_a_row_of_conduit_costs_only_posts(visit: Visit, name: str) -> None:
    check_read(visit, CONDUIT[name], "conduit")


# ------------------------------------------------------------- one thing, missing


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("note", Row(200, [], "null")),
        ("post", Row(200, [], "null")),
        ("file", Row(200, [], "null")),
        # The words of a module that starts, which are not those of a miss.
        ("post", module(404, "Not found", UNAVAILABLE)),
        ("file", module(404, "Not found", UNAVAILABLE)),
        ("note", gateway(404, "tenant not found", UNAVAILABLE)),
        ("file", module(403, "File access is not public", FORBIDDEN)),
        ("file", module(403, "You do not have access", FORBIDDEN)),
    ],
)
def test_what_is_missing_is_null_and_told_apart_from_what_is_down(
    visit: Visit, field: str, row: Row
) -> None:
    upstream = "flux" if field == "note" else "conduit"
    path = "/notes" if field == "note" else "(storage|database)/"
    id = "9cc50fcb-8088-4b29-a242-1bfd4fe22e67"
    other = "posts" if upstream == "flux" else "notes"
    query = f'{{ {field}(id: "{id}") {{ id }} {other}(first: 2) {{ nodes {{ id }} }} }}'
    answer = visit.under(row, upstream, path, query).json()
    assert answer["data"][field] is None
    assert len(answer["data"][other]["nodes"]) == 2
    codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
    assert codes == ([] if row.expected == "null" else [row.expected])


# ------------------------------------------------------------------------- writes

NOTE_WRITES = {
    "22P02": postgrest(400, "22P02", "InvalidInput"),
    "22P05": postgrest(400, "22P05", "InvalidInput"),
    "23502": postgrest(400, "23502", "InvalidInput"),
    "23514": postgrest(400, "23514", "InvalidInput"),
    "22001": postgrest(400, "22001", "InvalidInput"),
    "P0001": postgrest(400, "P0001", "InvalidInput"),
    "42501": postgrest(403, "42501", "Forbidden"),
    "23503": postgrest(409, "23503", "CONFLICT"),
    "PGRST204": postgrest(400, "PGRST204", MISCONFIGURED),
    "404 {}": Row(404, {}, MISCONFIGURED),
    "25006": postgrest(405, "25006", NONSENSE),
    "57014": postgrest(500, "57014", TIMEOUT),
    "rate limit": gateway(429, "rate limit exceeded", LIMITED),
    "migrating": gateway(503, "project is migrating; try again later", UNAVAILABLE),
    "502": gateway(502, "upstream error", UNAVAILABLE),
    "504": gateway(504, "upstream timeout", TIMEOUT),
}
POST_WRITES = {
    "null": module(500, "notNull Violation: Post.title", "InvalidInput"),
    "null in SQL": module(500, 'null value in column "title"', "InvalidInput"),
    "too long": module(
        500, "value too long for type character varying(255)", "InvalidInput"
    ),
    "scope": module(500, "Object must be a valid resource identifier", "InvalidInput"),
    "refused": module(500, "User:5 is not allowed to edit Team:7", "Forbidden"),
    "unique": module(500, "Validation error", "Conflict"),
    "400": text(400, MARKUP, NONSENSE),
    "413": text(413, f"request entity too large {MARK}", NONSENSE),
    "down": module(500, "round_robin: No connection established.", UNAVAILABLE),
    "pool used up": module(500, "Operation timeout", TIMEOUT),
    "starting": module(404, "Not found", UNAVAILABLE),
    "limit": text(429, "Too Many Requests", LIMITED),
}
SIGN_INS = {
    "wrong": module(401, "Invalid login credentials", "InvalidCredentials"),
    "no address": module(400, "Invalid email address provided", "InvalidInput"),
    "blocked": module(403, "Inactive user", FORBIDDEN),
    "route limit": module(429, "Too Many Requests", LIMITED),
    "address limit": text(429, "Too Many Requests", LIMITED),
    "down": module(500, "round_robin: No connection established.", UNAVAILABLE),
    "starting": module(404, "Not found", UNAVAILABLE),
    "pool used up": module(500, "Operation timeout", TIMEOUT),
    "cookies on": Row(200, {}, MISCONFIGURED),
    "client check": text(401, "Unauthorized", MISCONFIGURED),
}
CREATE_NOTE = """mutation { r: createNote(input: {body: "of a fault row"}) {
  __typename ... on Problem { message } } }"""
CREATE_POST = """mutation { r: createPost(input: {title: "of a fault row"}) {
  __typename ... on Problem { message } } }"""


def outcome(answer: httpx.Response) -> str:
    """The type of the result, or the code of the error."""
    said = answer.json()
    if "errors" in said:
        (error,) = said["errors"]
        return str(error["extensions"]["code"])
    (result,) = said["data"].values()
    return str(result["__typename"])


@pytest.mark.parametrize("name", NOTE_WRITES)
def test_a_row_of_flux_at_a_write_is_a_typed_result_or_a_code(
    visit: Visit, name: str
) -> None:
    row = NOTE_WRITES[name]
    answer = visit.under(row, "flux", "/notes", CREATE_NOTE, method="POST")
    assert outcome(answer) == row.expected


@pytest.mark.parametrize("name", POST_WRITES)
def test_a_row_of_conduit_at_a_write_is_a_typed_result_or_a_code(
    visit: Visit, name: str
) -> None:
    row = POST_WRITES[name]
    answer = visit.under(row, "conduit", "/database/Post", CREATE_POST, method="POST")
    assert outcome(answer) == row.expected


@pytest.mark.parametrize("name", SIGN_INS)
def test_a_row_of_conduit_at_a_sign_in_is_a_typed_result_or_a_code(
    visit: Visit, name: str
) -> None:
    row = SIGN_INS[name]
    # Another person's: a failed sign-in must leave this one's session alone.
    given = {"email": "second@example.com", "password": PASSWORD}
    path = "/authentication/local"
    answer = visit.under(row, "conduit", path, SIGN_IN, input=given)
    assert outcome(answer) == row.expected
    assert visit.ask("{ viewer { email } }").json()["data"]["viewer"]["email"] == EMAIL


# ----------------------------------------------------------------------- previews

PREVIEWS = {
    "/storage/file/": {
        "missing": module(404, "File does not exist", "404 NOT_FOUND"),
        "not public": module(403, "File access is not public", "403 FORBIDDEN"),
        "no access": module(403, "You do not have access to file", "403 FORBIDDEN"),
    },
    "/storage/getFileUrl/": {
        "missing": module(500, "File does not exist", "404 NOT_FOUND"),
        "not public": module(500, "File access is not public", "403 FORBIDDEN"),
        "no access": module(500, "You do not have access to file", "403 FORBIDDEN"),
        "starting": module(404, "Not found", f"503 {UNAVAILABLE}"),
        "down": module(500, "round_robin: No connection", f"503 {UNAVAILABLE}"),
        "pool used up": module(500, "Operation timeout", f"504 {TIMEOUT}"),
        "limit": text(429, "Too Many Requests", f"503 {LIMITED}"),
        "no such route": text(404, MARKUP, f"502 {MISCONFIGURED}"),
        "other": module(500, f"made up {MARK}", f"502 {ERROR}"),
    },
}


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path in PREVIEWS for name in PREVIEWS[path]]
)
def test_a_row_of_the_storage_is_a_status_of_the_preview(
    visit: Visit, path: str, name: str
) -> None:
    row = PREVIEWS[path][name]
    preview = preview_path(visit)
    visit.sandbox.fail("conduit", path, **row.fault)
    try:
        answer = visit.http.get(preview)
    finally:
        visit.sandbox.heal()
    assert_nothing_leaks(row, answer)
    code = answer.json()["errors"][0]["extensions"]["code"]
    assert f"{answer.status_code} {code}" == row.expected
    assert visit.http.get(preview).status_code == 200


def preview_path(visit: Visit) -> str:
    query = "{ files(first: 100) { nodes { previewUrl isPublic } } }"
    files = visit.ask(query).json()["data"]["files"]["nodes"]
    return next(str(file["previewUrl"]) for file in files if not file["isPublic"])


# --------------------------------------------------------------------- recordings


def recorded(upstream: str, *topics: str) -> Iterator[tuple[int, str]]:
    """(status, code or words) of every refusal in the recordings of these topics."""
    for topic in topics:
        content = json.loads((RECORDINGS / upstream / f"{topic}.json").read_text())
        for exchange in content.get("exchanges", []):
            for key in ("response", "last_response"):
                answer = exchange.get(key) or {}
                if answer.get("status", 0) >= 300:
                    yield answer["status"], words_of(answer.get("body"))
        for run in content.get("runs", []):
            for seen in run["seen"]:
                if (seen["status"] or 0) >= 300:
                    body = json.loads(seen["body"].removesuffix('"}') + '"}')
                    yield seen["status"], words_of(body)


def words_of(body: object) -> str:
    if not isinstance(body, dict):
        return ""
    return str(body.get("error") or body.get("code") or body.get("message") or "")


def told(rows: dict[str, Row]) -> set[tuple[int, str]]:
    return {(row.status, words_of(row.body)[:18]) for row in rows.values()}


def test_every_refusal_of_the_recordings_on_failures_has_a_row() -> None:
    flux = set(recorded("flux", "16-gateway", "17-rate-limit", "19-failures"))
    # A health answer, and what the gateway says to a HEAD.
    flux -= {(503, "")}
    missing = {(status, words[:18]) for status, words in flux}
    assert missing - told(FLUX_GATEWAY | FLUX_POSTGREST) == set()
    conduit = set(recorded("conduit", "failures", "database_stall", "router"))
    missing = {(status, words[:18]) for status, words in conduit}
    rows = CONDUIT | POST_WRITES | PREVIEWS["/storage/file/"]
    rows |= {"miss": module(404, "Document does not exist", "")}
    rows |= {"no token": module(401, "No 'Authorization' header", "")}
    assert missing - told(rows) == set()
