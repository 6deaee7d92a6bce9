"""Posts: what goes over the wire, and what comes back."""

import json
from pathlib import Path
from typing import Any

import pytest
from clients_harness import LIMITS, Script, Tokens, Upstream, answer, reset

from clients.conduit import database
from clients.conduit.calls import ConduitCalls
from clients.conduit.client import ConduitClient, conduit_http, storage_http
from clients.conduit.posts import PostChanges
from clients.conduit.records import ConduitFile, ConduitPage, ConduitPost, ConduitUser
from clients.errors import (
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    UpstreamError,
    UpstreamMisconfiguredError,
    UpstreamResponseError,
    UpstreamUnavailableError,
)
from clients.http import CallScope
from clients.keyset import Keyset

RECORDINGS = Path(__file__).parents[2] / "recordings" / "conduit"
TIME = "2026-11-22T06:17:19.477Z"
AUTHOR = "ec166ec8-13c3-4719-a71f-e1a22fff5bc3"
FILE = "da5cc683-b0e7-423c-b1ef-640dd47b1c02"
BOTH = frozenset({"author", "coverFile"})


def uuid(n: int) -> str:
    return f"00000000-0000-4000-8000-{n:012x}"


def document(n: int = 1, **more: object) -> dict[str, object]:
    """A Post as Conduit on PostgreSQL writes it."""
    base = {"_id": uuid(n), "title": "First", "createdAt": TIME, "updatedAt": TIME}
    return base | {"body": "Hello", "author": AUTHOR, "coverFile": None} | more


def record(n: int = 1, **more: Any) -> ConduitPost:
    fields: dict[str, Any] = {"title": "First", "body": "Hello", "author_ref": AUTHOR}
    fields |= {"cover_ref": None, "created_at": TIME, "updated_at": TIME}
    return ConduitPost(id=uuid(n), **(fields | more))


def module_error(status: int, message: str) -> Script:
    return answer(status, {"name": "X", "status": status, "message": message})


USER = {
    "_id": AUTHOR,
    "username": "alice",
    "email": "alice@example.com",
    "google": {"id": "1", "token": "secret"},
}
COVER = {
    "_id": FILE,
    "name": "pic.png",
    "mimeType": "image/png",
    "size": 99,
    "isPublic": False,
    "folder": "covers/",
    "url": "http://storage/signed",
    "createdAt": TIME,
    "updatedAt": TIME,
}
COVER_RECORD = ConduitFile(
    id=FILE,
    name="pic.png",
    mime_type="image/png",
    size=99,
    folder="covers/",
    created_at=TIME,
    updated_at=TIME,
)


async def test_by_ids_goes_to_its_endpoint_fresh_and_with_the_token(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, [document(2), document(1)]))
    posts = await conduit.posts.by_ids([uuid(1), uuid(2).upper(), uuid(1)])
    assert posts == [record(2), record(1)]
    seen = upstream.only
    assert seen.method == "GET"
    assert seen.target == (f"/database/function/GetPostsByIds?ids={uuid(1)},{uuid(2)}")
    assert seen.headers["cache-control"] == "no-cache"
    assert seen.headers["authorization"] == "Bearer token-1"
    assert "clientid" not in seen.headers


@pytest.mark.parametrize(("ids", "calls"), [(0, 0), (100, 1), (101, 2), (250, 3)])
async def test_ids_go_in_chunks_of_a_hundred(
    upstream: Upstream, conduit: ConduitClient, ids: int, calls: int
) -> None:
    upstream.script(answer(200, []))
    wanted = [uuid(n) for n in range(ids)]
    await conduit.posts.by_ids(wanted)
    assert len(upstream.seen) == calls
    asked = [dict(seen.query)["ids"].split(",") for seen in upstream.seen]
    assert sorted(id for chunk in asked for id in chunk) == wanted
    assert all(len(chunk) <= 100 for chunk in asked)


@pytest.mark.parametrize("bad", ["", "abc", uuid(1) + ",", "g" * 24, "a" * 23])
async def test_a_malformed_id_stops_the_batch_before_any_call(
    upstream: Upstream, conduit: ConduitClient, bad: str
) -> None:
    for call in (
        conduit.posts.by_ids([uuid(1), bad]),
        conduit.posts.get(bad),
        conduit.posts.list_page(limit=1, author_id=bad),
        conduit.posts.delete(bad),
        conduit.users.by_ids([bad]),
        conduit.storage.by_ids([bad]),
        conduit.storage.get(bad),
        conduit.storage.signed_url(bad),
    ):
        with pytest.raises(InvalidInputError):
            await call
    assert upstream.seen == []


async def test_an_object_id_of_mongodb_is_an_id(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, []))
    await conduit.posts.by_ids(["507F1F77BCF86CD799439011"])
    assert upstream.only.query == [("ids", "507f1f77bcf86cd799439011")]


async def test_populated_relations_come_as_records(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, [document(author=USER, coverFile=COVER)]))
    (post,) = await conduit.posts.by_ids([uuid(1)], populate=BOTH)
    assert post == record(
        author_ref=ConduitUser(AUTHOR, "alice"), cover_ref=COVER_RECORD
    )
    assert (post.author_id, post.cover_file_id) == (AUTHOR, FILE)
    assert ("populate", "author,coverFile") in upstream.only.query
    assert "alice@example.com" not in repr(post)
    assert "signed" not in repr(post)


async def test_a_populated_relation_that_is_gone_is_none(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, [document(author=None, coverFile=None)]))
    (post,) = await conduit.posts.by_ids([uuid(1)], populate=BOTH)
    assert (post.author, post.author_id) == (None, None)
    assert (post.cover_file, post.cover_file_id) == (None, None)


async def test_a_relation_that_was_not_populated_is_an_id(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, [document()]))
    (asked,) = await conduit.posts.by_ids([uuid(1)], populate=frozenset({"author"}))
    assert (asked.author, asked.author_id) == (None, AUTHOR)
    (plain,) = await conduit.posts.by_ids([uuid(1)])
    assert (plain.author, plain.author_id) == (None, AUTHOR)


async def test_fields_absent_on_mongodb_are_none(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    bare = {"_id": "5" * 24, "title": "t", "createdAt": TIME, "updatedAt": TIME}
    upstream.script(answer(200, [{**bare, "__v": 0}]))
    (post,) = await conduit.posts.by_ids(["5" * 24], populate=BOTH)
    assert (post.body, post.author_id, post.cover_file_id) == (None, None, None)


async def test_the_plain_list_is_the_built_in_route_newest_first(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"documents": [document()], "count": 60}))
    page = await conduit.posts.list_page(limit=21, populate=BOTH)
    assert page == ConduitPage([record()], 60)
    seen = upstream.only
    assert seen.path == "/database/Post"
    assert seen.query == [
        ("skip", "0"),
        ("limit", "21"),
        ("sort", "-createdAt,-_id"),
        ("populate", "author,coverFile"),
    ]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (("createdAt", True), "-createdAt,-_id"),
        (("createdAt", False), "createdAt,_id"),
        (("updatedAt", True), "-updatedAt,-_id"),
        (("title", False), "title,_id"),
    ],
)
async def test_every_order_ends_in_the_id(
    upstream: Upstream,
    conduit: ConduitClient,
    sort: tuple[database.SortField, bool],
    expected: str,
) -> None:
    upstream.script(answer(200, {"documents": [], "count": 0}))
    await conduit.posts.list_page(limit=5, skip=40, sort=sort)
    assert dict(upstream.only.query) == {
        "skip": "40",
        "limit": "5",
        "sort": expected,
    }


async def test_filters_go_to_their_custom_endpoints(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"documents": [], "count": 0}))
    await conduit.posts.list_page(limit=5, author_id=AUTHOR)
    await conduit.posts.list_page(limit=5, title_contains="hello")
    await conduit.posts.list_page(limit=5, title_contains="x y", author_id=AUTHOR)
    page = {"skip": "0", "limit": "5", "sort": "-createdAt,-_id"}
    assert [(seen.path, dict(seen.query)) for seen in upstream.seen] == [
        ("/database/function/GetPostsByAuthor", {"authorId": AUTHOR} | page),
        ("/database/function/SearchPosts", {"title": "hello"} | page),
        (
            "/database/function/SearchPosts",
            {"title": "x y", "authorId": AUTHOR} | page,
        ),
    ]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [(("createdAt", True), [3, 2]), (("title", False), [2, 1])],
)
async def test_a_page_is_cut_out_of_the_plain_endpoint_of_the_guide(
    upstream: Upstream,
    conduit: ConduitClient,
    sort: tuple[database.SortField, bool],
    expected: list[int],
) -> None:
    """Recording custom_endpoints: it answers all posts in an array, in no order."""
    late = "2026-11-22T07:00:00.000Z"
    everything = [
        document(2, title="b"),
        document(4, title="a", createdAt=late),
        document(3, title="d"),
        document(1, title="c"),
    ]
    upstream.script(answer(200, everything))
    page = await conduit.posts.list_page(limit=2, skip=1, author_id=AUTHOR, sort=sort)
    assert [post.id for post in page.documents] == [uuid(n) for n in expected]
    assert page.count == 4


async def test_wildcards_in_a_search_are_taken_literally(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"documents": [], "count": 0}))
    await conduit.posts.list_page(limit=5, title_contains="50%_a\\b&c=d ü+")
    assert dict(upstream.only.query)["title"] == "50\\%\\_a\\\\b&c=d ü+"


@pytest.mark.parametrize("text", ["a,b", "\x00", "\ud800", "x" * 4001])
async def test_a_text_that_a_query_cannot_carry_is_the_caller_s_mistake(
    upstream: Upstream, conduit: ConduitClient, text: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await conduit.posts.list_page(limit=5, title_contains=text)
    assert caught.value.field == "titleContains"
    assert upstream.seen == []


async def test_the_count_alone_is_a_page_of_one(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"documents": [document()], "count": 7}))
    assert await conduit.posts.count(author_id=AUTHOR) == 7
    assert dict(upstream.only.query)["limit"] == "1"


@pytest.mark.parametrize(
    ("descending", "author_id", "endpoint", "sort"),
    [
        (True, None, "PostsBefore", "-createdAt,-_id"),
        (False, None, "PostsAfter", "createdAt,_id"),
        (True, AUTHOR, "PostsByAuthorBefore", "-createdAt,-_id"),
        (False, AUTHOR, "PostsByAuthorAfter", "createdAt,_id"),
    ],
)
async def test_a_keyset_page_goes_to_the_endpoint_of_its_direction(
    upstream: Upstream,
    conduit: ConduitClient,
    descending: bool,
    author_id: str | None,
    endpoint: str,
    sort: str,
) -> None:
    upstream.script(answer(200, {"documents": [document()], "count": 3}))
    page = await conduit.posts.beyond(
        limit=21,
        keyset=Keyset(TIME, uuid(9)),
        descending=descending,
        author_id=author_id,
    )
    assert page.documents == [record()]
    seen = upstream.only
    assert seen.path == f"/database/function/{endpoint}"
    assert dict(seen.query) == {
        "createdAt": TIME,
        "id": uuid(9),
        "skip": "0",
        "limit": "21",
        "sort": sort,
    } | ({"authorId": AUTHOR} if author_id else {})


async def test_a_forged_cursor_adds_no_parameter(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"documents": [], "count": 0}))
    forged = Keyset("x&limit=100000", "y#z")
    await conduit.posts.beyond(limit=1, keyset=forged, descending=True)
    query = upstream.only.query
    assert [value for name, value in query if name == "limit"] == ["1"]
    assert dict(query)["createdAt"] == "x&limit=100000"
    with pytest.raises(InvalidInputError):
        await conduit.posts.beyond(limit=1, keyset=Keyset("a,b", "i"), descending=True)


async def test_get_reads_one_or_says_not_found(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(
        answer(200, document()), module_error(404, "Document does not exist")
    )
    assert await conduit.posts.get(uuid(1)) == record()
    assert upstream.only.target == f"/database/Post/{uuid(1)}"
    with pytest.raises(NotFoundError):
        await conduit.posts.get(uuid(2))


async def test_a_restarting_module_is_not_a_missing_post(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(module_error(404, "Not found"))
    with pytest.raises(UpstreamUnavailableError):
        await conduit.posts.get(uuid(1))


async def test_create_leaves_out_what_is_unset(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, document(body=None)))
    post = await conduit.posts.create(
        title="First", body=None, author_id=AUTHOR, cover_file_id=None
    )
    assert post == record(body=None)
    seen = upstream.only
    assert (seen.method, seen.target) == ("POST", "/database/Post")
    assert seen.json == {"title": "First", "author": AUTHOR}
    assert "cache-control" not in seen.headers


async def test_create_passes_the_scope_and_everything_that_is_set(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, document(coverFile=FILE)))
    await conduit.posts.create(
        title="First",
        body="Hello, you",
        author_id=AUTHOR,
        cover_file_id=FILE.upper(),
        scope=f"Team:{uuid(3)}",
    )
    assert upstream.only.query == [("scope", f"Team:{uuid(3)}")]
    assert upstream.only.json == {
        "title": "First",
        "body": "Hello, you",
        "author": AUTHOR,
        "coverFile": FILE,
    }


async def test_update_patches_only_what_changes(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, document(title="New", coverFile=FILE)))
    changes: PostChanges = {"title": "New", "cover_file_id": FILE}
    updated = await conduit.posts.update(uuid(1), changes)
    assert (updated.title, updated.cover_file_id) == ("New", FILE)
    seen = upstream.only
    assert (seen.method, seen.target) == ("PATCH", f"/database/Post/{uuid(1)}")
    assert seen.json == {"title": "New", "coverFile": FILE}


@pytest.mark.parametrize("field", ["body", "coverFile"])
async def test_a_field_that_conduit_dropped_is_no_success(
    upstream: Upstream, conduit: ConduitClient, field: str
) -> None:
    """The guide's own schema has no body; what is unknown goes without a word."""
    kept = document(coverFile=FILE)
    del kept[field]
    upstream.script(answer(200, kept))
    with pytest.raises(UpstreamMisconfiguredError, match=f"no field {field}") as made:
        await conduit.posts.create(
            title="t", body="b", author_id=AUTHOR, cover_file_id=FILE
        )
    with pytest.raises(UpstreamMisconfiguredError):
        await conduit.posts.update(uuid(1), {"body": "b", "cover_file_id": FILE})
    assert made.value.outcome_unknown


@pytest.mark.parametrize("changes", [{"body": "b"}, {"body": "b", "title": "t"}])
async def test_what_the_schema_lacks_is_refused_before_an_empty_patch_goes_out(
    upstream: Upstream, conduit: ConduitClient, changes: PostChanges
) -> None:
    """Conduit would drop it, and a PATCH of nothing holds a connection to its database
    for good (recordings database_write, "patch: empty body", and database_stall)."""
    guides = recorded("database_write", "read before delete")
    upstream.script(answer(200, guides))
    post = await conduit.posts.get(uuid(1))
    with pytest.raises(UpstreamMisconfiguredError, match="no field body") as refused:
        await conduit.posts.update(post.id, changes)
    assert not refused.value.outcome_unknown
    upstream.script(answer(200, guides | {"coverFile": FILE}))
    await conduit.posts.update(post.id, {"cover_file_id": FILE})
    assert [seen.method for seen in upstream.seen] == ["GET", "PATCH"]


async def test_a_field_that_was_provisioned_meanwhile_is_written(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    guides = recorded("database_write", "read before delete")
    upstream.script(answer(200, guides), answer(200, guides | {"body": None}))
    for _ in range(2):
        post = await conduit.posts.get(uuid(1))
    upstream.script(answer(200, guides | {"body": "b"}))
    assert (await conduit.posts.update(post.id, {"body": "b"})).body == "b"


async def test_an_absent_field_of_mongodb_is_only_unset(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    unset = document(_id="6741a0c2b1f4d2a3c4e5f601")
    del unset["body"], unset["coverFile"]
    upstream.script(answer(200, unset), answer(200, unset | {"body": "b"}))
    post = await conduit.posts.get("6741a0c2b1f4d2a3c4e5f601")
    assert (await conduit.posts.update(post.id, {"body": "b"})).body == "b"


async def test_clearing_a_field_puts_the_rest_of_a_fresh_read(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(
        answer(200, document(coverFile=FILE, views=3, __v=0, tags=None)),
        answer(200, document(body=None, coverFile=FILE)),
    )
    changes: PostChanges = {"title": "New", "body": None}
    await conduit.posts.update(uuid(1), changes)
    read, write = upstream.seen
    assert (read.method, read.headers["cache-control"]) == ("GET", "no-cache")
    assert write.method == "PUT"
    assert write.json == {
        "title": "New",
        "author": AUTHOR,
        "coverFile": FILE,
        "views": 3,
    }


async def test_an_update_of_nothing_is_a_read_and_never_an_empty_patch(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, document()))
    assert await conduit.posts.update(uuid(1), {}) == record()
    assert upstream.only.method == "GET"


async def test_a_title_cannot_be_cleared(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, document()))
    with pytest.raises(InvalidInputError) as caught:
        await conduit.posts.update(uuid(1), {"title": None})  # type: ignore[typeddict-item]
    assert caught.value.field == "title"
    assert {seen.method for seen in upstream.seen} <= {"GET"}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Cannot read properties of null (reading '_id')", NotFoundError),
        (
            "Document doesn't exist or can't be modified by user.",
            PermissionDeniedError,
        ),
    ],
)
async def test_a_refused_update_is_told(
    upstream: Upstream,
    conduit: ConduitClient,
    message: str,
    kind: type[UpstreamError],
) -> None:
    upstream.script(module_error(500, message))
    with pytest.raises(kind):
        await conduit.posts.update(uuid(1), {"title": "x"})
    assert len(upstream.seen) == 1


async def test_delete_looks_whether_the_post_is_gone(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    gone = module_error(404, "Document does not exist")
    upstream.script(answer(200, {"result": "Ok"}), answer(200, document()), gone)
    await conduit.posts.delete(uuid(1))
    assert [seen.method for seen in upstream.seen] == ["DELETE", "GET", "GET"]
    assert {seen.path for seen in upstream.seen} == {f"/database/Post/{uuid(1)}"}


async def test_an_ok_that_deleted_nothing_is_a_refusal(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"result": "Ok"}), answer(200, document()))
    with pytest.raises(PermissionDeniedError):
        await conduit.posts.delete(uuid(1))


@pytest.mark.parametrize(
    ("file", "note", "guarded"),
    [
        ("authorization", "scope malformed", True),
        (
            "database_read",
            "list with scope on a schema without row-level authorization",
            False,
        ),
    ],
)
async def test_guarded_posts_are_known_by_how_a_scope_is_taken(
    upstream: Upstream, conduit: ConduitClient, file: str, note: str, guarded: bool
) -> None:
    body = recorded(file, note)
    upstream.script(answer(body.get("status", 200), body))
    assert await conduit.posts.are_guarded() is guarded
    assert await conduit.posts.are_guarded() is guarded
    assert ("scope", "nonsense") in upstream.only.query


async def test_who_may_change_a_guarded_post_is_asked_and_not_tried(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(
        module_error(500, "Object must be a valid resource identifier"),
        answer(200, {"allowed": False}),
        answer(
            200,
            recorded(
                "authorization", "permission question of the authorization module"
            ),
        ),
    )
    assert [await conduit.posts.may_edit(uuid(1)) for _ in range(2)] == [False, True]
    assert upstream.seen[-1].path == "/authorization/check"
    assert upstream.seen[-1].query == [
        ("resource", f"Post:{uuid(1)}"),
        ("action", "edit"),
    ]


async def test_nothing_is_believed_of_a_conduit_that_is_down(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(module_error(404, "Not found"))
    with pytest.raises(UpstreamUnavailableError):
        await conduit.posts.are_guarded()
    upstream.script(module_error(500, "Object must be a valid resource identifier"))
    assert await conduit.posts.are_guarded()


async def test_a_write_is_not_repeated_on_a_reset(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(reset)
    with pytest.raises(UpstreamUnavailableError) as caught:
        await conduit.posts.update(uuid(1), {"title": "x"})
    assert len(upstream.seen) == 1
    assert caught.value.outcome_unknown


async def test_an_expired_token_is_replaced_once(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(
        module_error(401, "Token is expired or otherwise not valid"),
        answer(200, [document()]),
    )
    assert await conduit.posts.by_ids([uuid(1)]) == [record()]
    assert [seen.headers["authorization"] for seen in upstream.seen] == [
        "Bearer token-1",
        "Bearer token-2",
    ]


async def test_the_client_id_check_never_renews(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(401, b"Unauthorized", content_type="text/html"))
    with pytest.raises(UpstreamError):
        await conduit.posts.by_ids([uuid(1)])
    assert len(upstream.seen) == 1


async def test_client_id_and_address_are_sent_where_they_are_set(
    upstream: Upstream, storage_host: Upstream, scope: CallScope
) -> None:
    scope.forwarded_for = "203.0.113.7"
    upstream.script(answer(200, []))
    http = conduit_http(
        upstream.url,
        upstream.transport(),
        LIMITS,
        client_id="app",
        client_secret="hush",
    )
    storage = storage_http(storage_host.transport(), LIMITS)
    client = ConduitClient(ConduitCalls(http, Tokens(), scope), storage)
    await client.posts.by_ids([uuid(1)])
    headers = upstream.only.headers
    assert (headers["clientid"], headers["clientsecret"]) == ("app", "hush")
    assert headers["x-forwarded-for"] == "203.0.113.7"


@pytest.mark.parametrize(
    "body",
    [
        {"documents": []},
        [document()],
        {"documents": [{"_id": uuid(1)}], "count": 1},
        {"documents": [document(title=None)], "count": 1},
        {"documents": [document(author=5)], "count": 1},
        {"documents": [document(author={"username": "x"})], "count": 1},
        {"documents": [document()], "count": "1"},
        b'{"documents": [',
        b"",
    ],
)
async def test_an_answer_that_breaks_the_contract_is_told(
    upstream: Upstream, conduit: ConduitClient, body: object
) -> None:
    upstream.script(answer(200, body))
    with pytest.raises(UpstreamResponseError) as caught:
        await conduit.posts.list_page(limit=1)
    assert (caught.value.service, caught.value.operation) == ("conduit", "posts page")


def recorded(file: str, note: str) -> dict[str, Any]:
    content = json.loads((RECORDINGS / f"{file}.json").read_text())
    (body,) = (
        exchange["response"]["body"]
        for exchange in content["exchanges"]
        if exchange["note"] == note
    )
    assert isinstance(body, dict)
    return body


def recorded_pages() -> list[Any]:
    pages = []
    for file in ("database_read", "custom_endpoints"):
        content = json.loads((RECORDINGS / f"{file}.json").read_text())
        for exchange in content["exchanges"]:
            path, recorded = exchange["request"]["path"], exchange["response"]
            body = recorded.get("body")
            is_page = isinstance(body, dict) and "documents" in body
            if is_page and (path == "/database/Post" or "Posts" in path):
                pages.append(pytest.param(body, id=f"{file}: {exchange['note']}"))
    return pages


def test_there_are_recorded_pages() -> None:
    assert len(recorded_pages()) > 10


@pytest.mark.parametrize("body", recorded_pages())
async def test_a_recorded_page_is_read(
    upstream: Upstream, conduit: ConduitClient, body: dict[str, Any]
) -> None:
    upstream.script(answer(200, body))
    page = await conduit.posts.list_page(limit=25)
    assert page.count == body["count"]
    assert [post.id for post in page.documents] == [
        found["_id"] for found in body["documents"]
    ]
