"""What is learnt of a Conduit, and what stands in for what it lacks."""

import asyncio
import logging
import re

import msgspec
import pytest
from clients_harness import LIMITS, Script, Tokens, Upstream, answer
from clock import timeless

from clients.conduit.calls import ConduitCalls
from clients.conduit.client import ConduitClient, conduit_http, storage_http
from clients.conduit.database import FILE_SELECTION, POST_SELECTION
from clients.conduit.detection import detect
from clients.conduit.offers import ABSENCE_S, GUARD_S, SINGLE_READS_PER_S, Offers
from clients.conduit.records import ConduitFile, ConduitPost
from clients.errors import (
    InvalidInputError,
    NotAuthenticatedError,
    RateLimitedError,
    UpstreamError,
    UpstreamMisconfiguredError,
    UpstreamUnavailableError,
)
from clients.http import CallScope

TIME = "2026-11-22T06:17:19.477Z"
HTML_404 = answer(404, b"<html>Cannot GET</html>", content_type="text/html")
BOTH = frozenset({"author", "coverFile"})


def uuid(n: int) -> str:
    return f"00000000-0000-4000-8000-{n:012x}"


def top_level(selection: str) -> set[str]:
    """Names in a selection, without what stands in braces."""
    while selection != (selection := re.sub(r"{[^{}]*}", "", selection)):
        pass
    return set(selection.split())


@pytest.mark.parametrize(
    ("record", "selection"),
    [
        (ConduitPost, POST_SELECTION),
        (ConduitFile, FILE_SELECTION),
    ],
)
def test_the_slower_way_asks_for_every_field_of_a_record(
    record: type[msgspec.Struct], selection: str
) -> None:
    """One that is left out would be null wherever an endpoint is missing."""
    fields = {field.encode_name for field in msgspec.structs.fields(record)}
    assert top_level(selection) == fields


def post(n: int) -> dict[str, object]:
    return {
        "_id": uuid(n),
        "title": "t",
        "createdAt": TIME,
        "updatedAt": TIME,
        "author": {"_id": uuid(9), "username": "alice"},
        "coverFile": None,
    }


def field_error(code: object, message: str) -> dict[str, object]:
    return {"message": message, "path": ["a0"], "extensions": {"code": code}}


@pytest.fixture
def offers() -> Offers:
    return Offers()


@pytest.fixture
def conduit(upstream: Upstream, scope: CallScope, offers: Offers) -> ConduitClient:
    http = conduit_http(upstream.url, upstream.transport(), LIMITS)
    storage = storage_http(upstream.transport(), LIMITS)
    return ConduitClient(ConduitCalls(http, Tokens(), scope, offers), storage)


async def test_an_absence_is_believed_for_some_minutes_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [1000.0]
    offers = Offers(clock=lambda: now[0])
    assert not offers.lacks("GetPostsByIds")
    with caplog.at_level(logging.WARNING, "mainstem.conduit"):
        offers.note_absence("GetPostsByIds")
        assert offers.lacks("GetPostsByIds")
        now[0] += ABSENCE_S
        assert not offers.lacks("GetPostsByIds")
        offers.note_absence("GetPostsByIds")
    assert len(caplog.records) == 1


def test_whether_posts_are_guarded_is_believed_for_some_minutes() -> None:
    now = [1000.0]
    offers = Offers(clock=lambda: now[0])
    assert offers.guards_posts is None
    offers.note_guard(False)
    assert offers.guards_posts is False
    now[0] += GUARD_S
    assert offers.guards_posts is None


async def test_single_reads_keep_to_half_of_the_routers_budget() -> None:
    offers = Offers()
    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(offers.turn(within_s=1.0) for _ in range(6)))
    took = asyncio.get_running_loop().time() - started
    assert 5 / SINGLE_READS_PER_S <= took < 1.0


def test_who_would_have_its_turn_too_late_is_told_at_once_and_takes_none() -> None:
    """A thousand single reads must not keep those waiting that come after them."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        offers, started = Offers(clock=loop.time), loop.time()
        turns = (offers.turn(within_s=2.0) for _ in range(1000))
        found = await asyncio.gather(*turns, return_exceptions=True)
        assert loop.time() - started == pytest.approx(2.0)
        refused = [each for each in found if isinstance(each, RateLimitedError)]
        assert len(refused) == 1000 - 2 * SINGLE_READS_PER_S - 1
        assert refused[0].retry_after_s == pytest.approx(0.04)
        await offers.turn(within_s=0.1)

    timeless(work())


async def test_the_aliases_of_one_field_carry_the_ids_and_all_that_is_shown(
    upstream: Upstream, conduit: ConduitClient, offers: Offers
) -> None:
    offers.note_absence("GetPostsByIds")
    body = {
        "data": {"a0": post(1), "a1": None},
        "errors": [field_error(404, "Document does not exist")],
    }
    upstream.script(answer(200, body))
    (found,) = await conduit.posts.by_ids([uuid(1), uuid(2)], populate=BOTH)
    assert found.author is not None
    assert found.author.username == "alice"
    assert found.cover_file_id is None
    seen = upstream.only
    assert (seen.method, seen.target) == ("POST", "/graphql")
    assert seen.headers["cache-control"] == "no-cache"
    assert isinstance(seen.json, dict)
    query = seen.json["query"]
    assert query.count("getDatabasePostId(") == 2
    assert f'a1:getDatabasePostId(id:"{uuid(2)}")' in query


async def test_what_was_not_asked_for_is_not_kept(
    upstream: Upstream, conduit: ConduitClient, offers: Offers
) -> None:
    offers.note_absence("GetPostsByIds")
    upstream.script(answer(200, {"data": {"a0": post(1)}}))
    (found,) = await conduit.posts.by_ids([uuid(1)])
    assert (found.author, found.author_id) == (None, uuid(9))


async def test_a_scope_goes_into_every_way(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(HTML_404, HTML_404, answer(200, post(1)))
    await conduit.posts.by_ids([uuid(1)], scope='Team:"1"')
    endpoint, graphql, single = upstream.seen
    assert ("scope", 'Team:"1"') in endpoint.query
    assert isinstance(graphql.json, dict)
    assert 'scope:"Team:\\"1\\""' in graphql.json["query"]
    assert single.path == f"/database/Post/{uuid(1)}"
    assert single.query == [("scope", 'Team:"1"')]


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (404, "Not found", UpstreamUnavailableError),
        (500, "round_robin: No connection established", UpstreamUnavailableError),
        (500, "something else", UpstreamError),
        ("INTERNAL_SERVER_ERROR", "something else", UpstreamError),
        (401, "2FA is required", NotAuthenticatedError),
    ],
)
async def test_another_failure_of_an_alias_is_that_failure(
    upstream: Upstream,
    conduit: ConduitClient,
    offers: Offers,
    code: object,
    message: str,
    kind: type[UpstreamError],
) -> None:
    offers.note_absence("GetPostsByIds")
    body = {"data": {"a0": None}, "errors": [field_error(code, message)]}
    upstream.script(answer(200, body))
    with pytest.raises(UpstreamError) as caught:
        await conduit.posts.by_ids([uuid(1)])
    assert type(caught.value) is kind


async def test_a_token_refused_within_a_200_is_renewed_once(
    upstream: Upstream, conduit: ConduitClient, offers: Offers
) -> None:
    offers.note_absence("GetFilesByIds")
    refused = field_error(403, "File access is not public")
    file = {"_id": uuid(1), "name": "f", "createdAt": TIME, "updatedAt": TIME}
    upstream.script(
        answer(200, {"data": {"a0": None}, "errors": [refused]}),
        answer(200, {"data": {"a0": file}}),
    )
    (found,) = await conduit.storage.by_ids([uuid(1)])
    assert found.name == "f"
    tokens = [seen.headers["authorization"] for seen in upstream.seen]
    assert tokens == ["Bearer token-1", "Bearer token-2"]


async def test_people_have_no_second_way(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(HTML_404)
    with pytest.raises(UpstreamMisconfiguredError):
        await conduit.users.by_ids([uuid(1)])


async def test_a_wrong_router_is_no_absence_for_ever(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    """All ways are HTML 404: that is an error, not an empty answer."""
    upstream.script(HTML_404)
    with pytest.raises(UpstreamMisconfiguredError):
        await conduit.posts.by_ids([uuid(1)])
    assert [seen.path for seen in upstream.seen] == [
        "/database/function/GetPostsByIds",
        "/graphql",
        f"/database/Post/{uuid(1)}",
    ]


async def test_guarded_storage_is_never_asked_by_the_custom_endpoint(
    upstream: Upstream, scope: CallScope
) -> None:
    http = conduit_http(upstream.url, upstream.transport(), LIMITS)
    storage = storage_http(upstream.transport(), LIMITS)
    offers = Offers(storage_authorization=True)
    conduit = ConduitClient(ConduitCalls(http, Tokens(), scope, offers), storage)
    hidden = field_error(403, "You do not have access to file")
    upstream.script(answer(200, {"data": {"a0": None}, "errors": [hidden]}))
    assert await conduit.storage.by_ids([uuid(1)]) == []
    assert upstream.only.path == "/graphql"


async def test_the_first_page_of_files_begins_at_an_id_that_mongodb_takes(
    upstream: Upstream, conduit: ConduitClient, offers: Offers
) -> None:
    upstream.script(answer(200, {"documents": [], "count": 0}))
    offers.note_id(uuid(1))
    await conduit.storage.page(limit=1)
    offers.note_id("5" * 24)
    await conduit.storage.page(limit=1)
    starts = [dict(seen.query)["id"] for seen in upstream.seen]
    assert starts == ["ffffffff-ffff-ffff-ffff-ffffffffffff", "f" * 24]


@pytest.mark.parametrize(
    ("known", "own", "foreign"),
    [(uuid(1), uuid(2), "5" * 24), ("5" * 24, "a" * 24, uuid(1))],
)
async def test_an_id_of_the_other_kind_of_database_does_not_spoil_a_batch(
    upstream: Upstream,
    conduit: ConduitClient,
    offers: Offers,
    known: str,
    own: str,
    foreign: str,
) -> None:
    upstream.script(answer(200, []))
    offers.note_id(known)
    offers.note_id("no id at all")
    await conduit.posts.by_ids([foreign, own])
    await conduit.users.by_ids([own, foreign])
    asked = [dict(seen.query)["ids"] for seen in upstream.seen]
    assert asked == [own, own]
    assert await conduit.storage.by_ids([foreign]) == []
    for call in (conduit.posts.get(foreign), conduit.storage.get(foreign)):
        with pytest.raises(InvalidInputError):
            await call
    assert len(upstream.seen) == 2


async def test_a_scope_that_graphql_does_not_know_says_nothing_about_graphql(
    upstream: Upstream, conduit: ConduitClient, offers: Offers
) -> None:
    offers.note_absence("GetPostsByIds")
    unknown = {"errors": [field_error("GRAPHQL_VALIDATION_FAILED", "Unknown argument")]}
    upstream.script(answer(400, unknown), answer(200, post(1)))
    assert len(await conduit.posts.by_ids([uuid(1)], scope="Team:1")) == 1
    assert not offers.lacks("/graphql")


GUARDED = answer(401, {"name": "UNAUTHORIZED", "status": 401, "message": "No token"})
FAILED = answer(200, {"data": {"__typename": "Query"}})
STARTING = answer(404, {"name": "NOT_FOUND", "status": 404, "message": "Not found"})


@pytest.mark.parametrize(
    ("answers", "absent"),
    [
        ([GUARDED] * 4, []),
        ([GUARDED, HTML_404, GUARDED, GUARDED, FAILED], ["GetPostsByIds"]),
        (
            [GUARDED, HTML_404, HTML_404, HTML_404, HTML_404],
            ["GetPostsByIds", "GetFilesByIds", "GetUsersByIds", "/graphql"],
        ),
        # The router is up, and has not heard of the database module.
        ([HTML_404], []),
        ([STARTING] * 4, []),
        ([GUARDED, answer(500, b"", content_type="text/html"), GUARDED, GUARDED], []),
    ],
    ids=[
        "all there",
        "one absent",
        "all absent",
        "module starts",
        "endpoints start",
        "fails",
    ],
)
async def test_what_is_absent_is_found_out_at_the_start(
    upstream: Upstream,
    scope: CallScope,
    offers: Offers,
    answers: list[Script],
    absent: list[str],
) -> None:
    upstream.script(*answers)
    http = conduit_http(upstream.url, upstream.transport(), LIMITS)
    await detect(http, offers, scope)
    ways = ("GetPostsByIds", "GetFilesByIds", "GetUsersByIds", "/graphql")
    assert [way for way in ways if offers.lacks(way)] == absent
    assert len(upstream.seen) == len(answers)
    assert not any("authorization" in seen.headers for seen in upstream.seen)


async def test_a_conduit_that_is_down_does_not_stop_the_start(
    upstream: Upstream, scope: CallScope, offers: Offers
) -> None:
    await upstream.stop()
    http = conduit_http(upstream.url, upstream.transport(), LIMITS)
    await detect(http, offers, scope)
    assert not offers.lacks("GetPostsByIds")


async def test_a_malformed_id_is_refused_before_any_way(
    upstream: Upstream, conduit: ConduitClient, offers: Offers
) -> None:
    offers.note_absence("GetPostsByIds")
    with pytest.raises(InvalidInputError):
        await conduit.posts.by_ids(['x"){_id}'])
    assert upstream.seen == []
