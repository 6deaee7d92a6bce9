"""Static cost: known from the document and the variables, before anything is done."""

import pytest
from graphql import parse

from clients.errors import RateLimitedError
from schema import schema
from schema.costs import OperationCost, cost_table
from tests.resolvers.stubs import make_context, make_world

TABLE = cost_table(schema._schema)


def cost(text, variables=None):
    document = parse(text)
    operation = document.definitions[0]
    root = schema._schema.get_root_type(operation.operation).name
    known = OperationCost(TABLE, root, document, operation, page_size=100)
    return known.of(variables)


POSTS = "{ posts(first: 3) { nodes { title } } }"
BY_VARIABLE = "query ($n: Int = 7) { posts(first: $n) { nodes { title } } }"


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("{ __typename }", None, 1),
        ("{ viewer { id email } }", None, 1),
        (POSTS, None, 1 + 3),
        ("{ posts { nodes { title } } }", None, 1 + 20),
        ("{ posts(last: 2) { edges { node { title } } } }", None, 1 + 2 * 2),
        ("{ posts(first: 3) { nodes { id } edges { cursor } } }", None, 1 + 3 + 3),
        ("{ posts(first: 3) { totalCount pageInfo { endCursor } } }", None, 1 + 5 + 1),
        ("{ posts(first: 0) { nodes { title } } }", None, 1),
        (BY_VARIABLE, {"n": 5}, 1 + 5),
        (BY_VARIABLE, {}, 1 + 7),
        (BY_VARIABLE, None, 1 + 7),
        (BY_VARIABLE, {"n": None}, 1 + 20),  # no default stands in for a null
        (BY_VARIABLE, {"n": 5.0}, 1 + 5),  # an Int to GraphQL
        (BY_VARIABLE, {"n": 5.5}, 1 + 20),
        (BY_VARIABLE, {"n": float("inf")}, 1 + 20),
        (BY_VARIABLE, {"n": True}, 1 + 20),
        (BY_VARIABLE, {"n": "many"}, 1 + 20),
        (BY_VARIABLE, {"n": -4}, 1),
        (BY_VARIABLE, {"n": 2_000_000_000}, 1 + 100),
        (
            "{ posts(first: 3) { nodes { author { id } notes { nodes { id } } } } }",
            None,
            1 + 3 * (1 + 1 + 1 + 10),
        ),
        ("{ nodes(ids: [1, 2, 3]) { id } }", None, 3),
        ("{ nodes(ids: %s) { id } }" % ("9" * 5000), None, 100),
        ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": ["a", "b"]}, 2),
        ("{ files(first: 2) { nodes { data } } }", None, 1 + 2 * (1 + 20)),
        ("mutation { deleteNote(id: 1) { __typename } }", None, 10 + 1),
        ("{ a: viewer { id } b: viewer { id } }", None, 2),
        (
            "{ posts(first: 3) { ...P } } fragment P on PostConnection "
            "{ nodes { ...Q ... on Post { coverFile { id } } } }"
            " fragment Q on Post { author { id } }",
            None,
            1 + 3 * (1 + 1 + 1),
        ),
    ],
)
def test_the_cost_is_that_of_the_directives_in_the_sdl(text, variables, expected):
    assert cost(text, variables) == expected


def test_a_tower_of_fragments_is_reckoned_once_for_each_fragment():
    levels = 200
    tower = " ".join(
        f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)
    )
    text = f"{{ ...F0 }} {tower} fragment F{levels} on Query {{ viewer {{ id }} }}"
    assert cost(text) == 2**levels


async def test_too_dear_an_operation_is_refused_before_any_call(ask):
    world = make_world(posts=3)
    text = """query ($n: Int!) { posts(first: $n) { nodes { author {
      posts(first: $n) { nodes { notes(first: $n) { nodes { id } } } } } } } }"""
    answer = await ask(world, text, n=100)
    assert answer.codes == ["QUERY_TOO_COMPLEX"]
    assert world.calls == []
    assert (await ask(world, text, n=2)).errors == []


@pytest.mark.parametrize("n", [None, 100.0])
async def test_no_spelling_of_a_page_size_makes_it_cheaper(ask, n):
    """A null is a page of 20, whatever the variable's default; 1e2 is 100."""
    world = make_world(posts=3)
    text = """query ($n: Int = 1) { posts(first: $n) { nodes { author {
      posts(first: $n) { nodes { author { posts(first: $n) { nodes {
      notes(first: $n) { nodes { id } } } } } } } } } } }"""
    answer = await ask(world, text, n=n)
    assert answer.codes == ["QUERY_TOO_COMPLEX"]
    assert world.calls == []
    assert (await ask(world, text, n=1)).errors == []


async def test_the_cost_is_taken_out_of_the_budget_before_any_call(ask):
    taken = []

    async def charge(cost):
        taken.append(cost)
        if sum(taken) > 5:
            raise RateLimitedError("spent", retry_after_s=30)

    world = make_world(posts=3)
    context = make_context(world, charge=charge)
    assert (await ask(world, POSTS, context=context)).errors == []
    calls = len(world.calls)
    answer = await ask(world, POSTS, context=context)
    assert answer.codes == ["RATE_LIMITED"]
    assert answer.errors[0]["extensions"]["retryAfterS"] == 30
    assert taken == [4, 4]
    assert len(world.calls) == calls


def test_both_directives_are_printed_in_the_sdl():
    sdl = schema.as_str()
    assert "directive @cost(weight: String!) on FIELD_DEFINITION" in sdl
    assert "requireOneSlicingArgument: false" in sdl
    assert 'slicingArguments: ["first", "last"]' in sdl
