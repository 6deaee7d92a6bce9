"""What production does not tell: introspection, the SDL, names, suggestions."""

import json
import logging
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from graphql import get_introspection_query

from schema import schema
from schema.disclosure import UNFIT, UNFIT_VARIABLE, without_suggestion
from server.app import create_app
from server.settings import Settings


@pytest.fixture
async def silent(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings.from_env({**environment, "INTROSPECTION": "off"}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
    ):
        yield client


@pytest.mark.parametrize(
    "query",
    [
        get_introspection_query(),
        "{ __schema { types { name } } }",
        '{ __type(name: "Post") { fields { name } } }',
        "{ ...on Query { a: __schema { queryType { name } } } }",
        "{ pots { nodes { id } } }",
        "{ posts { nods { id } } }",
        "{ posts(frist: 1) { nodes { id } } }",
        "{ posts(orderBy: {fild: TITLE}) { nodes { id } } }",
        "{ posts(orderBy: {field: TITEL}) { nodes { id } } }",
        "{ posts { ...on Pst { id } } }",
        "mutation { sgnOut { ok } }",
        "{ posts }",
        "{ viewer { id { x } } }",
        "{ post { id } }",
    ],
)
async def test_a_guess_at_the_schema_is_answered_in_one_sentence(
    silent: httpx.AsyncClient, query: str
) -> None:
    answer = (await silent.post("/graphql", json={"query": query})).json()
    (error,) = answer["errors"]
    assert error["message"] == UNFIT
    assert set(error) == {"message", "extensions"}
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert "data" not in answer


def names_of_the_graph() -> set[str]:
    """Of types, fields, arguments, input fields and values."""
    names: set[str] = set()
    for kind in schema._schema.type_map.values():
        if not kind.name.startswith("__"):
            fields = getattr(kind, "fields", {})
            names |= {kind.name, *fields, *getattr(kind, "values", {})}
            for field in fields.values():
                names |= set(getattr(field, "args", {}))
    return names


def nearly(name: str) -> list[str]:
    """Documents that ask, wherever a name may stand, for one spelt nearly like it."""
    near = misspelt(name)
    page = f"{near}: 1, filter: {{{near}: 1}}, orderBy: {{field: {near}}}"
    return [
        f"query ($v: {near}) {{ {near} ... on {near} {{ id }} signIn {{ {near} }}"
        f" posts({page}) {{ {near} nodes {{ {near} author {{ {near} }} }} }}"
        f" notes({page}) {{ edges {{ {near} node {{ {near} }} }} }}"
        f" viewer {{ {near} sessions {{ {near} }} }} files {{ nodes {{ {near} }} }} }}",
        f"mutation {{ {near} signIn({near}: 1, input: {{{near}: 1}}) {{ {near} }}"
        f" uploadFile(input: {{{near}: 1}}) {{ ... on {near} {{ id }} }} }}",
    ]


def misspelt(name: str) -> str:
    """Near enough for a suggestion, and no part of the name."""
    return f"{name[:-1]}x{name[-1]}q"


async def test_no_misspelling_of_any_name_is_answered_with_a_name(
    silent: httpx.AsyncClient,
) -> None:
    """What clairvoyance lives on (its own run: docs/security.md)."""
    all_names = names_of_the_graph()
    assert len(all_names) > 150
    real = re.compile("|".join(rf"\b{each}\b" for each in all_names if len(each) > 4))
    ours = re.compile(r'"(message|locations|extensions|requestId|code|path)"')
    for name in all_names:
        for document in nearly(name):
            text = (await silent.post("/graphql", json={"query": document})).text
            assert "did you mean" not in text.lower(), document
            assert not real.search(ours.sub("", text)), (document, text)


async def test_what_was_wrong_stands_in_the_log_under_the_request_id(
    silent: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mainstem.graph"):
        answer = (await silent.post("/graphql", json={"query": "{ pots }"})).json()
    assert "Cannot query field 'pots'" in caplog.text
    assert answer["errors"][0]["extensions"]["requestId"] in caplog.text


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("CreatePostInput!", {}),  # a required field is missing
        ("CreatePostInput!", None),
        ("CreatePostInput!", {"titel": "x", "title": [1]}),
        ("CreatePostInput!", {f"wrong{n}": n for n in range(10)}),
        ("PostOrder!", {"field": "TITEL"}),  # the name of an enumeration
        ("PostOrder!", {"fiel": "TITLE"}),
    ],
)
async def test_a_wrong_variable_is_told_by_its_name_alone(
    silent: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    value: object,
) -> None:
    rest = {
        "CreatePostInput!": "{ createPost(input: $v) { __typename } }",
        "PostOrder!": "{ posts(orderBy: $v) { nodes { id } } }",
    }
    operation = "mutation" if kind.startswith("Create") else "query"
    query = f"{operation} ($v: {kind}) {rest[kind]}"
    body = {"query": query, "variables": {"v": value}}
    with caplog.at_level(logging.INFO, "mainstem.graph"):
        answer = (await silent.post("/graphql", json=body)).json()
    (error,) = answer["errors"]
    assert error["message"] == UNFIT_VARIABLE.format("$v")
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["requestId"] in caplog.text


PASSWORD = "correct horse: battery found 'Value' staple"
LITERALS = [
    "{email: 1, password: %s}",
    "{email: %s, extra: 1}",
    "{email: [%s]}",
    '{email: "a", password: {a: %s}}',
    "%s",
    "[%s]",
    '{email: "a", password: "b", transport: %s}',
]
VALUES: list[object] = [
    {"password": PASSWORD},
    {"email": "a@b.c", "password": PASSWORD, "extra": 1},
    {"email": "a@b.c", "password": [PASSWORD]},
    {"email": "a@b.c", "password": {"a": PASSWORD}},
    {"email": "a@b.c", "password": "b", "transport": PASSWORD},
    PASSWORD,
    [PASSWORD],
]


BY_VARIABLE = "mutation ($i: SignInInput!) { signIn(input: $i) { __typename } }"
BODIES = [{"query": BY_VARIABLE, "variables": {"i": each}} for each in VALUES] + [
    {"query": "mutation { signIn(input: %s) { a } }" % (each % json.dumps(PASSWORD))}
    for each in LITERALS
]


@pytest.mark.parametrize("body", BODIES)
async def test_no_value_of_a_refused_operation_stands_in_the_log(
    silent: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, body: object
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = (await silent.post("/graphql", json=body)).json()
    assert answer["errors"][0]["extensions"]["requestId"] in caplog.text
    ours = [each for each in caplog.records if each.name.startswith("mainstem")]
    assert ours
    for record in ours:
        assert not re.search("horse|battery|staple", record.getMessage())


async def test_a_null_in_the_place_of_a_value_is_told_without_the_type(
    silent: httpx.AsyncClient,
) -> None:
    query = """query ($v: PostOrderField = TITLE) {
      posts(orderBy: {field: $v}) { nodes { id } } }"""
    body = {"query": query, "variables": {"v": None}}
    (error,) = (await silent.post("/graphql", json=body)).json()["errors"]
    assert error["message"] == UNFIT_VARIABLE.format("$v")
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_valid_operation_and_typename_are_answered(
    silent: httpx.AsyncClient,
) -> None:
    answer = await silent.post(
        "/graphql", json={"query": "{ __typename viewer { id }}"}
    )
    assert answer.json() == {"data": {"__typename": "Query", "viewer": None}}


async def test_the_sdl_is_not_served(silent: httpx.AsyncClient) -> None:
    assert (await silent.get("/schema.graphql")).status_code == 404


async def test_development_tells_all(http: httpx.AsyncClient) -> None:
    answer = (await http.post("/graphql", json={"query": "{ pots { id } }"})).json()
    assert "Did you mean 'post', 'posts'" in answer["errors"][0]["message"]
    assert (await http.get("/schema.graphql")).status_code == 200


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Unknown type 'Pst'. Did you mean 'Post' or 'Int'?", "Unknown type 'Pst'."),
        ("a. Did you mean 'b'? c. Did you mean 'd', 'e', or 'f'?", "a. c."),
        ("Nothing to cut.", "Nothing to cut."),
        ("a" * 980 + " Did you mean 'secret'?", "a" * 980),
    ],
)
def test_cuts_suggestions_only(message: str, expected: str) -> None:
    assert without_suggestion(message) == expected
