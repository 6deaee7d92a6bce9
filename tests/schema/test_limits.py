"""Limits: what is too big is refused before it costs anything."""

import time

import pytest

from schema import build_schema, documents
from schema.limits import Limits
from tests.resolvers.stubs import make_context, make_world


def nested(depth):
    """A query whose deepest field is `depth` levels down."""
    query, closing, level = "posts { nodes {", "} }", 2
    while level + 2 < depth:
        query, closing, level = (
            f"{query} author {{ posts {{ nodes {{",
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


async def test_a_tower_of_fragments_is_measured_in_no_time(ask):
    levels = 60
    tower = " ".join(
        f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)
    )
    query = f"{{ ...F0 }} {tower} fragment F{levels} on Query {{ viewer {{ id }} }}"
    started = time.perf_counter()
    answer = await ask(make_world(), query)
    assert answer.codes == ["QUERY_TOO_COMPLEX"]
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("depth", [3, 9, 15])
async def test_what_is_within_the_limits_passes(ask, depth):
    answer = await ask(make_world(posts=2), nested(depth))
    assert answer.errors == []


async def test_limits_are_settings():
    strict = build_schema(Limits(max_depth=3))
    for query, codes in (
        ("{ posts { nodes { id } } }", []),
        ("{ posts { nodes { author { id } } } }", ["QUERY_TOO_COMPLEX"]),
    ):
        result = await strict.execute(query, context_value=make_context(make_world()))
        assert [e.extensions["code"] for e in result.errors or []] == codes


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
