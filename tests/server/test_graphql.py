"""GraphQL over HTTP: methods, media types, statuses, bad requests."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message

from server.admission import Admission
from server.app import create_app
from server.guard import DRAIN_BYTES
from server.settings import Settings

NEWER = "application/graphql-response+json"
OLDER = "application/json"
FINE = {"query": "{ __typename }"}


async def post(
    http: httpx.AsyncClient, body: object, accept: str = OLDER
) -> httpx.Response:
    return await http.post("/graphql", json=body, headers={"accept": accept})


def code(response: httpx.Response) -> str:
    return str(response.json()["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize("accept", [OLDER, NEWER])
async def test_an_operation_is_answered_in_the_type_asked_for(
    http: httpx.AsyncClient, accept: str
) -> None:
    response = await post(http, FINE, accept)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("accept", "status"), [(OLDER, 200), (NEWER, 400)], ids=["older", "newer"]
)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query ($a: ID!) { node(id: $a) { id } }"}, None),
    ],
)
async def test_an_operation_that_never_ran_has_no_data_and_the_status_of_its_type(
    http: httpx.AsyncClient,
    accept: str,
    status: int,
    body: dict[str, object],
    expected: str | None,
) -> None:
    response = await post(http, body, accept)
    assert response.status_code == status
    assert "data" not in response.json()
    assert expected in (None, code(response))
    assert response.json()["errors"][0]["extensions"]["requestId"]


async def test_a_failed_field_is_still_a_200(http: httpx.AsyncClient) -> None:
    response = await post(http, {"query": "{ notes { nodes { id } } }"}, NEWER)
    assert response.status_code == 200
    assert response.json()["data"] == {"notes": None}
    assert code(response) == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"7",
        b"null",
        b'"{ __typename }"',
        b"[]",
        b'[{"query": "{ __typename }"}]',
        b"{}",
        b'{"query": null}',
        b'{"query": ""}',
        b'{"query": {}}',
        b'{"query": "{ __typename }", "variables": []}',
        b'{"query": "{ __typename }", "variables": "{}"}',
        b'{"query": "{ __typename }", "operationName": {}}',
        b'{"query": "{ __typename }", "extensions": 1}',
        b'{"query": "{ __typename }\\u0000"}',
        b'{"query": "\xff"}',
        b'{"query": "\\ud800"}',
        b"\x00",
        b'{"query": "{ __typename }", "query": "{ viewer { id } }"}',
        b'{"query": "{ __typename }", "variables": {"a": {"b": 1, "\\u0062": 2}}}',
        b"[" * 100_000,
        b'{"query": "{ __typename }", "variables": {"a": '
        + b"[" * 990
        + b"]" * 990
        + b"}}",
        b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 100_000,
        b'{"query": "{ __typename }", "variables": {"a": NaN}}',
    ],
)
@pytest.mark.parametrize("accept", [OLDER, NEWER])
async def test_a_malformed_body_is_a_400_with_a_code(
    http: httpx.AsyncClient, body: bytes, accept: str
) -> None:
    headers = {"content-type": "application/json", "accept": accept}
    response = await http.post("/graphql", content=body, headers=headers)
    assert response.status_code == 400
    assert code(response) == "BAD_REQUEST"
    assert response.json()["errors"][0]["extensions"]["requestId"]


@pytest.mark.parametrize(
    "query",
    [
        "{ __typename " + "{ a " * 50_000,
        "{" * 100_000,
        "{ " + "__typename " * 50_000 + "}",
        "query Q { ...A } fragment A on Query { ...A }",
        "{ a: " + "[" * 50_000,
        "\ufeff\u2028",
        '{ node(id: "\\ud800") { id } }',
    ],
)
async def test_a_hostile_document_is_refused_and_never_a_500(
    http: httpx.AsyncClient, query: str
) -> None:
    response = await post(http, {"query": query}, NEWER)
    assert response.status_code == 400
    assert code(response) in {
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "QUERY_TOO_COMPLEX",
    }


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/graphql",
        "application/json; charset=utf-16",
        "application/json+x",
    ],
)
async def test_only_json_is_taken(http: httpx.AsyncClient, content_type: str) -> None:
    response = await http.post(
        "/graphql",
        content=json.dumps(FINE),
        headers={"content-type": content_type} if content_type else {},
    )
    assert response.status_code == 415
    assert code(response) == "UNSUPPORTED_MEDIA_TYPE"


async def test_a_charset_of_utf8_is_taken(http: httpx.AsyncClient) -> None:
    response = await http.post(
        "/graphql",
        content=json.dumps(FINE),
        headers={"content-type": 'Application/JSON; charset="UTF-8"'},
    )
    assert response.status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_a_405_that_names_the_allowed(
    http: httpx.AsyncClient, method: str
) -> None:
    response = await http.request(method, "/graphql", json=FINE)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"
    assert code(response) == "METHOD_NOT_ALLOWED"


async def test_a_type_that_is_not_served_is_a_406(http: httpx.AsyncClient) -> None:
    response = await post(http, FINE, "text/css")
    assert response.status_code == 406
    assert code(response) == "NOT_ACCEPTABLE"


async def test_get_runs_a_query_with_variables(http: httpx.AsyncClient) -> None:
    parameters = {
        "query": "query A($t: String!) { __type(name: $t) { name } }",
        "operationName": "A",
        "variables": '{"t": "Post"}',
    }
    response = await http.get("/graphql", params=parameters)
    assert response.json() == {"data": {"__type": {"name": "Post"}}}


@pytest.mark.parametrize(
    "query_string",
    [
        "",
        "query=",
        "query=%ff",
        "query={__typename}&variables=x",
        "query={__typename}&variables=[]",
        "query={__typename}&query={__typename}",
        "&".join(f"a{n}=1" for n in range(100)),
    ],
)
async def test_a_malformed_query_string_is_a_400(
    http: httpx.AsyncClient, query_string: str
) -> None:
    response = await http.get(f"/graphql?{query_string}")
    assert response.status_code == 400
    assert code(response) == "BAD_REQUEST"


async def test_get_never_runs_a_mutation(http: httpx.AsyncClient) -> None:
    query = "mutation { signOut { ok } }"
    response = await http.get("/graphql", params={"query": query})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_get_does_nothing_with_the_cookie_unless_preflighted(
    http: httpx.AsyncClient,
) -> None:
    parameters = {"query": "{ __typename }"}
    cookie = {"cookie": "conduit_session=x"}
    refused = await http.get("/graphql", params=parameters, headers=cookie)
    assert refused.status_code == 403
    assert code(refused) == "PREFLIGHT_REQUIRED"
    for header in ("graphql-require-preflight", "x-requested-with"):
        answered = await http.get(
            "/graphql", params=parameters, headers={**cookie, header: "1"}
        )
        assert answered.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"query": "query A { __typename } query B { __typename }"},
        {"query": "query A { __typename }", "operationName": "C"},
        {"query": "fragment F on Query { __typename }"},
    ],
)
async def test_an_operation_that_cannot_be_told_is_refused(
    http: httpx.AsyncClient, body: dict[str, str]
) -> None:
    response = await post(http, body, NEWER)
    assert response.status_code == 400
    assert "data" not in response.json()
    assert code(response)


async def test_a_body_over_the_limit_is_a_413_before_it_is_read(
    http: httpx.AsyncClient,
) -> None:
    response = await post(http, {"query": "#" * 2_000_000})
    assert response.status_code == 413
    assert code(response) == "PAYLOAD_TOO_LARGE"


async def test_a_body_that_hides_its_length_is_cut_at_the_limit(
    http: httpx.AsyncClient,
) -> None:
    taken = 0

    async def long() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(256):
            taken += 65_536
            yield b"x" * 65_536

    headers = {"content-type": "application/json"}
    response = await http.post("/graphql", content=long(), headers=headers)
    assert response.status_code == 413
    assert taken <= 1_048_576 + DRAIN_BYTES + 2 * 65_536


async def test_a_body_that_does_not_arrive_is_a_408(
    environment: dict[str, str],
) -> None:
    app = create_app(Settings.from_env({**environment, "BODY_TIMEOUT_S": "0.05"}))
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "http_version": "1.1",
        "scheme": "http",
        "server": ("api.test", 80),
    }
    async with app.router.lifespan_context(app), asyncio.timeout(5):
        await app(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_head_answers_as_get_without_the_body(http: httpx.AsyncClient) -> None:
    response = await http.head("/graphql", params={"query": "{ __typename }"})
    assert response.status_code == 200
    assert response.content == b""


async def test_large_answers_are_heard_of_where_operations_begin(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    monkeypatch.setattr(Admission, "weigh", lambda _, size: heard.append(size))
    answers = [await post(http, FINE), await post(http, {"query": "{ nothing }"})]
    assert heard == [len(answer.content) for answer in answers]
