"""Limits: what is too big is refused before it costs anything."""

import logging
import time
from dataclasses import replace

import pytest
from graphql import get_introspection_query

from schema import build_schema, documents
from schema.brackets import nesting_of
from schema.limits import Limit, Limits
from tests.resolvers.stubs import make_context, make_world

OFF = Limit(0, "off")
NO_LIMITS = Limits(
    tokens=OFF,
    nesting=OFF,
    depth=OFF,
    aliases=OFF,
    directives=OFF,
    fields=OFF,
    repeated_fields=OFF,
    root_fields=OFF,
    page_size=OFF,
    cost=OFF,
)


def nested(depth):
    """A query whose deepest field is `depth` levels down."""
    query, closing, level = "posts(first: 2) { nodes {", "} }", 2
    while level + 2 < depth:
        query, closing, level = (
            f"{query} author {{ posts(first: 2) {{ nodes {{",
            f"}} }} }} {closing}",
            level + 3,
        )
    fill = depth - level
    inner = "id" if fill == 1 else "author { id }"
    return f"{{ {query} {inner} {closing} }}"


@pytest.mark.parametrize(
    "query",
    [
        nested(20),
        "{ posts { nodes { ...A } } } fragment A on Post { author { posts { nodes {"
        " author { posts { nodes { author { posts { nodes { author { posts { nodes {"
        " author { id } } } } } } } } } } } } } }",
        "{ " + " ".join(f"a{n}: viewer {{ id }}" for n in range(101)) + " }",
        "{ " + "viewer { id } " * 501 + " }",
        "{ viewer { id } } #" + " x" * 10 + "\n" + "fragment A on Query {a} " * 500,
        "{ viewer " * 150 + "}" * 150,
        "{ viewer " * 400 + "}" * 400,
        "{ a(b: " + "[" * 900 + "]" * 900 + ") }",
        "{ __schema { types { fields { type { "
        + "ofType { " * 20
        + "name"
        + " }" * 20
        + " } } } } }",
    ],
)
async def test_too_big_a_document_is_refused_without_a_call(ask, query):
    world = make_world(posts=1)
    answer = await ask(world, query)
    assert answer.data is None
    assert answer.codes == ["QUERY_TOO_COMPLEX"]
    assert world.calls == []


# One document for each limit: one more than 5 of what it bounds, and little else.
PASSING_ONE = {
    "tokens": "{ viewer { id } }",
    "nesting": "{ viewer { " + "... on Viewer { " * 4 + "id } } } } } }",
    "depth": "{ posts { nodes { author { posts { nodes { id } } } } } }",
    "aliases": "{ " + " ".join(f"a{n}: __typename" for n in range(6)) + " }",
    "directives": "{ viewer { ...A @include(if: true) } } fragment A on Viewer {"
    + "".join(f" a{n}: id @skip(if: false)" for n in range(5))
    + "}",
    "fields": "{ a: viewer { id } b: viewer { id } c: viewer { id } }",
    "repeated_fields": "{ viewer { " + "id " * 6 + "} }",
    "root_fields": "{ ...A ...A } fragment A on Query { a: __typename b: __typename"
    " ... { c: __typename } }",
    "cost": "{ posts(first: 3) { nodes { author { id } } } }",
}


@pytest.mark.parametrize("name", PASSING_ONE)
async def test_each_limit_alone_refuses_what_passes_it(name):
    schema = build_schema(replace(NO_LIMITS, **{name: Limit(5)}))
    world = make_world(posts=3)
    result = await schema.execute(PASSING_ONE[name], context_value=make_context(world))
    assert [e.extensions["code"] for e in result.errors] == ["QUERY_TOO_COMPLEX"]
    assert world.calls == []


@pytest.mark.parametrize("name", PASSING_ONE)
async def test_a_limit_that_is_off_refuses_nothing(name, caplog):
    context = make_context(make_world(posts=3))
    schema = build_schema(NO_LIMITS)
    result = await schema.execute(PASSING_ONE[name], context_value=context)
    assert result.errors is None
    assert caplog.messages == []


@pytest.mark.parametrize("name", PASSING_ONE)
async def test_a_limit_that_is_measured_is_told_each_time_and_refuses_nothing(
    name, caplog
):
    context = make_context(make_world(posts=3))
    schema = build_schema(replace(NO_LIMITS, **{name: Limit(5, "measure")}))
    with caplog.at_level(logging.WARNING, "mainstem.limits"):
        for _ in range(2):
            result = await schema.execute(PASSING_ONE[name], context_value=context)
            assert result.errors is None
    assert len(caplog.messages) == 2
    assert all("exceeds 5" in message for message in caplog.messages)
    assert context.scope.request_id in caplog.text


async def test_a_tower_of_fragments_is_measured_in_no_time(ask):
    levels = 60
    tower = " ".join(
        f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)
    )
    query = f"{{ ...F0 }} {tower} fragment F{levels} on Query {{ viewer {{ id }} }}"
    started = time.process_time()
    answer = await ask(make_world(), query)
    assert answer.codes == ["QUERY_TOO_COMPLEX"]
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("depth", [3, 9, 15])
async def test_what_is_within_the_limits_passes(ask, depth):
    answer = await ask(make_world(posts=2), nested(depth))
    assert answer.errors == []


async def test_the_page_size_is_a_setting(ask):
    world = make_world(notes=9)
    context = make_context(world, max_page_size=5)
    answer = await ask(
        world,
        "{ notes { nodes { id } } b: notes(first: 6) { nodes { id } } }",
        context=context,
    )
    assert len(answer.data["notes"]["nodes"]) == 5
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_ten_equal_mistakes_give_one_error(ask):
    answer = await ask(make_world(), "{ " + "nothing " * 10 + "}")
    assert answer.codes == ["GRAPHQL_VALIDATION_FAILED"]


async def test_the_whole_introspection_passes(ask):
    query = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    answer = await ask(make_world(), query)
    assert answer.errors == []
    names = {each["name"] for each in answer.data["__schema"]["types"]}
    assert {"Post", "Note", "Viewer"} <= names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("{ a }", 1),
        ("{ a(b: [[1]]) { c } }", 4),
        ('{ a(b: "{{{{") }', 2),
        ('{ a(b: """{{ " {{ \\""" {{""") }', 2),
        ("{ a # {{{{\n }", 1),
        ('{ a(b: "\\"{{") }', 2),
        ("}}}{{", 0),
        # What follows a string without an end is never parsed.
        ('{ """{{{' + "{" * 100, 1),
        ('{ [ "{{{', 2),
        ('{ "{{{\n{', 2),
        ("{" * 50_000, 50_000),
    ],
)
def test_brackets_are_counted_outside_of_strings_and_comments(text, expected):
    assert nesting_of(text) == expected


def test_counting_brackets_takes_linear_time():
    started = time.process_time()
    for hostile in (
        '"""' * 100_000,
        '"' * 300_000,
        '"""\\' * 75_000,
        "#" * 300_000,
        '"' + 'x\\"' * 10_000,
        '"""' + '\\"""x' * 10_000,
    ):
        nesting_of(hostile)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("query", "times"),
    [
        ("query OnceOnly { viewer { id } }", 1),
        ("query Padded { viewer { id } } #" + "x" * 40_000, 3),
    ],
)
async def test_a_document_is_prepared_once_unless_it_is_huge(
    ask, monkeypatch, query, times
):
    prepared = []
    original = documents._prepare
    monkeypatch.setattr(
        documents, "_prepare", lambda *a: prepared.append(a) or original(*a)
    )
    for _ in range(3):
        assert (await ask(make_world(), query)).errors == []
    assert len(prepared) == times
