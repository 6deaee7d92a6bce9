"""What an operation made is freed when it is answered, without the garbage collector.

Also when it failed: a traceback holds every frame on its way, and a frame that keeps
the failure at hand makes a cycle of both.

A cycle would keep a request's rows until the collector comes by: memory grows, and the
next request's rows lie where no cache has seen them. Tried with the loaders' own method
as a page's count: every row of every list stayed.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from serving import served

from harness import Caller, Sandbox
from server.alarms import Alarms
from server.departures import PATIENCE_S
from server.protocols import ServingConfig, StreamingHTTPProtocol

# The test's own client may hold on to the last one.
TIMES = 3

OPERATIONS = {
    "lists": """{
      posts(first: 5) { totalCount pageInfo { endCursor } edges { cursor node {
        id title author { username } coverFile { name } } } }
      notes(first: 5) { totalCount nodes { body post { title author { id } } } } }""",
    "nested": """{ posts(first: 5) { nodes { notes(first: 2) {
      totalCount nodes { body } } } } }""",
    "files": "{ files(first: 5) { totalCount nodes { name previewUrl } } }",
    "viewer": "{ viewer { email posts(first: 2) { nodes { title } } } }",
}


@pytest.fixture(params=[PATIENCE_S, 0.0], ids=["quick", "slow"])
async def patience(
    app: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow operation is watched while it runs, which takes a task."""
    presence = Alarms(asyncio.get_running_loop(), request.param)
    resources = replace(app.resources, presence=presence)
    monkeypatch.setattr(app, "resources", resources)


@contextmanager
def collected() -> Iterator[Counter[str]]:
    """The classes of what only the collector could free, counted at the end."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(one).__qualname__ for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("name", OPERATIONS)
async def test_no_row_and_no_context_waits_for_the_collector(
    first: Caller, name: str
) -> None:
    await first.data(OPERATIONS[name])  # compiles it
    with collected() as garbage:
        for _ in range(TIMES):
            await first.data(OPERATIONS[name])
    kept = {"RequestContext", "Loaders", "Page", "ConduitPost", "FluxNote"}
    assert not kept & set(garbage), garbage


@pytest.mark.usefixtures("patience")
async def test_the_ids_of_many_kinds_leave_nothing_behind(first: Caller) -> None:
    lists = await first.data("{ posts { nodes { id } } notes { nodes { id } } }")
    ids = [row["id"] for kind in lists.values() for row in kind["nodes"]]
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    await first.data(query, ids=ids)
    with collected() as garbage:
        for _ in range(TIMES):
            found = await first.data(query, ids=ids)
    assert len(found["nodes"]) == len(ids) > 0
    assert "RequestContext" not in garbage
    assert "DataLoader" not in garbage


async def test_nothing_of_a_request_on_a_connection_waits_for_the_collector(
    app: Any, first: Caller
) -> None:
    """uvicorn's cycle holds the scope; with its `send` in the scope, both stayed."""
    config = ServingConfig(
        app,
        http=StreamingHTTPProtocol,
        lifespan="off",
        log_config=None,
    )
    async with (
        served(app, config) as url,
        httpx.AsyncClient(base_url=url, cookies=first.http.cookies) as http,
    ):
        for path, body in (("/graphql", {"query": OPERATIONS["lists"]}), ("/x", {})):
            await http.post(path, json=body)
            with collected() as garbage:
                for _ in range(TIMES):
                    answer = await http.post(path, json=body)
            assert answer.status_code == (200 if path == "/graphql" else 404)
            kept = {"RequestResponseCycle", "Answer", "Head", "Session", "LateSession"}
            assert not kept & set(garbage), (path, garbage)


FAILING = {
    "lists": """{
      posts(first: 5) { nodes { title author { username } notes(first: 2) {
        totalCount nodes { body } } } }
      notes(first: 5) { nodes { body post { title } } } }""",
    "nodes": """query ($ids: [ID!]!) { nodes(ids: $ids) { id
      ... on Note { body post { title } } } }""",
    "mutation": """mutation ($ids: [ID!]!) { createNote(input: {body: "x"}) {
      __typename } }""",
}


@pytest.mark.parametrize("upstream", ["flux", "conduit"])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "body": {"message": "exploded"}},
        {"reset": True},
    ],
    ids=["error", "reset"],
)
@pytest.mark.parametrize("name", FAILING)
async def test_nothing_of_an_operation_that_failed_waits_for_the_collector(
    first: Caller, sandbox: Sandbox, name: str, fault: dict[str, object], upstream: str
) -> None:
    lists = await first.data("{ posts { nodes { id } } notes { nodes { id } } }")
    ids = [row["id"] for kind in lists.values() for row in kind["nodes"]]
    body = {"query": FAILING[name], "variables": {"ids": ids}}
    sandbox.fail(upstream, "/", **fault)
    await first.post(body)
    with collected() as garbage:
        for _ in range(TIMES):
            await first.post(body)
    kept = {"RequestContext", "Loaders", "traceback", "ConduitPost", "FluxNote"}
    assert not kept & set(garbage), garbage
