"""An upstream that hangs costs its own fields, and only while it hangs."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from processes_harness import until
from serving import NO_TLS

from harness import Caller, Sandbox, caller_of, running_app, server_process

BOTH = """{ notes(first: 3) { nodes { body } } posts(first: 3) { nodes { title } } }"""
QUICK = {"UPSTREAM_TIMEOUT_S": "1", "UPSTREAM_READ_TIMEOUT_S": "1"}
HUNG = {
    "flux": ("/notes", "notes", "posts"),
    "conduit": ("/database", "posts", "notes"),
}


@pytest.mark.parametrize("upstream", ["flux", "conduit"])
async def test_the_other_upstream_answers_and_the_return_is_seen_within_5_s(
    sandbox: Sandbox, upstream: str
) -> None:
    path, lost, kept = HUNG[upstream]
    settings = sandbox.environment | QUICK
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        sandbox.fail(upstream, path, hang=True)
        for _ in range(6):
            started = time.perf_counter()
            answer = await caller(BOTH)
            assert time.perf_counter() - started < 3
            assert answer["data"][lost] is None
            assert answer["data"][kept]["nodes"]
        started = time.perf_counter()
        answer = await caller(BOTH)
        assert time.perf_counter() - started < 1.5
        sandbox.heal()
        assert await recovered(caller, lost) < 5


@pytest.mark.parametrize("upstream", ["flux", "conduit"])
async def test_the_deadline_of_the_request_is_handed_down_to_every_call(
    sandbox: Sandbox, upstream: str
) -> None:
    """The time-outs of a call are longer; calls in turn share what is left."""
    path, lost, kept = HUNG[upstream]
    settings = sandbox.environment | {"REQUEST_DEADLINE_S": "1"}
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        sandbox.fail(upstream, path, hang=True)
        sandbox.fail(upstream, "/rpc", hang=True)
        started = time.perf_counter()
        nested = "{ posts(first: 3) { nodes { notes { nodes { body } } } } notes { "
        answer = await caller(nested + "nodes { body } } }")
        assert time.perf_counter() - started < 2
    codes = {error["extensions"]["code"] for error in answer["errors"]}
    assert codes == {"UPSTREAM_TIMEOUT"}
    assert answer["data"][lost] is None
    assert answer["data"][kept]["nodes"]


async def recovered(caller: Caller, field: str) -> float:
    """How long until the field answers again, in seconds."""
    started = time.perf_counter()
    while time.perf_counter() - started < 10:
        answer = await caller(BOTH)
        if answer["data"][field] is not None:
            return time.perf_counter() - started
        await asyncio.sleep(0.1)
    raise AssertionError("it never came back")


async def test_an_open_circuit_answers_at_once(sandbox: Sandbox) -> None:
    settings = sandbox.environment | QUICK
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        sandbox.fail("flux", "/notes", status=503)
        for _ in range(5):
            await caller(BOTH)
        sandbox.forget()
        answers = [await caller("{ notes { nodes { id } } }") for _ in range(20)]
        codes = {each["errors"][0]["extensions"]["code"] for each in answers}
        assert codes == {"UPSTREAM_UNAVAILABLE"}
        assert len(sandbox.calls()) <= 3


async def test_an_operation_makes_no_more_calls_than_it_may(sandbox: Sandbox) -> None:
    settings = sandbox.environment | {"LIMIT_UPSTREAM_CALLS": "3"}
    fields = " ".join(
        f"p{n}: posts(first: {n + 1}) {{ nodes {{ id }} }}" for n in range(6)
    )
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        sandbox.forget()
        answer = await caller(f"{{ {fields} }}")
        assert len(sandbox.calls()) == 3
    codes = [error["extensions"]["code"] for error in answer["errors"]]
    assert codes == ["QUERY_TOO_COMPLEX"] * 3
    assert sum(value is not None for value in answer["data"].values()) == 3


@pytest.mark.parametrize(
    ("query", "variables", "wrote"),
    [
        ("{ posts(first: 9) { nodes { id notes { nodes { id } } } } }", {}, False),
        (
            "mutation ($input: CreateNoteInput!) "
            "{ createNote(input: $input) { __typename } }",
            {"input": {"body": "written for one who left"}},
            True,
        ),
    ],
    ids=["read", "write"],
)
async def test_who_leaves_ends_its_reads_and_not_its_writes(
    sandbox: Sandbox, query: str, variables: dict[str, Any], wrote: bool
) -> None:
    with server_process(sandbox) as url:
        async with httpx.AsyncClient(base_url=url, timeout=20, verify=NO_TLS) as http:
            caller = Caller(http)
            await caller.sign_in()
            sandbox.forget()
            upstream, path = ("flux", "/notes") if wrote else ("conduit", "/database")
            sandbox.fail(upstream, path, delay_s=1, after="before", times=1)
            body = {"query": query, "variables": variables}
            await leave(http, body, lambda: bool(sandbox.calls()))
            await asyncio.sleep(2)
            reached = {name for name, _, _ in sandbox.calls()}
            assert reached == {upstream}  # a read's second call was never made
            notes = await caller.data("{ notes(first: 1) { nodes { body } } }")
            written = notes["notes"]["nodes"][0]["body"] == "written for one who left"
            assert written == wrote


async def leave(
    http: httpx.AsyncClient, body: object, once: Callable[[], bool]
) -> None:
    """Ask, and hang up as soon as that is true."""
    asking = asyncio.create_task(http.post("/graphql", json=body))
    await until(once)
    assert not asking.done()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


REFUSED = {
    "name": "UNAUTHORIZED",
    "status": 401,
    "message": "Token is expired or otherwise not valid",
}


async def test_who_leaves_does_not_end_a_renewal(sandbox: Sandbox) -> None:
    """The upstream forgets the old refresh token at once: half a renewal is none."""
    renewal = ("conduit", "POST", "/authentication/renew")
    posts = "{ posts(first: 1) { nodes { id } } }"
    with server_process(sandbox) as url:
        async with httpx.AsyncClient(base_url=url, timeout=20, verify=NO_TLS) as http:
            caller = Caller(http)
            await caller.sign_in()
            sandbox.forget()
            sandbox.fail("conduit", "/database", status=401, body=REFUSED, times=1)
            sandbox.fail("conduit", renewal[2], delay_s=1, times=1)
            await leave(http, {"query": posts}, lambda: renewal in sandbox.calls())
            await asyncio.sleep(2)
            assert sandbox.calls().count(renewal) == 1
            assert (await caller.data(posts))["posts"]["nodes"]
            assert sandbox.calls().count(renewal) == 1


async def test_an_upstream_is_left_alone_for_as_long_as_it_asks(
    sandbox: Sandbox,
) -> None:
    settings = sandbox.environment
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        wait = {"retry-after": "2"}
        sandbox.fail("flux", "/notes", status=503, headers=wait, times=1)
        assert (await caller(BOTH))["data"]["notes"] is None
        sandbox.forget()
        started = time.perf_counter()
        while time.perf_counter() - started < 1:
            answer = await caller(BOTH)
            assert answer["data"]["posts"]["nodes"]
            assert answer["data"]["notes"] is None
            code = answer["errors"][0]["extensions"]["code"]
            assert code == "UPSTREAM_UNAVAILABLE"
        assert {upstream for upstream, _, _ in sandbox.calls()} == {"conduit"}
        assert await recovered(caller, "notes") < 3
