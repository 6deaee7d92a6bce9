"""Operations of the graph are executed by plans, not handed to graphql-core."""

import gc
from contextlib import contextmanager
from pathlib import Path

import pytest
from graphql import Node, Token

from engine.plan import Field, Selection
from schema import build_schema
from schema.limits import Limits
from tests.resolvers.stubs import make_world
from tests.schema import asking

ROOT = Path(__file__).parents[2]
NAMED = sorted(
    path
    for path in (ROOT / "benchmarks/queries").glob("*.graphql")
    if path.stem not in {"sign_in", "update_note"}
)


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.stem)
async def test_the_measured_queries_run_by_a_plan(path):
    graph = asking.compiled()
    await asking.ask(make_world(posts=2), "{ __typename }", graph=graph)
    counts = graph.run.counts
    before = counts.compiled, dict(counts.fallbacks)
    await asking.ask(
        make_world(posts=3, notes=3), path.read_text(), graph=graph, n=2, rows=2, ids=[]
    )
    assert (counts.compiled, counts.fallbacks) == (before[0] + 1, before[1])


async def test_introspection_is_left_to_graphql_core():
    graph = asking.compiled()
    answer = await asking.ask(
        make_world(), "{ __schema { queryType { name } } }", graph=graph
    )
    assert answer.data == {"__schema": {"queryType": {"name": "Query"}}}
    assert graph.run.counts.fallbacks["introspection"] >= 1


@contextmanager
def uncollected():
    """The garbage collector waits until the end."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_a_document_that_is_let_go_is_freed_without_the_collector():
    """Tried with a token list left linked, and with a field in its own arguments."""
    graph = build_schema(Limits(cached_documents=1), engine="compiled")
    graph.run.max_plans = 1
    kinds = (Token, Node, Selection, Field)
    text = "($rows: Int!) { posts(first: $rows) { nodes { id author { id } } } }"

    async def ask(name):
        for _ in range(3):  # what is usual is known from the second time on
            answer = await asking.ask(
                make_world(posts=2), f"query {name}{text}", graph=graph, rows=2
            )
            assert not answer.errors

    def held():
        return sum(isinstance(each, kinds) for each in gc.get_objects())

    await ask("A")
    with uncollected():
        before = held()
        await ask("B")  # what validated it is the collector's, but soon
        assert held() == before > 0


async def test_no_more_plans_are_kept_than_documents():
    """Tried with the engine's own bound of a thousand: all twenty stay."""
    graph = build_schema(Limits(cached_documents=3), engine="compiled")
    for n in range(20):
        query = f"query Q{n} {{ posts {{ nodes {{ id }} }} }}"
        assert not (await asking.ask(make_world(posts=1), query, graph=graph)).errors
    assert 3 <= len(graph.run.known) <= 6
