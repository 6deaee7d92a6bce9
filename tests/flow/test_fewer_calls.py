"""Requests at the same time share calls: the whole app over real sockets, counted."""

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest

from harness import Caller, Sandbox, caller_of, running_app

PAGE = "{ posts(first: 7) { nodes { title } } notes(first: 7) { nodes { body } } }"
IDS = "{ notes(first: 8) { nodes { id } } }"
BY_ID = "query ($id: ID!) { note(id: $id) { id } }"


def counted(sandbox: Sandbox) -> Counter[tuple[str, str]]:
    return Counter((name, method) for name, method, _ in sandbox.calls())


def told(caplog: pytest.LogCaptureFixture) -> list[bool]:
    """Of each upstream call in the log whether it was shared."""
    lines: list[Any] = [getattr(record, "fields", {}) for record in caplog.records]
    calls = [call for line in lines for call in line.get("upstreamCalls", ())]
    return sorted(call.shared for call in calls)


async def test_equal_requests_at_one_time_cost_the_calls_of_one(
    first: Caller, second: Caller, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Tried without joining: 12 calls at each."""
    caplog.set_level(logging.INFO, "mainstem.request")
    for upstream, path in (("flux", "/notes"), ("conduit", "/database/Post")):
        sandbox.fail(upstream, path, delay_s=1.0)  # or it is over before all have asked
    answers = await asyncio.gather(
        *(caller.data(PAGE) for _ in range(6) for caller in (first, second))
    )
    # Two people: two calls at each upstream, and nobody sees the other's notes.
    assert counted(sandbox) == {("flux", "GET"): 2, ("conduit", "GET"): 2}
    mine, theirs = answers[0], answers[1]
    assert answers == [mine, theirs] * 6
    assert mine["notes"] != theirs["notes"]
    assert told(caplog) == [False] * 4 + [True] * 20


async def test_what_requests_look_up_at_one_time_is_one_call(
    first: Caller, sandbox: Sandbox
) -> None:
    """Tried without sharing batches: 8 calls."""
    found = await first.data(IDS)
    ids = [note["id"] for note in found["notes"]["nodes"]]
    sandbox.forget()
    answers = await asyncio.gather(*(first.data(BY_ID, id=id) for id in ids))
    assert [answer["note"]["id"] for answer in answers] == ids
    assert counted(sandbox) == {("flux", "GET"): 1}


@pytest.mark.parametrize(("mode", "calls"), [("off", 2), ("inflight", 1)])
async def test_a_read_on_its_way_is_joined_only_where_that_is_set(
    sandbox: Sandbox, mode: str, calls: int
) -> None:
    query = "{ notes(first: 3) { nodes { body } } }"
    async with (
        running_app({**sandbox.environment, "COALESCE": mode}) as app,
        caller_of(app) as caller,
    ):
        await caller.sign_in("first")
        sandbox.forget()
        sandbox.fail("flux", "/notes", delay_s=1.0)
        earlier = asyncio.create_task(caller.data(query))
        while not counted(sandbox):  # noqa: ASYNC110 - the stand-in has no event
            await asyncio.sleep(0.02)
        assert await caller.data(query) == await earlier
    assert counted(sandbox) == {("flux", "GET"): calls}
