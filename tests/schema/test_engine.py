"""Operations of the graph are executed by plans, not handed to graphql-core."""

from pathlib import Path

import pytest

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
