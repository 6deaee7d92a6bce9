"""Notes: what goes over the wire, and what comes back."""

import asyncio

import pytest
from clients_harness import LIMITS, Script, Seen, Tokens, Upstream, answer

from clients.errors import (
    ConflictError,
    InvalidInputError,
    UpstreamMisconfiguredError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from clients.flux.calls import FluxCalls
from clients.flux.client import FluxClient, flux_http
from clients.flux.notes import NOTE_COLUMNS
from clients.flux.records import FluxNote, FluxNotePage, NoteConditions
from clients.http import CallScope
from clients.keyset import Keyset

SCHEMA = "t_5ecfa3ab72d1_api"
BODY = frozenset({"id", "body"})
NONE = NoteConditions()


def uuid(n: int) -> str:
    return f"00000000-0000-4000-8000-{n:012x}"


def flux(
    upstream: Upstream, scope: CallScope, schema: str | None = SCHEMA
) -> FluxClient:
    http = flux_http(upstream.url, upstream.transport(), LIMITS)
    return FluxClient(FluxCalls(http, Tokens(), scope, schema))


async def test_by_ids_asks_for_the_columns_and_ids_only(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, [{"id": uuid(2), "body": "two", "extra": 1}]))
    notes = await flux(upstream, scope).notes.by_ids(
        [uuid(1).upper(), uuid(2), uuid(1)], columns=BODY
    )
    assert notes == [FluxNote(id=uuid(2), body="two")]
    seen = upstream.only
    assert (seen.method, seen.path) == ("GET", "/notes")
    assert seen.query == [
        ("select", "body,id"),
        ("id", f"in.({uuid(1)},{uuid(2)})"),
    ]
    assert seen.headers["accept-profile"] == SCHEMA
    assert "content-profile" not in seen.headers
    assert seen.headers["authorization"] == "Bearer token-1"
    assert seen.headers["accept"] == "application/json"


def rows_asked_for(seen: Seen) -> list[dict[str, str]]:
    """A row for every id in the request."""
    ids = dict(seen.query)["id"].removeprefix("in.(").removesuffix(")")
    return [{"id": id, "body": "x"} for id in ids.split(",")]


def taking_at_most(ids: int, refusal: Script) -> Script:
    """An upstream that refuses a longer request."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        rows = rows_asked_for(seen)
        fits = len(rows) <= ids
        return await (answer(200, rows) if fits else refusal)(seen, writer)

    return script


@pytest.mark.parametrize(
    "refusal",
    [
        answer(414, b"<html>", content_type="text/html"),
        answer(431, b"", content_type=""),
        answer(400, b"Bad Request", content_type="text/plain"),
        answer(502, {"error": "upstream error"}),
    ],
)
async def test_by_ids_halves_a_chunk_that_is_too_long_and_keeps_the_smaller_size(
    upstream: Upstream, scope: CallScope, refusal: Script
) -> None:
    upstream.script(taking_at_most(60, refusal))
    http = flux_http(upstream.url, upstream.transport(), LIMITS)
    ids = [uuid(n) for n in range(120)]
    for calls in (3, 2):
        upstream.seen.clear()
        # A client of its own each time: what was learnt belongs to the process.
        client = FluxClient(FluxCalls(http, Tokens(), scope, SCHEMA))
        notes = await client.notes.by_ids(ids, columns=BODY)
        assert sorted(note.id for note in notes) == ids
        assert len(upstream.seen) == calls


async def test_by_ids_halves_only_once_and_learns_nothing_from_an_outage(
    upstream: Upstream, scope: CallScope
) -> None:
    ids = [uuid(n) for n in range(120)]
    http = flux_http(upstream.url, upstream.transport(), LIMITS)
    client = FluxClient(FluxCalls(http, Tokens(), scope, SCHEMA))
    upstream.script(answer(502, b"<html>", content_type="text/html"))
    with pytest.raises(UpstreamUnavailableError):
        await client.notes.by_ids(ids, columns=BODY)
    assert len(upstream.seen) <= 1 + 2 * 2  # the halves are short: repeated once
    assert http.ids_per_request == 150


async def test_a_server_that_cuts_its_answers_is_asked_for_no_more_than_it_gives(
    upstream: Upstream, scope: CallScope
) -> None:
    http = flux_http(upstream.url, upstream.transport(), LIMITS, max_rows=25)
    notes = FluxClient(FluxCalls(http, Tokens(), scope, SCHEMA)).notes
    ids = [uuid(n) for n in range(60)]
    upstream.script(answer(200, []))
    await notes.by_ids(ids, columns=BODY)
    assert [len(rows_asked_for(seen)) for seen in upstream.seen] == [20] * 3
    upstream.seen.clear()
    await notes.by_posts(ids[:7], per_post=11, beyond=None, columns=BODY)
    assert sorted(groups_asked_for(seen) for seen in upstream.seen) == [1, 2, 2, 2]
    upstream.seen.clear()
    await notes.by_posts(ids[:2], per_post=26, beyond=None, columns=BODY)
    assert [groups_asked_for(seen) for seen in upstream.seen] == [1, 1]
    upstream.seen.clear()
    await notes.counts_by_posts(ids)
    assert [groups_asked_for(seen) for seen in upstream.seen] == [20] * 3


def groups_asked_for(seen: Seen) -> int:
    assert isinstance(seen.json, dict)
    return len(seen.json["post_ids"])


async def test_a_short_request_is_not_halved_for_a_502(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(502, {"error": "upstream error"}))
    with pytest.raises(UpstreamUnavailableError):
        await flux(upstream, scope).notes.by_ids([uuid(1), uuid(2)], columns=BODY)
    assert len(upstream.seen) == 2
    assert len({seen.target for seen in upstream.seen}) == 1


async def test_the_size_is_not_made_smaller_without_end(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(taking_at_most(1, answer(414, b"", content_type="")))
    http = flux_http(upstream.url, upstream.transport(), LIMITS)
    client = FluxClient(FluxCalls(http, Tokens(), scope, SCHEMA))
    await client.notes.by_ids([uuid(1), uuid(2)], columns=BODY)
    assert http.ids_per_request == 20


async def test_by_ids_of_nothing_calls_nobody(
    upstream: Upstream, scope: CallScope
) -> None:
    assert await flux(upstream, scope).notes.by_ids([], columns=BODY) == []
    assert upstream.seen == []


@pytest.mark.parametrize(
    "bad", ["", "x", uuid(1)[:-1], uuid(1) + "\n", f"{{{uuid(1)}}}"]
)
async def test_a_malformed_id_stops_the_batch_before_any_call(
    upstream: Upstream, scope: CallScope, bad: str
) -> None:
    notes = flux(upstream, scope).notes
    with pytest.raises(InvalidInputError) as caught:
        await notes.by_ids([uuid(1), bad], columns=BODY)
    assert caught.value.field == "id"
    with pytest.raises(InvalidInputError):
        await notes.by_posts([bad], per_post=1, beyond=None, columns=BODY)
    with pytest.raises(InvalidInputError):
        await notes.delete(bad)
    assert upstream.seen == []


@pytest.mark.parametrize(("ids", "calls"), [(150, 1), (151, 2), (400, 3)])
async def test_long_lists_are_split_below_both_bounds(
    upstream: Upstream, scope: CallScope, ids: int, calls: int
) -> None:
    upstream.script(answer(200, []))
    wanted = [uuid(n) for n in range(ids)]
    await flux(upstream, scope).notes.by_ids(wanted, columns=NOTE_COLUMNS)
    assert len(upstream.seen) == calls
    asked: list[str] = []
    for seen in upstream.seen:
        assert len(seen.target) <= 7000
        asked += (
            dict(seen.query)["id"].removeprefix("in.(").removesuffix(")").split(",")
        )
    assert sorted(asked) == wanted


async def test_the_url_budget_can_be_smaller(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, []))
    http = flux_http(upstream.url, upstream.transport(), LIMITS)
    client = FluxClient(FluxCalls(http, None, scope, None, url_budget_bytes=3000))
    await client.notes.by_ids([uuid(n) for n in range(150)], columns=NOTE_COLUMNS)
    assert max(len(seen.target) for seen in upstream.seen) <= 3000
    assert "accept-profile" not in upstream.seen[0].headers
    assert "authorization" not in upstream.seen[0].headers


async def test_one_failed_chunk_fails_the_whole_read(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, []), answer(504, {"error": "upstream timeout"}))
    with pytest.raises(UpstreamTimeoutError):
        await flux(upstream, scope).notes.by_ids(
            [uuid(n) for n in range(300)], columns=BODY
        )


async def test_first_page_with_its_total_is_one_call(
    upstream: Upstream, scope: CallScope
) -> None:
    row = {"id": uuid(1), "created_at": "2026-01-01T00:10:00.123456+00:00", "body": "x"}
    upstream.script(answer(206, [row], {"Content-Range": "0-0/25"}))
    page = await flux(upstream, scope).notes.page(
        limit=21,
        descending=True,
        beyond=None,
        conditions=NONE,
        columns=BODY,
        count=True,
    )
    assert page == FluxNotePage([FluxNote(**row)], 25)
    seen = upstream.only
    assert seen.query == [
        ("select", "body,created_at,id"),
        ("order", "created_at.desc,id.desc"),
        ("limit", "21"),
    ]
    assert seen.headers["prefer"] == "count=exact"


async def test_a_page_beyond_a_keyset_never_counts(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, []))
    page = await flux(upstream, scope).notes.page(
        limit=3,
        descending=False,
        beyond=Keyset("2026-01-01T00:10:00.123456+00:00", uuid(11)),
        conditions=NONE,
        columns=BODY,
        count=True,
    )
    assert page.total is None
    query = dict(upstream.only.query)
    assert query["or"] == (
        '(created_at.gt."2026-01-01T00:10:00.123456+00:00",'
        'and(created_at.eq."2026-01-01T00:10:00.123456+00:00",'
        f'id.gt."{uuid(11)}"))'
    )
    assert query["order"] == "created_at.asc,id.asc"
    assert "prefer" not in upstream.only.headers


async def test_all_conditions_go_out_as_parameters_of_their_own(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, []))
    await flux(upstream, scope).notes.page(
        limit=1,
        descending=True,
        beyond=None,
        conditions=NoteConditions(
            body_contains="50% (off)*",
            post_id=uuid(7).upper(),
            created_after="2026-01-01T00:00:00+02:00",
            created_before="2026-02-01T00:00:00Z",
        ),
        columns=BODY,
        count=False,
    )
    assert upstream.only.query[1:5] == [
        ("body", r"imatch.50% \(off\)\*"),
        ("post_id", f"eq.{uuid(7)}"),
        ("created_at", "gt.2026-01-01T00:00:00+02:00"),
        ("created_at", "lt.2026-02-01T00:00:00Z"),
    ]
    assert "%2B02:00" in upstream.only.target


async def test_counts_by_head_alone(upstream: Upstream, scope: CallScope) -> None:
    upstream.script(answer(206, b"", {"Content-Range": "*/42"}))
    count = await flux(upstream, scope).notes.count(NoteConditions(post_id=uuid(1)))
    assert count == 42
    seen = upstream.only
    assert seen.method == "HEAD"
    assert seen.query == [
        ("select", "id"),
        ("post_id", f"eq.{uuid(1)}"),
        ("limit", "0"),
    ]
    assert seen.headers["prefer"] == "count=exact"
    assert seen.headers["accept-profile"] == SCHEMA


async def test_notes_of_many_posts_are_one_call_grouped_by_post(
    upstream: Upstream, scope: CallScope
) -> None:
    rows = [
        {"id": uuid(n), "post_id": uuid(100 + n % 2), "body": "b", "created_at": "t"}
        for n in range(4)
    ]
    upstream.script(answer(200, rows))
    grouped = await flux(upstream, scope).notes.by_posts(
        [uuid(100).upper(), uuid(101), uuid(102)],
        per_post=3,
        beyond=Keyset("2026-01-01T00:00:00+00:00", uuid(9)),
        columns=BODY,
    )
    assert {post: [n.id for n in notes] for post, notes in grouped.items()} == {
        uuid(100): [uuid(0), uuid(2)],
        uuid(101): [uuid(1), uuid(3)],
        uuid(102): [],
    }
    seen = upstream.only
    assert (seen.method, seen.path) == ("POST", "/rpc/notes_by_post")
    assert seen.query == [
        ("select", "body,created_at,id,post_id"),
        ("order", "created_at.desc,id.desc"),
    ]
    assert seen.json == {
        "post_ids": [uuid(100), uuid(101), uuid(102)],
        "per_post": 3,
        "before_created_at": "2026-01-01T00:00:00+00:00",
        "before_id": uuid(9),
    }
    assert seen.headers["content-profile"] == SCHEMA


async def test_the_first_notes_of_posts_need_no_keyset(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, []))
    await flux(upstream, scope).notes.by_posts(
        [uuid(1)], per_post=5, beyond=None, columns=BODY
    )
    assert upstream.only.json == {"post_ids": [uuid(1)], "per_post": 5}


async def test_notes_of_a_post_not_asked_for_are_a_bad_answer(
    upstream: Upstream, scope: CallScope
) -> None:
    row = {"id": uuid(1), "post_id": uuid(2), "body": "b", "created_at": "t"}
    upstream.script(answer(200, [row]))
    with pytest.raises(UpstreamResponseError):
        await flux(upstream, scope).notes.by_posts(
            [uuid(1)], per_post=5, beyond=None, columns=BODY
        )


async def test_counts_of_many_posts_are_one_call_with_zeros(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, [{"post_id": uuid(1), "n": 3}]))
    counts = await flux(upstream, scope).notes.counts_by_posts([uuid(1), uuid(2)])
    assert counts == {uuid(1): 3, uuid(2): 0}
    assert upstream.only.path == "/rpc/note_counts_by_post"
    assert upstream.only.json == {"post_ids": [uuid(1), uuid(2)]}


async def test_create_sends_the_row_and_reads_it_back(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(201, [{"id": uuid(1), "body": "x"}]))
    note = await flux(upstream, scope).notes.create(
        id=uuid(1), body="x", post_id=None, owner_id="alice", columns=BODY
    )
    assert note == FluxNote(id=uuid(1), body="x")
    seen = upstream.only
    assert (seen.method, seen.target) == ("POST", "/notes?select=body%2Cid")
    assert seen.json == {
        "id": uuid(1),
        "body": "x",
        "post_id": None,
        "owner_id": "alice",
    }
    assert seen.headers["prefer"] == "return=representation"
    assert seen.headers["content-profile"] == SCHEMA


async def test_create_with_an_id_in_use_is_a_conflict(
    upstream: Upstream, scope: CallScope
) -> None:
    body = {
        "code": "23505",
        "details": f"Key (id)=({uuid(1)}) already exists.",
        "hint": None,
        "message": 'duplicate key value violates unique constraint "notes_pkey"',
    }
    upstream.script(answer(409, body))
    with pytest.raises(ConflictError) as caught:
        await flux(upstream, scope).notes.create(
            id=uuid(1), body="x", post_id=uuid(2), owner_id="a", columns=BODY
        )
    assert (caught.value.field, caught.value.upstream_code) == ("id", "23505")


async def test_update_is_held_to_its_row(upstream: Upstream, scope: CallScope) -> None:
    upstream.script(answer(200, [{"id": uuid(1), "body": "y"}]), answer(200, []))
    notes = flux(upstream, scope).notes
    assert await notes.update(uuid(1), body="y", columns=BODY) == FluxNote(
        id=uuid(1), body="y"
    )
    assert await notes.update(uuid(2), body="y", columns=BODY) is None
    seen = upstream.seen[0]
    assert seen.method == "PATCH"
    assert seen.query == [("select", "body,id"), ("id", f"eq.{uuid(1)}")]
    assert seen.json == {"body": "y"}


async def test_delete_tells_whether_there_was_a_row(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, [{"id": uuid(1)}]), answer(200, []))
    notes = flux(upstream, scope).notes
    assert await notes.delete(uuid(1)) is True
    assert await notes.delete(uuid(1)) is False
    assert upstream.seen[0].method == "DELETE"
    assert upstream.seen[0].query == [("select", "id"), ("id", f"eq.{uuid(1)}")]


async def test_a_write_that_the_gateway_gave_up_on_is_of_unknown_outcome(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(504, {"error": "upstream timeout"}))
    notes = flux(upstream, scope).notes
    with pytest.raises(UpstreamTimeoutError) as write:
        await notes.update(uuid(1), body="y", columns=BODY)
    with pytest.raises(UpstreamTimeoutError) as read:
        await notes.by_ids([uuid(1)], columns=BODY)
    assert (write.value.outcome_unknown, read.value.outcome_unknown) == (True, False)


@pytest.mark.parametrize(
    ("status", "word"), [(504, "upstream timeout"), (502, "upstream error")]
)
async def test_a_read_by_post_leaves_nothing_in_doubt(
    upstream: Upstream, scope: CallScope, status: int, word: str
) -> None:
    """A mutation that shows notes of a post would be told that it may have failed."""
    upstream.script(answer(status, {"error": word}))
    notes = flux(upstream, scope).notes
    with pytest.raises(UpstreamUnavailableError) as counting:
        await notes.counts_by_posts([uuid(1)])
    with pytest.raises(UpstreamUnavailableError) as reading:
        await notes.by_posts([uuid(1)], per_post=1, beyond=None, columns=BODY)
    assert not counting.value.outcome_unknown
    assert not reading.value.outcome_unknown


@pytest.mark.parametrize(
    "body",
    [
        {"id": uuid(1)},
        [{"body": "x"}],
        [{"id": 1, "body": "x"}],
        [{"id": uuid(1), "body": None}],
        [{"id": uuid(1)}],
        [{"id": uuid(1), "body": 5}],
        b'[{"id": "',
        b"<html>not json</html>",
        b"",
    ],
)
async def test_an_answer_that_breaks_the_contract_is_told(
    upstream: Upstream, scope: CallScope, body: object
) -> None:
    upstream.script(answer(200, body))
    with pytest.raises(UpstreamResponseError) as caught:
        await flux(upstream, scope).notes.by_ids([uuid(1)], columns=BODY)
    assert (caught.value.service, caught.value.operation) == ("flux", "notes by ids")


async def test_a_refused_token_is_minted_anew_and_then_it_is_our_mistake(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(401, {"error": "invalid or expired token"}))
    with pytest.raises(UpstreamMisconfiguredError, match="FLUX_JWT_SECRET"):
        await flux(upstream, scope).notes.count(NONE)
    assert [seen.headers["authorization"] for seen in upstream.seen] == [
        "Bearer token-1",
        "Bearer token-2",
    ]


async def test_check_asks_what_the_guide_asks(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, []))
    response = await flux(upstream, scope).check()
    assert (response.status, response.preview()) == (200, "[]")
    assert upstream.only.target == "/notes?select=*&limit=1"
