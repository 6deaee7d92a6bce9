"""Limits of the server: operations in flight, sizes of answers, settings."""

import asyncio
import logging
import re
from typing import Any

import orjson
import pytest

from harness import Sandbox, caller_of, running_app
from schema.limits import Limit, Limits
from server.admission import Admission
from server.answer_size import is_longer
from server.refusals import RefusalError
from server.settings import Settings, SettingsError

OFF = Limit(0, "off")
POSTS = "{ posts { nodes { id } } }"


def test_a_person_may_not_take_all_of_the_process() -> None:
    admission = Admission(Limit(3), Limit(2))
    admission.enter("a")
    admission.enter("a")
    with pytest.raises(RefusalError) as refused:
        admission.enter("a")
    assert (refused.value.status, refused.value.code) == (429, "RATE_LIMITED")
    admission.enter("b")
    with pytest.raises(RefusalError) as refused:
        admission.enter("c")
    assert (refused.value.status, refused.value.code) == (503, "SERVER_BUSY")
    for person in ("a", "b", "a"):
        admission.leave(person)
    assert admission.count == 0
    admission.enter("a")
    assert admission.count == 1


@pytest.mark.parametrize(("mode", "told"), [("off", 0), ("measure", 1)])
def test_in_other_modes_nobody_is_refused(
    mode: Any, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    admission = Admission(OFF, Limit(1, mode))
    with caplog.at_level(logging.WARNING):
        admission.enter("a")
        admission.enter("a")
    assert admission.count == 2
    assert len(caplog.messages) == told


async def test_one_too_many_at_once_is_refused_while_the_others_are_answered(
    sandbox: Sandbox,
) -> None:
    settings = sandbox.environment | {"LIMIT_OPERATIONS_PER_PERSON": "3"}
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        sandbox.fail("conduit", "/database/Post", delay_s=0.5, times=3)
        bodies = [{"query": POSTS}] * 4
        answers = await asyncio.gather(*(caller.post(body) for body in bodies))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200, 200, 200, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"] == "1"


async def test_an_answer_that_is_too_large_is_replaced(sandbox: Sandbox) -> None:
    settings = sandbox.environment | {"LIMIT_RESPONSE_BYTES": "1000"}
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        answer = await caller.post({"query": "{ posts { nodes { id title body } } }"})
        assert answer.status_code == 400
        error = answer.json()["errors"][0]
        assert error["extensions"]["code"] == "RESPONSE_TOO_LARGE"
        small = "{ posts(first: 2) { nodes { id } } }"
        assert (await caller.data(small))["posts"]


async def test_an_answer_that_repeats_one_text_is_refused_before_it_is_written(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One note of 100 kB, a hundred times under 99 names each, is an answer of 1 GB."""
    written: list[int] = []
    really = orjson.dumps

    def dumps(payload: object) -> bytes:
        text = really(payload)
        written.append(len(text))
        return text

    settings = sandbox.environment | {"LIMIT_RESPONSE_BYTES": "100000"}
    create = """mutation ($input: CreateNoteInput!) { createNote(input: $input) {
      ... on CreateNoteSuccess { note { id } } } }"""
    names = " ".join(f"a{n}: body" for n in range(99))
    repeat = (
        f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on Note {{ {names} }} }} }}"
    )
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        data = await caller.data(create, input={"body": "x" * 1000})
        ids = [data["createNote"]["note"]["id"]] * 100
        weighed: list[int] = []
        monkeypatch.setattr("server.graphql.orjson.dumps", dumps)
        monkeypatch.setattr(Admission, "weigh", lambda _, size: weighed.append(size))
        body = {"query": repeat, "variables": {"ids": ids}}
        answer = await caller.post(body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "RESPONSE_TOO_LARGE"
    assert max(written, default=0) < 100_000
    assert weighed == [100_000]


@pytest.mark.parametrize(
    ("data", "length"),
    [
        ({"a": "bc"}, 3),
        ({"a": [{"b": "cd"}, {"b": None}, 7, True]}, 5),
        ({"long" * 5: []}, 20),
        (None, 0),
    ],
)
def test_the_length_of_an_answer_is_told_from_its_texts_and_keys(
    data: object, length: int
) -> None:
    assert not is_longer(data, length)
    assert is_longer(data, length - 1)


async def test_the_budget_of_a_person_is_counted_over_all_their_sessions(
    sandbox: Sandbox,
) -> None:
    settings = sandbox.environment | {"LIMIT_COST_PER_MINUTE": "100"}
    five_pages = "{" + "".join(
        f"p{n}: posts(first: 15) {{ nodes {{ id }} }} " for n in range(5)
    )
    async with (
        running_app(settings) as app,
        caller_of(app) as one,
        caller_of(app) as same,
        caller_of(app) as other,
    ):
        await one.sign_in("first")
        await same.sign_in("first")
        await other.sign_in("second")
        await one.data(five_pages + "}")
        answer = await same(five_pages + "}")
        assert answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert 0 < answer["errors"][0]["extensions"]["retryAfterS"] <= 60
        await same.data("{ posts(first: 5) { nodes { id } } }")
        await other.data(five_pages + "}")


async def test_what_is_only_measured_runs_and_is_told_under_the_request_id(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    settings = sandbox.environment | {
        "LIMIT_COST_PER_MINUTE": "measure:5",
        "LIMIT_PAGE_SIZE": "measure:5",
        "LIMIT_RESPONSE_BYTES": "measure:500",
        "LIMIT_UPSTREAM_CALLS": "measure:1",
        "LIMIT_OPERATIONS_IN_FLIGHT": "measure:1",
    }
    query = "{ notes(first: 9) { nodes { id } } posts(first: 9) { nodes { id } } }"
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        with caplog.at_level(logging.WARNING, "mainstem.limits"):
            data, _ = await asyncio.gather(caller.data(query), caller.data(query))
    assert [len(data[name]["nodes"]) for name in ("notes", "posts")] == [9, 9]
    for told in (
        "spent, over 5 a minute",
        "2 upstream calls",
        "an answer of ",
        "a page of 9 rows, over 5",
        "2 operations in flight, over 1",
    ):
        assert re.search(rf"limit in request [0-9a-f]{{32}}: .*{told}", caplog.text)


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:9/0", "redis+cluster://127.0.0.1:9"]
)
async def test_without_redis_the_budget_limits_nobody(
    sandbox: Sandbox, url: str
) -> None:
    nobody = {"REDIS_URL": url, "LIMIT_COST_PER_MINUTE": "1"}
    async with running_app(sandbox.environment | nobody) as app, caller_of(app) as one:
        for _ in range(3):
            assert await one.data("{ viewer { id } }") == {"viewer": None}


@pytest.mark.parametrize("value", ["0", "-1", "many", "measure:", "measure:x", "1e3"])
def test_a_limit_is_a_number_a_measured_number_or_off(
    environment: dict[str, str], value: str
) -> None:
    with pytest.raises(SettingsError, match="LIMIT_DEPTH"):
        Settings.from_env({**environment, "LIMIT_DEPTH": value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", Limit(7)), ("measure:7", Limit(7, "measure")), ("off", OFF)],
)
def test_each_limit_has_three_modes(
    environment: dict[str, str], value: str, expected: Limit
) -> None:
    settings = Settings.from_env({**environment, "LIMIT_DEPTH": value})
    assert settings.protection.limits.document.depth == expected


def test_a_callers_default_limits_are_those_of_the_schema(
    environment: dict[str, str],
) -> None:
    assert Settings.from_env(environment).protection.limits.document == Limits()
