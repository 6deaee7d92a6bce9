"""Failures: every class has its code, nothing of an upstream's word gets out."""

import asyncio
import json
import logging

import msgspec
import pytest

from clients import errors
from clients.errors import UpstreamError
from resolvers.change_feed import ChangesMissedError
from resolvers.ids import global_id
from schema.errors import ROWS, ErrorCode, row_of
from schema.problems import HANDLERS
from tests.resolvers.stubs import make_context, make_world, note_id

SECRET = "http://upstream.internal/notes?token=eyJhbGciOi"

CODES = {
    errors.NotAuthenticatedError: "UNAUTHENTICATED",
    errors.InvalidCredentialsError: "UNAUTHENTICATED",
    errors.PermissionDeniedError: "FORBIDDEN",
    errors.NotFoundError: "NOT_FOUND",
    errors.InvalidInputError: "BAD_USER_INPUT",
    errors.ConflictError: "CONFLICT",
    errors.RateLimitedError: "RATE_LIMITED",
    errors.TooManyCallsError: "QUERY_TOO_COMPLEX",
    errors.UpstreamUnavailableError: "UPSTREAM_UNAVAILABLE",
    errors.UpstreamTimeoutError: "UPSTREAM_TIMEOUT",
    errors.VaultUnavailableError: "UPSTREAM_UNAVAILABLE",
    errors.UpstreamMisconfiguredError: "UPSTREAM_MISCONFIGURED",
    errors.UpstreamResponseError: "UPSTREAM_BAD_RESPONSE",
    errors.UpstreamError: "UPSTREAM_ERROR",
    ChangesMissedError: "CHANGES_MISSED",
    ValueError: "INTERNAL_SERVER_ERROR",
    KeyError: "INTERNAL_SERVER_ERROR",
}

MASKED = {
    "UPSTREAM_MISCONFIGURED",
    "UPSTREAM_BAD_RESPONSE",
    "UPSTREAM_ERROR",
    "INTERNAL_SERVER_ERROR",
}


def subclasses(kind):
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def make(kind):
    if not issubclass(kind, UpstreamError):
        return kind(SECRET)
    return kind(SECRET, service="flux", operation="notes page", status=500)


@pytest.mark.parametrize(("kind", "code"), CODES.items())
async def test_every_failure_costs_its_own_field_and_has_its_code(
    ask, caplog, kind, code
):
    world = make_world(posts=1, notes=1)
    world.failures["notes.page"] = make(kind)
    with caplog.at_level(logging.INFO):
        answer = await ask(
            world, "{ notes { nodes { id } } posts { nodes { title } } }"
        )
    assert answer.data == {"notes": None, "posts": {"nodes": [{"title": "Post 000"}]}}
    [error] = answer.errors
    expected = {"code": code, "requestId": "request-1"}
    if issubclass(kind, UpstreamError):
        expected["service"] = "flux"
    assert error["extensions"] == expected
    assert (error["path"], error["locations"][0]["line"]) == (["notes"], 1)
    assert "upstream.internal" not in json.dumps(error)
    logged = [r for r in caplog.records if r.name.startswith("mainstem")]
    assert bool(logged) == (code in MASKED)
    if logged:
        assert logged[0].exc_info[1] is world.failures["notes.page"]


def test_every_class_of_failure_is_in_the_table_here():
    assert {UpstreamError, *subclasses(UpstreamError)} <= CODES.keys()


def test_a_class_that_nobody_thought_of_has_its_ancestors_code():
    class Newer(errors.UpstreamTimeoutError):
        pass

    assert row_of(Newer("x")).code is ErrorCode.UPSTREAM_TIMEOUT
    assert row_of(RuntimeError("x")).code is ErrorCode.INTERNAL_SERVER_ERROR


def test_every_code_of_the_table_is_reached_by_some_failure():
    unreached = {row.code for row in ROWS.values()} - set(CODES.values())
    assert unreached == set()


def test_every_typed_result_has_a_handler():
    handled = {type(handler).__name__ for handler in HANDLERS}
    assert handled == {
        "InvalidInputHandler",
        "InvalidCredentialsHandler",
        "NotFoundHandler",
        "ForbiddenHandler",
        "ConflictHandler",
    }


async def test_invalid_input_shows_our_words_and_the_field(ask):
    world = make_world()
    world.failures["notes.page"] = errors.InvalidInputError(
        SECRET, public_message="Too odd.", field="bodyContains", service="flux"
    )
    answer = await ask(world, "{ notes { nodes { id } } }")
    [error] = answer.errors
    assert error["message"] == "Too odd."
    assert error["extensions"]["field"] == "bodyContains"


async def test_rate_limited_tells_how_long(ask):
    world = make_world()
    world.failures["notes.page"] = errors.RateLimitedError(SECRET, retry_after_s=12.5)
    answer = await ask(world, "{ notes { nodes { id } } }")
    assert answer.errors[0]["extensions"]["retryAfterS"] == 12.5


async def test_an_outage_of_one_kind_costs_only_its_nodes(ask):
    world = make_world(posts=1, notes=1)
    world.failures["notes.by_ids"] = make(errors.UpstreamUnavailableError)
    ids = [global_id("Note", note_id(0)), global_id("Post", world.posts[0].id)]
    answer = await ask(
        world, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids
    )
    assert answer.data == {"nodes": [None, {"id": ids[1]}]}
    assert answer.paths == [["nodes", 0]]


async def test_an_outage_of_flux_costs_only_the_notes_of_posts(ask):
    world = make_world(posts=3, notes=3)
    world.failures["notes.by_posts"] = make(errors.UpstreamTimeoutError)
    answer = await ask(
        world,
        "{ posts { nodes { title author { username } notes { totalCount nodes "
        "{ id } } } } }",
    )
    assert [post["notes"] for post in answer.data["posts"]["nodes"]] == [None] * 3
    assert [post["title"] for post in answer.data["posts"]["nodes"]] == [
        "Post 002",
        "Post 001",
        "Post 000",
    ]
    assert answer.codes == ["UPSTREAM_TIMEOUT"] * 3
    assert answer.paths[1] == ["posts", "nodes", 1, "notes"]


async def test_a_failed_total_costs_only_the_total(ask):
    world = make_world(posts=2, notes=2)
    world.failures["notes.counts_by_posts"] = make(errors.UpstreamError)
    answer = await ask(
        world, "{ posts { nodes { notes { totalCount nodes { body } } } } }"
    )
    notes = [post["notes"] for post in answer.data["posts"]["nodes"]]
    assert [note["totalCount"] for note in notes] == [None, None]
    assert notes[0]["nodes"] == [{"body": "Note 1"}]


async def test_a_row_that_breaks_its_promise_is_masked(ask, caplog):
    world = make_world(posts=1)
    msgspec.structs.force_setattr(world.posts[0], "title", None)
    answer = await ask(world, "{ posts { nodes { title } } }")
    assert answer.data == {"posts": None}
    assert answer.codes == ["INTERNAL_SERVER_ERROR"]
    assert "title" not in answer.errors[0]["message"]


async def test_a_cancelled_sibling_takes_no_shared_future_along(ask):
    """`nodes` is non-null: its failure makes the engine cancel its siblings."""
    world = make_world(notes=1)
    context = make_context(world)
    waiting = asyncio.ensure_future(context.loaders.notes.load(note_id(0)))
    answer = await ask(
        world,
        "query ($note: ID!, $many: [ID!]!) "
        "{ note(id: $note) { body } nodes(ids: $many) { id } }",
        context=context,
        note=note_id(0),
        many=[global_id("Note", note_id(0))] * 101,
    )
    assert answer.data is None
    assert (await waiting).id == note_id(0)
    assert world.called_names == ["notes.by_ids"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ a", "GRAPHQL_PARSE_FAILED"),
        ("not graphql", "GRAPHQL_PARSE_FAILED"),
        ("{ viewer { nonsense } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ notes(orderBy: {direction: UP}) { totalCount } }", None),
        ("{ notes(first: 1.5) { totalCount } }", None),
        ("{ note { id } }", "GRAPHQL_VALIDATION_FAILED"),
        pytest.param(
            "{ posts(first: %s) { totalCount } }" % ("9" * 5000),
            "GRAPHQL_VALIDATION_FAILED",
            id="a number that Python does not read",
        ),
        ("query ($n: Int) { notes(first: $n) { totalCount } }", "BAD_USER_INPUT"),
        ("{ ...A } fragment A on Query { ...A }", "GRAPHQL_VALIDATION_FAILED"),
        ("query a { viewer { id } } query b { viewer { id } }", "BAD_USER_INPUT"),
        ("fragment A on Query { viewer { id } }", None),
        ("", "BAD_USER_INPUT"),
        (None, "BAD_USER_INPUT"),
    ],
)
async def test_a_request_that_is_wrong_has_one_clear_error(ask, query, code):
    world = make_world()
    answer = await ask(world, query, n="many")
    assert answer.data is None
    assert answer.codes[0] == (code or answer.codes[0])
    assert answer.codes[0] in (
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "BAD_USER_INPUT",
    )
    assert answer.errors[0]["extensions"]["requestId"] == "request-1"
    assert world.calls == []


async def test_an_unknown_operation_name_is_bad_input(ask):
    answer = await ask(make_world(), "query a { viewer { id } }", operation_name="b")
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_an_explicit_null_in_a_non_null_place_is_bad_input(ask):
    world = make_world()
    answer = await ask(
        world,
        "query ($d: OrderDirection = ASC) "
        "{ notes(orderBy: {direction: $d}) { totalCount } }",
        d=None,
    )
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_equal_mistakes_are_told_once(ask):
    world = make_world()
    answer = await ask(world, "{ viewer { %s } }" % ("nonsense " * 50))
    assert len(answer.errors) == 1
    many = " ".join(f"nonsense{n}" for n in range(100))
    answer = await ask(world, f"{{ viewer {{ {many} }} }}")
    assert len(answer.errors) == 20


@pytest.mark.parametrize(("lines", "placed"), [(2000, True), (2001, False)])
async def test_mistakes_far_down_are_told_without_their_place(ask, lines, placed):
    answer = await ask(make_world(), "\n" * lines + "{ nonsense }")
    assert ("locations" in answer.errors[0]) == placed
    assert answer.codes == ["GRAPHQL_VALIDATION_FAILED"]


async def test_equal_failures_are_bounded_by_a_page(ask):
    world = make_world(posts=100, notes=1, users=1)
    world.failures["notes.by_posts"] = make(errors.UpstreamTimeoutError)
    answer = await ask(
        world,
        "{ posts(first: 100) { nodes { "
        "notes { nodes { id } } "
        "author { posts(first: 2) { nodes { notes { nodes { id } } } } } } } }",
    )
    assert len(answer.errors) == 100 + 100


async def test_errors_of_a_kept_document_carry_the_id_of_their_own_request(ask):
    world = make_world()
    for request_id in ("one", "two"):
        context = make_context(world)
        context.scope.request_id = request_id
        answer = await ask(world, "{ viewer { nonsense } }", context=context)
        assert answer.errors[0]["extensions"]["requestId"] == request_id
