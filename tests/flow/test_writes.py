"""Writes over real upstreams: typed results, faults, retries, and the traps of Conduit.

What must hold under every fault: no write is reported as done that is not, none as
failed that is, and what nobody can know is told as unknown.
"""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
import redis
from own_conduit import OwnConduit
from writes import (
    CREATE_NOTE,
    CREATE_POST,
    DELETE_FILE,
    DELETE_NOTE,
    DELETE_POST,
    UPDATE_NOTE,
    UPDATE_POST,
    signed_in,
)

from harness import Caller, Sandbox

NOBODY = str(uuid.uuid4())


@dataclass(frozen=True)
class World:
    """One person, and both upstreams to look into and to break."""

    me: Caller
    sandbox: Sandbox
    conduit: OwnConduit

    def fail(self, upstream: str, path: str, **fault: Any) -> None:
        if upstream == "flux":
            self.sandbox.fail("flux", path, **fault)
        else:
            self.conduit.fail(path, **fault)

    def heal(self) -> None:
        self.sandbox.heal()
        self.conduit.heal()

    def count(self, upstream: str, method: str) -> int:
        """How many requests of this method reached an upstream."""
        flux = [(method, path) for name, method, path in self.sandbox.calls()]
        calls = flux if upstream == "flux" else self.conduit.calls()
        return sum(1 for each, path in calls if each == method and "rpc" not in path)

    async def note(self, body: str = "before", **more: Any) -> str:
        made = await self.me.data(CREATE_NOTE, input={"body": body, **more})
        return str(made["r"]["note"]["id"])

    async def post(self, title: str = "before", **more: Any) -> str:
        made = await self.me.data(CREATE_POST, input={"title": title, **more})
        return str(made["r"]["post"]["id"])

    async def notes(self) -> list[str]:
        data = await self.me.data("{ notes(first: 100) { nodes { body } } }")
        return [note["body"] for note in data["notes"]["nodes"]]

    async def titles(self) -> list[str]:
        return [str(post["title"]) for post in self.conduit.posts()]

    async def files(self) -> list[str]:
        return list(self.conduit.stored())


@pytest.fixture
def world(me: Caller, sandbox: Sandbox, conduit: OwnConduit) -> World:
    return World(me, sandbox, conduit)


@pytest.fixture
async def hasty(sandbox: Sandbox, conduit: OwnConduit) -> AsyncIterator[Caller]:
    """The same person at a server that gives an upstream up after a second.

    For the write alone: what comes before and after it may take its time.
    """
    async with signed_in(sandbox, conduit, "me", UPSTREAM_TIMEOUT_S="1") as me:
        yield me


@dataclass(frozen=True)
class Write:
    """A mutation that makes "before" into "after", and how often it was carried out."""

    upstream: str
    method: str
    path: str
    prepare: Callable[[World], Awaitable[dict[str, Any]]]
    document: str
    done: Callable[[World], Awaitable[int]]
    # Where its outcome is looked up, and how many reads come before the write.
    looks_at: str
    reads_first: int = 0

    @property
    def id(self) -> str:
        return f"{self.document.split('r: ')[1].partition('(')[0]} {self.method}"


async def of(found: Awaitable[list[str]], text: str) -> int:
    return (await found).count(text)


async def gone(found: Awaitable[list[str]]) -> int:
    return 0 if "before" in await found else 1


async def a_new_note(world: World) -> dict[str, Any]:
    return {"input": {"body": "after"}}


async def a_changed_note(world: World) -> dict[str, Any]:
    return {"input": {"id": await world.note(), "body": "after"}}


async def a_note(world: World) -> dict[str, Any]:
    return {"id": await world.note()}


async def a_new_post(world: World) -> dict[str, Any]:
    return {"input": {"title": "after", "body": "text"}}


async def a_changed_post(world: World) -> dict[str, Any]:
    return {"input": {"id": await world.post(), "title": "after"}}


async def a_cleared_post(world: World) -> dict[str, Any]:
    id = await world.post(body="text")
    return {"input": {"id": id, "title": "after", "body": None}}


async def a_post(world: World) -> dict[str, Any]:
    return {"id": await world.post()}


async def a_file(world: World) -> dict[str, Any]:
    folder = f"u/{world.conduit.join('me')}/"
    return {"id": world.conduit.state.add_file("before", b"x", folder=folder)["_id"]}


POST, POSTS, FILES = "^/database/Post$", "/database/Post/", "/storage/file/"
WRITES = [
    Write(
        "flux",
        "POST",
        "/notes",
        a_new_note,
        CREATE_NOTE,
        lambda w: of(w.notes(), "after"),
        "/notes",
    ),
    Write(
        "flux",
        "PATCH",
        "/notes",
        a_changed_note,
        UPDATE_NOTE,
        lambda w: of(w.notes(), "after"),
        "/notes",
    ),
    Write(
        "flux",
        "DELETE",
        "/notes",
        a_note,
        DELETE_NOTE,
        lambda w: gone(w.notes()),
        "/notes",
    ),
    Write(
        "conduit",
        "POST",
        POST,
        a_new_post,
        CREATE_POST,
        lambda w: of(w.titles(), "after"),
        "/database/",
        # It notes the author's newest post.
        reads_first=1,
    ),
    Write(
        "conduit",
        "PATCH",
        POSTS,
        a_changed_post,
        UPDATE_POST,
        lambda w: of(w.titles(), "after"),
        "/database/",
        reads_first=1,
    ),
    Write(
        "conduit",
        "PUT",
        POSTS,
        a_cleared_post,
        UPDATE_POST,
        lambda w: of(w.titles(), "after"),
        "/database/",
        reads_first=2,
    ),
    Write(
        "conduit",
        "DELETE",
        POSTS,
        a_post,
        DELETE_POST,
        lambda w: gone(w.titles()),
        "/database/",
        reads_first=1,
    ),
    Write(
        "conduit",
        "DELETE",
        FILES,
        a_file,
        DELETE_FILE,
        lambda w: gone(w.files()),
        FILES,
        reads_first=1,
    ),
]
EVERY_WRITE = pytest.mark.parametrize("write", WRITES, ids=lambda write: write.id)

# What the upstream says although it may have done the work.
LOST = {
    "reset": {"reset": True},
    "500": {"status": 500, "body": {"message": "something broke"}},
    "502": {"status": 502, "body": "<html>Bad Gateway</html>"},
    "504": {"status": 504, "body": {"error": "upstream timeout"}},
    "nonsense": {"status": 200, "body": "<h1>welcome</h1>"},
    "no answer": {"hang": True},
}
# And what only one that has done it says: its answer breaks off in the middle.
BROKEN_OFF = {"broken off": {"truncate": 1}}


@EVERY_WRITE
async def test_a_write_that_was_done_is_a_success_whatever_the_upstream_said(
    world: World, hasty: Caller, write: Write
) -> None:
    for number, fault in enumerate((LOST | BROKEN_OFF).values(), 1):
        variables = await write.prepare(world)
        world.fail(
            write.upstream, write.path, method=write.method, after="after", **fault
        )
        data = await hasty.data(write.document, **variables)
        assert data["r"]["__typename"].endswith("Success"), fault
        world.heal()
        assert await write.done(world) == (1 if write.method == "DELETE" else number)


@EVERY_WRITE
async def test_a_write_that_was_not_done_is_never_a_success_and_never_repeated(
    world: World, hasty: Caller, write: Write
) -> None:
    for fault in LOST.values():
        variables = await write.prepare(world)
        before = world.count(write.upstream, write.method)
        world.fail(write.upstream, write.path, method=write.method, **fault)
        answer = await hasty(write.document, **variables)
        assert answer["data"] is None
        assert answer["errors"][0]["extensions"]["outcomeUnknown"] is True, fault
        assert world.count(write.upstream, write.method) == before + 1
        world.heal()
        assert await write.done(world) == 0


@EVERY_WRITE
async def test_an_outcome_that_nobody_can_look_up_is_told_as_unknown(
    world: World, write: Write
) -> None:
    variables = await write.prepare(world)
    world.fail(
        write.upstream, write.path, method=write.method, after="after", reset=True
    )
    blind(world, write)
    answer = await world.me(write.document, **variables)
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["outcomeUnknown"] is True
    world.heal()
    assert await write.done(world) == 1


@EVERY_WRITE
async def test_a_refusal_by_rate_limit_is_told_and_nothing_is_written(
    world: World, write: Write
) -> None:
    variables = await write.prepare(world)
    body = {"error": "rate limit exceeded"}
    world.fail(write.upstream, write.path, method=write.method, status=429, body=body)
    answer = await world.me(write.document, **variables)
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert "outcomeUnknown" not in error["extensions"]
    world.heal()
    assert await write.done(world) == 0


def blind(world: World, write: Write) -> None:
    """Nobody can look; the reads before the write are let through."""
    if write.reads_first:
        world.fail(
            write.upstream,
            write.looks_at,
            method="GET",
            after="after",
            times=write.reads_first,
        )
    unavailable = {"status": 503, "body": {"error": "x"}}
    world.fail(write.upstream, write.looks_at, method="GET", **unavailable)


@EVERY_WRITE
@pytest.mark.parametrize("first", ["success", "unknown"])
async def test_a_client_that_sends_a_write_twice_changes_nothing_by_it(
    world: World, write: Write, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has heard of the first or not; what it makes has a key."""
    monkeypatch.setattr("resolvers.retries.WAIT_S", 0.1)
    variables = await write.prepare(world)
    if write.method == "POST":
        variables["input"]["idempotencyKey"] = "a key"
    if first == "unknown":
        after = {"after": "after", "reset": True, "times": 1}
        world.fail(write.upstream, write.path, method=write.method, **after)
        blind(world, write)
    answer = await world.me(write.document, **variables)
    if first == "unknown":
        assert answer["errors"][0]["extensions"]["outcomeUnknown"] is True
        world.heal()
    else:
        assert answer["data"]["r"]["__typename"].endswith("Success")
    assert await write.done(world) == 1
    again = (await world.me.data(write.document, **variables))["r"]
    if write.method == "DELETE":
        assert again["__typename"] == "NotFound"
    else:
        assert again["__typename"].endswith("Success")
    if first == "success" and write.method == "POST":
        assert again == answer["data"]["r"]
    assert await write.done(world) == 1


async def test_a_delete_whose_check_fails_is_told_as_unknown(world: World) -> None:
    id = await world.post()
    world.fail("conduit", POSTS, method="GET", after="after", times=1)
    world.fail("conduit", POSTS, method="GET", status=429, body="Too Many Requests")
    answer = await world.me(DELETE_POST, id=id)
    assert answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert answer["errors"][0]["extensions"]["outcomeUnknown"] is True
    assert await world.titles() == []


async def test_a_lost_post_is_not_mistaken_for_an_equal_one_from_before(
    world: World,
) -> None:
    await world.post("after", body="text")
    world.fail("conduit", POST, method="POST", reset=True)
    answer = await world.me(CREATE_POST, input={"title": "after", "body": "text"})
    assert answer["errors"][0]["extensions"]["outcomeUnknown"] is True
    assert await world.titles() == ["after"]


# --- The client's own retry -----------------------------------------------------------

KEYED = pytest.mark.parametrize(
    ("document", "kind", "text", "upstream", "path"),
    [
        (CREATE_NOTE, "note", "body", "flux", "/notes"),
        (CREATE_POST, "post", "title", "conduit", POST),
    ],
    ids=["note", "post"],
)


async def made(world: World, kind: str) -> list[str]:
    return await (world.notes() if kind == "note" else world.titles())


@KEYED
async def test_a_repeated_write_with_a_key_makes_nothing_new(
    world: World, document: str, kind: str, text: str, upstream: str, path: str
) -> None:
    input = {text: "after", "idempotencyKey": "a key"}
    answers = [await world.me.data(document, input=input) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert await made(world, kind) == ["after"]
    other = await world.me.data(document, input={**input, "idempotencyKey": "b"})
    assert other["r"][kind]["id"] != answers[0]["r"][kind]["id"]
    assert await made(world, kind) == ["after", "after"]


@KEYED
async def test_two_at_once_with_one_key_make_one_thing(
    world: World, document: str, kind: str, text: str, upstream: str, path: str
) -> None:
    world.fail(upstream, path, method="POST", delay_s=0.3, times=1)
    input = {text: "after", "idempotencyKey": "a key"}
    answers = await asyncio.gather(
        *(world.me.data(document, input=input) for _ in range(5))
    )
    assert len({answer["r"][kind]["id"] for answer in answers}) == 1
    assert await made(world, kind) == ["after"]


@KEYED
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_retry_after_an_unknown_outcome_makes_no_duplicate(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    document: str,
    kind: str,
    text: str,
    upstream: str,
    path: str,
    when: str,
) -> None:
    """Nothing can be looked up at first; then the client tries again until it knows."""
    monkeypatch.setattr("resolvers.retries.SETTLED_S", 0.5)
    monkeypatch.setattr("resolvers.retries.WAIT_S", 0.1)
    input = {text: "after", "idempotencyKey": "a key"}
    world.fail(upstream, path, method="POST", after=when, reset=True, times=1)
    reads = "/notes" if upstream == "flux" else "/database/"
    if upstream == "conduit":
        world.fail(upstream, reads, method="GET", after="after", times=1)
    # Twice: a read is itself repeated.
    world.fail(upstream, reads, method="GET", status=503, body={"error": "x"}, times=2)
    answer = await world.me(document, input=input)
    assert answer["errors"][0]["extensions"]["outcomeUnknown"] is True
    for _ in range(20):
        answer = await world.me(document, input=input)
        if "errors" not in answer:
            break
        assert answer["errors"][0]["extensions"]["outcomeUnknown"] is True
        await asyncio.sleep(0.1)
    assert answer["data"]["r"]["__typename"].endswith("Success")
    assert await made(world, kind) == ["after"]


async def test_a_late_retry_finds_its_post_behind_many_newer_ones(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried with only the newest twenty looked through: the post is there twice."""
    monkeypatch.setattr("resolvers.retries.SETTLED_S", 0.5)
    monkeypatch.setattr("resolvers.retries.WAIT_S", 0.1)
    input = {"title": "after", "idempotencyKey": "a key"}
    world.fail(
        "conduit", "/database/", method="POST", after="after", reset=True, times=1
    )
    world.fail("conduit", "/database/", method="GET", after="after", times=1)
    down = {"status": 503, "body": {"error": "x"}}
    world.fail("conduit", "/database/", method="GET", **down, times=2)
    answer = await world.me(CREATE_POST, input=input)
    assert answer["errors"][0]["extensions"]["outcomeUnknown"] is True
    me = (await world.me.data("{ viewer { databaseId } }"))["viewer"]["databaseId"]
    for number in range(130):
        world.conduit.state.add_post(f"newer {number}", me)
    await asyncio.sleep(0.6)
    data = await world.me.data(CREATE_POST, input=input)
    assert data["r"]["post"]["title"] == "after"
    posts = await world.me.data(
        '{ posts(first: 100, filter: {titleContains: "after"}) { nodes { id } } }'
    )
    assert len(posts["posts"]["nodes"]) == 1


@KEYED
async def test_a_write_that_surely_failed_frees_its_key(
    world: World, document: str, kind: str, text: str, upstream: str, path: str
) -> None:
    input = {text: "after", "idempotencyKey": "a key"}
    world.fail(upstream, path, method="POST", status=429, body={"error": "x"}, times=1)
    answer = await world.me(document, input=input)
    assert answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    data = await world.me.data(document, input=input)
    assert data["r"]["__typename"].endswith("Success")
    assert await made(world, kind) == ["after"]


@KEYED
async def test_a_key_belongs_to_one_input_and_one_person(
    world: World,
    sandbox: Sandbox,
    conduit: OwnConduit,
    document: str,
    kind: str,
    text: str,
    upstream: str,
    path: str,
) -> None:
    await world.me.data(document, input={text: "mine", "idempotencyKey": "a key"})
    data = await world.me.data(
        document, input={text: "another", "idempotencyKey": "a key"}
    )
    assert data["r"]["__typename"] == "InvalidInput"
    assert data["r"]["field"] == "idempotencyKey"
    async with signed_in(sandbox, conduit, "you") as you:
        data = await you.data(
            document, input={text: "yours", "idempotencyKey": "a key"}
        )
    assert data["r"]["__typename"].endswith("Success")
    for bad in ("", "x" * 201, "\0"):
        data = await world.me.data(document, input={text: "x", "idempotencyKey": bad})
        assert data["r"]["field"] == "idempotencyKey"


async def test_a_repeated_note_is_returned_as_it_stands_now(world: World) -> None:
    input = {"body": "first words", "idempotencyKey": "a key"}
    note = (await world.me.data(CREATE_NOTE, input=input))["r"]["note"]
    change = {"id": note["id"], "body": "second thoughts"}
    await world.me.data(UPDATE_NOTE, input=change)
    again = await world.me.data(CREATE_NOTE, input=input)
    assert again["r"]["note"] == {**note, "body": "second thoughts"}


async def test_a_repeated_post_that_was_deleted_is_told(world: World) -> None:
    input = {"title": "short-lived", "idempotencyKey": "a key"}
    post = (await world.me.data(CREATE_POST, input=input))["r"]["post"]
    await world.me.data(DELETE_POST, id=post["id"])
    again = await world.me.data(CREATE_POST, input=input)
    assert again["r"]["field"] == "idempotencyKey"
    assert await world.titles() == []


async def test_a_repeated_note_that_is_deleted_at_that_moment_is_told(
    world: World, sandbox: Sandbox
) -> None:
    """It is there when the write is refused, and gone when it is looked at."""
    input = {"body": "short-lived", "idempotencyKey": "a key"}
    await world.me.data(CREATE_NOTE, input=input)
    sandbox.fail("flux", "/notes", method="GET", status=200, body=[], times=1)
    again = await world.me.data(CREATE_NOTE, input=input)
    assert again["r"]["field"] == "idempotencyKey"


async def test_claims_end_by_themselves_and_hold_no_text_of_the_person(
    world: World, sandbox: Sandbox
) -> None:
    input = {"title": "a secret title", "idempotencyKey": "my own words"}
    await world.me.data(CREATE_POST, input=input)
    with redis.Redis.from_url(sandbox.redis) as store:
        (name,) = store.keys("mainstem:claim:*")
        assert 0 < store.ttl(name) <= 86_400
        stored = name + store.get(name)
    assert b"secret" not in stored
    assert b"words" not in stored


# --- Whose it is ----------------------------------------------------------------------


async def test_owner_and_author_are_the_viewer(world: World) -> None:
    await world.post()
    (stored,) = world.conduit.posts()
    assert stored["author"] == world.conduit.join("me")
    for input_type in ("CreateNoteInput", "CreatePostInput", "UpdatePostInput"):
        data = await world.me.data(
            "query ($n: String!) { __type(name: $n) { inputFields { name } } }",
            n=input_type,
        )
        names = {field["name"] for field in data["__type"]["inputFields"]}
        assert not names & {"author", "authorId", "owner", "ownerId", "userId"}


@pytest.mark.parametrize("ownership", ["viewer", "upstream"])
async def test_anothers_post_is_changed_only_where_conduit_decides(
    world: World, sandbox: Sandbox, conduit: OwnConduit, ownership: str
) -> None:
    id = await world.post()
    async with signed_in(sandbox, conduit, "you", CONDUIT_OWNERSHIP=ownership) as you:
        change = {"id": id, "title": "after"}
        changed = await you.data(UPDATE_POST, input=change)
        deleted = await you.data(DELETE_POST, id=id)
    if ownership == "viewer":
        assert changed["r"]["__typename"] == deleted["r"]["__typename"] == "Forbidden"
        assert await world.titles() == ["before"]
    else:
        assert changed["r"]["post"]["title"] == "after"
        assert await world.titles() == []


# --- Problems, by an answer of an upstream; all: test_coverage_of_graph.py ------------


@contextlib.asynccontextmanager
async def with_anothers_flux_token(sandbox: Sandbox, conduit: OwnConduit) -> Any:
    """Row-level security then refuses what this server writes for the viewer."""
    with redis.Redis.from_url(sandbox.redis) as store:
        others = set(store.keys("vault:*"))
    async with signed_in(sandbox, conduit, "me", FLUX_TOKEN_SOURCE="vault") as me:
        claims = {"sub": NOBODY, "exp": int(time.time()) + 300}
        token = jwt.encode(claims, sandbox.flux_jwt_secret, "HS256")
        with redis.Redis.from_url(sandbox.redis) as store:
            (name,) = set(store.keys("vault:*")) - others
            entry = {**json.loads(store.get(name)), "fluxToken": token}
            store.set(name, json.dumps(entry), keepttl=True)
        yield me


async def test_problems_of_notes(
    world: World, sandbox: Sandbox, conduit: OwnConduit
) -> None:
    unknown = {"body": "x", "postId": str(uuid.uuid4())}
    reached = {
        "createNote InvalidInput": await world.me.data(CREATE_NOTE, input=unknown),
        "updateNote NotFound": await world.me.data(
            UPDATE_NOTE, input={"id": str(uuid.uuid4()), "body": "x"}
        ),
        "deleteNote NotFound": await world.me.data(DELETE_NOTE, id=str(uuid.uuid4())),
    }
    async with with_anothers_flux_token(sandbox, conduit) as me:
        forbidden = await me.data(CREATE_NOTE, input={"body": "x"})
        reached["createNote Forbidden"] = forbidden
    assert_reached(reached)


async def test_problems_of_posts(
    world: World, sandbox: Sandbox, conduit: OwnConduit
) -> None:
    id = await world.post("taken")
    mine = await world.post("mine")
    no_cover = {"title": "x", "coverFileId": str(uuid.uuid4())}
    gone = str(uuid.uuid4())
    reached = {
        "createPost InvalidInput": await world.me.data(CREATE_POST, input=no_cover),
        "updatePost InvalidInput": await world.me.data(
            UPDATE_POST, input={"id": id, "coverFileId": str(uuid.uuid4())}
        ),
        "updatePost NotFound": await world.me.data(
            UPDATE_POST, input={"id": gone, "title": "x"}
        ),
        "deletePost NotFound": await world.me.data(DELETE_POST, id=gone),
    }
    conduit.declare_title_unique()
    taken = {"title": "taken"}
    reached |= {
        "createPost Conflict": await world.me.data(CREATE_POST, input=taken),
        "updatePost Conflict": await world.me.data(
            UPDATE_POST, input={"id": mine, **taken}
        ),
    }
    assert_reached(reached)


async def test_row_level_authorization_refuses_as_forbidden(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    conduit.guard_posts()
    team = conduit.state.teams.insert({"name": "Crew"})["_id"]
    member, user = f"Team:{team}", f"User:{conduit.join('me')}"
    conduit.state.relations.give_role(user, "readAll", member)
    post = conduit.state.add_post("theirs", conduit.join("you"))
    conduit.state.relations.own(member, f"Post:{post['_id']}")
    async with signed_in(sandbox, conduit, "me", CONDUIT_OWNERSHIP="upstream") as me:
        reached = {
            "createPost Forbidden": await me.data(
                CREATE_POST, input={"title": "x", "scope": member}
            ),
            "updatePost Forbidden": await me.data(
                UPDATE_POST, input={"id": post["_id"], "title": "x"}
            ),
            "deletePost Forbidden": await me.data(DELETE_POST, id=post["_id"]),
            "createPost InvalidInput": await me.data(
                CREATE_POST, input={"title": "x", "scope": "nonsense"}
            ),
        }
        # Each refusal of an update holds one of its five connections to the database.
        assert "PATCH" not in {method for method, _ in conduit.calls()}
        conduit.state.relations.give_role(user, "editAll", member)
        change = {"id": post["_id"], "title": "ours"}
        changed = await me.data(UPDATE_POST, input=change)
    assert_reached(reached)
    assert reached["createPost InvalidInput"]["r"]["field"] == "scope"
    assert changed["r"]["post"]["title"] == "ours"
    assert [each["title"] for each in conduit.posts()] == ["ours"]


def assert_reached(reached: dict[str, Any]) -> None:
    found = {name: data["r"]["__typename"] for name, data in reached.items()}
    assert found == {name: name.split()[1] for name in reached}


# --- Fresh, and free of Conduit's traps -----------------------------------------------


async def test_the_next_query_sees_the_write_at_once(world: World) -> None:
    read = "query ($id: ID!) { post(id: $id) { title body } posts { totalCount } }"
    id = await world.post("one", body="text")
    for title, body in (("two", "text"), ("three", None)):
        before = await world.me.data(read, id=id)
        change = {"id": id, "title": title, "body": body}
        changed = await world.me.data(UPDATE_POST, input=change)
        assert changed["r"]["post"]["title"] == title
        # Whatever name an answer gives to the relation (conduit.md §3).
        assert changed["r"]["post"]["author"] == {"username": "me"}
        after = await world.me.data(read, id=id)
        assert before != after
        assert after["post"] == {"title": title, "body": body}
    await world.me.data(DELETE_POST, id=id)
    assert await world.me.data(read, id=id) == {
        "post": None,
        "posts": {"totalCount": 0},
    }


async def test_a_field_is_cleared_and_all_others_stay(world: World) -> None:
    cover = world.conduit.state.add_file("cover.png", b"x", mime_type="image/png")
    id = await world.post("title", body="text", coverFileId=cover["_id"])
    shown = await world.me.data(UPDATE_POST, input={"id": id, "body": None})
    assert shown["r"]["post"] == {
        "id": id,
        "title": "title",
        "body": None,
        "author": {"username": "me"},
        "coverFile": {"name": "cover.png"},
    }
    (stored,) = world.conduit.posts()
    assert stored["author"] == world.conduit.join("me")
    shown = await world.me.data(UPDATE_POST, input={"id": id, "coverFileId": None})
    assert shown["r"]["post"]["coverFile"] is None
    assert shown["r"]["post"]["author"] == {"username": "me"}
    refused = await world.me.data(UPDATE_POST, input={"id": id, "title": None})
    assert refused["r"]["field"] == "title"


async def test_an_update_of_nothing_is_a_read(world: World) -> None:
    id = await world.post()
    world.conduit.forget()
    data = await world.me.data(UPDATE_POST, input={"id": id})
    assert data["r"]["post"]["title"] == "before"
    methods = {method for method, _ in world.conduit.calls()}
    assert methods == {"GET"}


async def test_a_delete_that_conduit_calls_ok_but_did_not_do_is_no_success(
    world: World,
) -> None:
    id = await world.post()
    world.conduit.fail(POSTS, method="DELETE", status=200, body={"result": "Ok"})
    data = await world.me.data(DELETE_POST, id=id)
    assert data["r"]["__typename"] == "Forbidden"


# --- What is gone ---------------------------------------------------------------------

WHAT_IS_LEFT = """query ($post: ID!, $note: ID!) {
  post(id: $post) { title author { username } coverFile { name } }
  note(id: $note) { body post { title } }
  posts { nodes { author { username } coverFile { name } } }
}"""


async def test_relations_whose_target_is_gone_are_null_without_an_error(
    world: World,
) -> None:
    state = world.conduit.state
    cover = state.add_file("cover.png", b"x")
    post = await world.post("left", coverFileId=cover["_id"])
    note = await world.note("left", postId=await world.post("gone"))
    (stored,) = (each for each in world.conduit.posts() if each["title"] == "left")
    (gone,) = (each for each in world.conduit.posts() if each["title"] == "gone")
    stored["author"] = NOBODY
    state.collections["File"].delete(cover["_id"])
    state.collections["Post"].delete(gone["_id"])
    assert await world.me.data(WHAT_IS_LEFT, post=post, note=note) == {
        "post": {"title": "left", "author": None, "coverFile": None},
        "note": {"body": "left", "post": None},
        "posts": {"nodes": [{"author": None, "coverFile": None}]},
    }


async def test_a_note_about_a_post_that_is_hidden_now_has_none(world: World) -> None:
    note = await world.note("left", postId=await world.post("hidden"))
    world.conduit.guard_posts()  # nobody owns what was there before
    data = await world.me.data(
        """query ($id: ID!) {
          note(id: $id) { body post { title } } posts { totalCount }
        }""",
        id=note,
    )
    assert data == {
        "note": {"body": "left", "post": None},
        "posts": {"totalCount": 0},
    }
    unreadable = {"body": "x", "postId": str(world.conduit.posts()[0]["_id"])}
    data = await world.me.data(CREATE_NOTE, input=unreadable)
    assert data["r"]["field"] == "postId"
