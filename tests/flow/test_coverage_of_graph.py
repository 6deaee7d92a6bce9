"""Everything that the contract promises is exercised against the sandbox.

The documents below are executed; what each selects, passes and was answered with is
noted by graphql's own TypeInfo and compared with `tests/schema/contract.graphql`: every
field of every type, every argument, every input field, every enum value that can be
sent, every member of every result union. `pytest -s` prints the list, and how each was
reached.

Every problem must be an answer of an upstream, never a fault put in: PostgreSQL's own
under Flux, and that of Conduit's stand-in with an administrator's settings. Where this
server itself refuses first, the list shows both.
"""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_object_type,
    is_union_type,
    parse,
    visit,
)
from own_conduit import OwnConduit
from own_flux import OwnDatabase, OwnFlux, own_database, own_flux
from upload_harness import END, front, post_multipart
from writes import signed_in

from clients.conduit.offers import Offers
from harness import PASSWORD, ROOT, Caller, Sandbox
from sandbox.faults import RecordedRequest

# Refusals that an upstream does not tell by its status: no row was changed, or Conduit
# says Ok and has deleted nothing (conduit.md §3).
TOLD_BY_NOTHING = {
    "UpdateNoteResult = NotFound",
    "DeleteNoteResult = NotFound",
    "DeletePostResult = Forbidden",
}

NOTE = "id databaseId body createdAt updatedAt"
FILE = """id databaseId name mimeType size isPublic createdAt updatedAt
  previewUrl(download: true) data"""
POST = "id databaseId title body createdAt updatedAt"
PAGE = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount"

NOTES = f"""query ($first: Int, $after: String, $last: Int, $before: String,
  $orderBy: NoteOrder, $filter: NoteFilter) {{
  notes(first: $first, after: $after, last: $last, before: $before,
    orderBy: $orderBy, filter: $filter) {{
    nodes {{ {NOTE} }} edges {{ cursor node {{ {NOTE} post {{ {POST} }} }} }}
    {PAGE} }} }}"""
POSTS = f"""query ($first: Int, $after: String, $last: Int, $before: String,
  $orderBy: PostOrder, $filter: PostFilter, $of: String) {{
  posts(first: $first, after: $after, last: $last, before: $before,
    orderBy: $orderBy, filter: $filter) {{
    nodes {{ {POST} author {{ id databaseId username }} coverFile {{ {FILE} }}
      notes(first: 2, after: $of) {{ nodes {{ body }} }} }}
    edges {{ cursor node {{ title }} }} {PAGE} }} }}"""
FILES = f"""query ($first: Int, $after: String) {{
  files(first: $first, after: $after) {{
    nodes {{ {FILE} }} edges {{ cursor node {{ name }} }} {PAGE} }} }}"""
PEOPLE = """query ($first: Int, $after: String, $last: Int, $before: String,
  $notes: NoteOrder, $posts: PostOrder, $afterNote: String) {
  viewer { id databaseId email username
    notes(first: $first, after: $afterNote, orderBy: $notes) { nodes { body } }
    last: notes(last: $last, before: $before) { nodes { body } }
    posts(first: $first, after: $after, orderBy: $posts) { nodes { title } }
    user { id databaseId username
      posts(first: $first, after: $after, orderBy: $posts) { nodes { title } } } } }"""
NODES = """query ($id: ID!, $ids: [ID!]!) {
  node(id: $id) { id ... on Note { body } }
  nodes(ids: $ids) { __typename id } }"""
ONE = """query ($note: ID!, $post: ID!, $file: ID!) {
  note(id: $note) { id } post(id: $post) { id } file(id: $file) { id } }"""

WRITES = {
    "signUp": ("input: SignUpInput!", "user { id databaseId username }"),
    "signIn": ("input: SignInInput!", "viewer { id } sessionToken"),
    "createNote": ("input: CreateNoteInput!", f"note {{ {NOTE} }}"),
    "updateNote": ("input: UpdateNoteInput!", f"note {{ {NOTE} }}"),
    "deleteNote": ("id: ID!", "deletedId"),
    "createPost": ("input: CreatePostInput!", f"post {{ {POST} }}"),
    "updatePost": ("input: UpdatePostInput!", f"post {{ {POST} }}"),
    "deletePost": ("id: ID!", "deletedId"),
    "uploadFile": ("input: UploadFileInput!", f"file {{ {FILE} }}"),
    "deleteFile": ("id: ID!", "deletedId"),
}
# What an operator may add to the project: PostgreSQL then refuses by itself.
OPERATOR = """
alter table notes add constraint wanted check (body <> 'unwanted');
create policy not_locked on notes as restrictive for all
    using (true) with check (body <> 'locked');
create table pins (note_id uuid not null references notes on delete set null);
"""


@dataclass
class Recorder:
    """Executes operations and notes every promise that they made use of."""

    schema: GraphQLSchema
    conduit: OwnConduit
    flux: OwnFlux
    # What was made use of, and how: each way once, in order.
    used: dict[str, dict[str, None]] = field(default_factory=dict)
    # Results that an upstream answered with.
    answered: set[str] = field(default_factory=set)

    def note(self, promise: str, how: str) -> None:
        self.used.setdefault(promise, {})[how] = None

    async def run(self, caller: Caller, query: str, **variables: Any) -> Any:
        """The data; without errors, or the test fails."""
        self._forget()
        data = await caller.data(query, **variables)
        self._note_all(query, variables, data)
        return data

    async def write(self, caller: Caller, name: str, **variables: Any) -> Any:
        """The result of a mutation, asked for every problem that it can have."""
        query = self._mutation(name)
        return (await self.run(caller, query, **variables))[name]

    async def upload(self, caller: Caller, **given: Any) -> Any:
        """The same for uploadFile, with a small file of the multipart request."""
        self._forget()
        query = self._mutation("uploadFile")
        variables = {"input": {"file": None, **given}}
        operations = json.dumps({"query": query, "variables": variables})
        body = front(operations, file_name="a.txt", kind="text/plain") + b"text" + END
        answer: httpx.Response = await post_multipart(caller, body)
        assert "errors" not in answer.json(), answer.text
        self._note_all(query, variables, answer.json()["data"])
        return answer.json()["data"]["uploadFile"]

    def _mutation(self, name: str) -> str:
        declared, success = WRITES[name]
        argument = declared.partition(":")[0]
        union = get_named_type(self.schema.mutation_type.fields[name].type)
        shown = " ".join(
            f"... on {member.name} {{ {_fields(member, success)} }}"
            for member in union.types
        )
        return f"""mutation (${declared}) {{
          {name}({argument}: ${argument}) {{ __typename {shown} }} }}"""

    def note_value(self, kind: Any, value: Any, how: str) -> None:
        """Fields of inputs and values of enums, wherever they stand in a variable."""
        named = get_named_type(kind)
        if is_enum_type(named):
            self.note(f"{named.name}.{value}", how)
        if is_input_object_type(named) and isinstance(value, dict):
            for name, part in value.items():
                if name in named.fields:
                    self.note(f"{named.name}.{name}", how)
                    self.note_value(named.fields[name].type, part, how)

    def _note_all(self, query: str, variables: dict[str, Any], data: Any) -> None:
        info, how = TypeInfo(self.schema), "in " + ", ".join(data)
        visit(parse(query), TypeInfoVisitor(info, _Uses(self, info, variables, how)))
        for name, value in data.items():
            if name in WRITES:
                union = get_named_type(self.schema.mutation_type.fields[name].type)
                self._note_result(f"{union.name} = {value['__typename']}")

    def _note_result(self, promise: str) -> None:
        assert not any(each.faults.active() for each in self._upstreams.values())
        answers = [
            (name, each)
            for name, upstream in self._upstreams.items()
            for each in upstream.requests
        ]
        refusals = [each for each in answers if (each[1].status or 0) >= 400]
        is_its = promise.endswith("Success") or promise in TOLD_BY_NOTHING
        if refusals or (answers and is_its):
            self.answered.add(promise)
            self.note(promise, _shown(*(refusals or answers)[-1]))
        elif answers:
            self.note(promise, f"refused here, after {_shown(*answers[-1])}")
        else:
            self.note(promise, "refused here, before any call")

    @property
    def _upstreams(self) -> dict[str, Any]:
        return {
            "flux": self.flux.faulty,
            "storage": self.conduit.storage,
            "conduit": self.conduit.faulty,
        }

    def _forget(self) -> None:
        for upstream in self._upstreams.values():
            upstream.requests.clear()


def _shown(upstream: str, answer: RecordedRequest) -> str:
    path = re.sub(r"[0-9a-f-]{24,36}", "…", answer.path)
    return f"{upstream}: {answer.method} {path} {answer.status}"


def _fields(member: Any, success: str) -> str:
    """All fields of a problem, or what is said of the success."""
    problem = any(each.name == "Problem" for each in member.interfaces)
    return " ".join(member.fields) if problem else success


class _Uses(Visitor):
    """Notes the fields and arguments of a document."""

    def __init__(
        self, recorder: Recorder, info: TypeInfo, variables: dict[str, Any], how: str
    ) -> None:
        super().__init__()
        self._recorder, self._info, self._variables = recorder, info, variables
        self._how = how

    def enter_field(self, node: Any, *_: Any) -> None:
        parent = self._info.get_parent_type()
        if parent is not None:
            self._recorder.note(f"{parent.name}.{node.name.value}", self._how)

    def enter_argument(self, node: Any, *_: Any) -> None:
        argument = self._info.get_argument()
        parent, parent_field = self._info.get_parent_type(), self._info.get_field_def()
        if argument is None or parent is None or parent_field is None:
            return
        names = (name for name, each in parent.fields.items() if each is parent_field)
        value = node.value
        given = True
        if value.kind == "variable":
            given = value.name.value in self._variables
            if given:
                passed = self._variables[value.name.value]
                self._recorder.note_value(argument.type, passed, self._how)
        if given:
            promise = f"{parent.name}.{next(names)}({node.name.value})"
            self._recorder.note(promise, self._how)


def promises(contract: GraphQLSchema) -> Iterator[str]:
    """Everything in the contract that an operation can make use of."""
    for name, kind in contract.type_map.items():
        if name.startswith("__"):
            continue
        if is_object_type(kind):
            for field_name, each in kind.fields.items():
                yield f"{name}.{field_name}"
                for argument in each.args:
                    yield f"{name}.{field_name}({argument})"
        elif is_input_object_type(kind):
            yield from (f"{name}.{field_name}" for field_name in kind.fields)
        elif is_enum_type(kind):
            yield from (f"{name}.{value}" for value in kind.values)
        elif is_union_type(kind):
            yield from (f"{name} = {member.name}" for member in kind.types)


@pytest.fixture
def contract() -> GraphQLSchema:
    return build_schema((ROOT / "tests/schema/contract.graphql").read_text())


@pytest.fixture(scope="module")
def database() -> Iterator[OwnDatabase]:
    with own_database() as database:
        yield database


async def test_everything_promised_is_exercised_against_the_sandbox(
    sandbox: Sandbox,
    conduit: OwnConduit,
    database: OwnDatabase,
    contract: GraphQLSchema,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with own_flux(database) as flux:
        recorder = Recorder(contract, conduit, flux)
        async with signed_in(sandbox, conduit, "me", **flux.environment) as me:
            await read_everything(recorder, me, conduit)
            await come_and_go(recorder, me, conduit)
            await write_notes(recorder, me, flux)
            await write_posts(recorder, me, conduit)
            await write_files(recorder, me, conduit)
            await be_refused_for_an_id(recorder, me, monkeypatch)
        guarded = {"CONDUIT_OWNERSHIP": "upstream"} | flux.environment
        guarded["CONDUIT_STORAGE_AUTHORIZATION"] = "on"
        async with signed_in(sandbox, conduit, "me", **guarded) as me:
            await be_refused_by_authorization(recorder, me, conduit)
    promised = set(promises(contract))
    show(recorder, promised)
    assert promised - set(recorder.used) == set()
    assert results_of_writes(contract) - recorder.answered == set()


def show(recorder: Recorder, promised: set[str]) -> None:
    """A line for each promise, and each way in which it was reached."""
    found = promised & set(recorder.used)
    print(f"\n{len(found)} of {len(promised)} promises exercised:")
    for promise in sorted(promised):
        ways = list(recorder.used.get(promise, {}))
        results = " = " in promise
        print(f"  {'x' if ways else ' '} {promise}")
        for way in ways if results else ways[:1]:
            print(f"        {way}")


def results_of_writes(contract: GraphQLSchema) -> set[str]:
    """Every member of every result union."""
    return {promise for promise in promises(contract) if " = " in promise}


async def read_everything(recorder: Recorder, me: Caller, conduit: OwnConduit) -> None:
    file = conduit.state.add_file(
        "a.png", b"abc", mime_type="image/png", owner=conduit.join("me")
    )
    conduit.state.add_file("b.png", b"abc")
    made = [
        await recorder.write(
            me,
            "createPost",
            input={"title": title, "body": "text", "coverFileId": file["_id"]},
        )
        for title in ("one", "two")
    ]
    post = made[0]["post"]
    note = await recorder.write(
        me, "createNote", input={"body": "first", "postId": post["id"]}
    )
    await recorder.write(me, "createNote", input={"body": "second"})
    ids = [note["note"]["id"], post["id"]]
    await recorder.run(me, NODES, id=ids[0], ids=ids)
    one = await recorder.run(
        me, ONE, note=ids[0], post=post["databaseId"], file=file["_id"]
    )
    assert all(one.values())
    newest = {"field": "CREATED_AT", "direction": "DESC"}
    oldest = {"field": "CREATED_AT", "direction": "ASC"}
    everything = {
        "bodyContains": "FIRST",
        "postId": post["id"],
        "createdAfter": "2020-01-01T00:00:00Z",
        "createdBefore": "2100-01-01T00:00:00Z",
    }
    data = await recorder.run(me, NOTES, first=1, orderBy=newest)
    cursor = data["notes"]["pageInfo"]["endCursor"]
    data = await recorder.run(me, NOTES, first=1, after=cursor, orderBy=newest)
    assert [each["body"] for each in data["notes"]["nodes"]] == ["first"]
    await recorder.run(me, NOTES, last=1, before=cursor, orderBy=newest)
    data = await recorder.run(me, NOTES, first=5, orderBy=oldest, filter=everything)
    assert data["notes"]["totalCount"] == 1
    people = {
        "notes": oldest,
        "posts": {"field": "TITLE", "direction": "DESC"},
        "first": 1,
        "last": 1,
    }
    data = await recorder.run(me, NOTES, first=1)
    last = data["notes"]["pageInfo"]["startCursor"]
    await recorder.run(me, PEOPLE, **people)
    await recorder.run(me, PEOPLE, before=last, afterNote=None, after=None, **people)
    await read_posts(recorder, me, conduit, cursor)


async def read_posts(
    recorder: Recorder, me: Caller, conduit: OwnConduit, note_cursor: str
) -> None:
    for name in ("CREATED_AT", "UPDATED_AT", "TITLE"):
        order = {"field": name, "direction": "ASC"}
        data = await recorder.run(me, POSTS, first=1, orderBy=order)
        (edge,) = data["posts"]["edges"]
        data = await recorder.run(
            me, POSTS, first=1, after=edge["cursor"], orderBy=order
        )
        (other,) = data["posts"]["edges"]
        assert edge["node"] != other["node"]
        data = await recorder.run(
            me, POSTS, last=1, before=other["cursor"], orderBy=order
        )
        assert data["posts"]["edges"] == [edge]
    mine = {"authorId": conduit.join("me"), "titleContains": "ON"}
    data = await recorder.run(me, POSTS, filter=mine)
    (post,) = data["posts"]["nodes"]
    assert post["title"] == "one"
    assert post["coverFile"]["data"] == "YWJj"
    cursors = "{ posts(first: 2) { nodes { notes { edges { cursor } } } } }"
    found = await me.data(cursors)
    (place,) = (
        edge["cursor"]
        for node in found["posts"]["nodes"]
        for edge in node["notes"]["edges"]
    )
    await recorder.run(me, POSTS, of=place)
    data = await recorder.run(me, FILES, first=1)
    after = data["files"]["pageInfo"]["endCursor"]
    assert (await recorder.run(me, FILES, first=1, after=after))["files"]["nodes"]


async def come_and_go(recorder: Recorder, me: Caller, conduit: OwnConduit) -> None:
    new = {"email": f"{uuid.uuid4()}@example.com", "password": PASSWORD}
    results = [
        await recorder.write(me, "signUp", input=new),
        await recorder.write(me, "signUp", input=new),
        await recorder.write(me, "signUp", input={**new, "email": "nonsense"}),
        # Conduit wants a dot in it; this server leaves that to the upstream.
        await recorder.write(me, "signUp", input={**new, "email": "me@localhost"}),
        await recorder.write(me, "signIn", input={**new, "password": "wrong"}),
        await recorder.write(me, "signIn", input={**new, "email": ""}),
        await recorder.write(me, "signIn", input={**new, "email": "me@localhost"}),
    ]
    assert [each["__typename"] for each in results] == [
        "SignUpSuccess",
        "Conflict",
        "InvalidInput",
        "InvalidInput",
        "InvalidCredentials",
        "InvalidInput",
        "InvalidInput",
    ]
    for transport in ("BEARER", "COOKIE"):
        signed_in = await recorder.write(
            me, "signIn", input={**new, "transport": transport}
        )
        assert (signed_in["sessionToken"] is None) == (transport == "COOKIE")
        query = "mutation ($all: Boolean) { signOut(everywhere: $all) { ok } }"
        await recorder.run(me, query, all=transport == "BEARER")
    await me.sign_in("me")


async def write_notes(recorder: Recorder, me: Caller, flux: OwnFlux) -> None:
    made = await recorder.write(me, "createNote", input={"body": "x"})
    id, gone = made["note"]["id"], str(uuid.uuid4())
    await recorder.write(me, "createNote", input={"body": "\0"})
    for outcome, note in (
        ("UpdateNoteSuccess", id),
        ("NotFound", gone),
        ("InvalidInput", "nonsense"),
    ):
        result = await recorder.write(me, "updateNote", input={"id": note, "body": "y"})
        assert result["__typename"] == outcome
    await flux.change(OPERATOR)
    for body, outcome in (("unwanted", "InvalidInput"), ("locked", "Forbidden")):
        for name, input in (("createNote", {}), ("updateNote", {"id": id})):
            input = {**input, "body": body}
            result = await recorder.write(me, name, input=input)
            assert result["__typename"] == outcome
    pinned = (await recorder.write(me, "createNote", input={"body": "x"}))["note"]
    await flux.change("insert into pins select id from notes where body = 'x'")
    for note, outcome in (
        (pinned["id"], "InvalidInput"),
        (id, "DeleteNoteSuccess"),
        (gone, "NotFound"),
        ("nonsense", "InvalidInput"),
    ):
        result = await recorder.write(me, "deleteNote", id=note)
        assert result["__typename"] == outcome
    await flux.change("revoke delete on notes from authenticated")
    result = await recorder.write(me, "deleteNote", id=pinned["id"])
    assert result["__typename"] == "Forbidden"


async def write_posts(recorder: Recorder, me: Caller, conduit: OwnConduit) -> None:
    cover = conduit.state.add_file("cover.png", b"x")["_id"]
    full = {"title": "x", "body": "y", "coverFileId": cover}
    made = await recorder.write(me, "createPost", input=full)
    id, gone = made["post"]["id"], str(uuid.uuid4())
    theirs = conduit.state.add_post("theirs", conduit.join("you"))["_id"]
    await recorder.write(me, "createPost", input={"title": ""})
    for outcome, post in (
        ("UpdatePostSuccess", id),
        ("NotFound", gone),
        ("Forbidden", theirs),
        ("InvalidInput", "nonsense"),
    ):
        result = await recorder.write(
            me, "updatePost", input={"id": post, **full, "title": "z"}
        )
        assert result["__typename"] == outcome
    conduit.change_post("title", unique=True)
    conduit.change_post("body", sqlType=None)
    for change, outcome in (
        ({"title": "theirs"}, "Conflict"),
        ({"title": "w", "body": "x" * 256}, "InvalidInput"),
    ):
        made = await recorder.write(me, "createPost", input=change)
        result = await recorder.write(me, "updatePost", input={"id": id, **change})
        assert made["__typename"] == result["__typename"] == outcome
    for outcome, post in (
        ("DeletePostSuccess", id),
        ("NotFound", gone),
        ("Forbidden", theirs),
        ("InvalidInput", "nonsense"),
    ):
        result = await recorder.write(me, "deletePost", id=post)
        assert result["__typename"] == outcome


async def write_files(recorder: Recorder, me: Caller, conduit: OwnConduit) -> None:
    place = {"name": "a.txt", "folder": "f", "isPublic": True}
    for outcome in ("UploadFileSuccess", "Conflict"):
        result = await recorder.upload(me, **place)
        assert result["__typename"] == outcome
    result = await recorder.upload(me, folder="..")
    assert result["__typename"] == "InvalidInput"
    folder = f"u/{conduit.join('me')}/"
    mine = conduit.state.add_file("mine.png", b"x", folder=folder)
    theirs = conduit.state.add_file("theirs.png", b"x", folder="u/x/")
    for id, outcome in (
        (mine["_id"], "DeleteFileSuccess"),
        (theirs["_id"], "Forbidden"),
        (str(uuid.uuid4()), "NotFound"),
        ("nonsense", "InvalidInput"),
    ):
        result = await recorder.write(me, "deleteFile", id=id)
        assert result["__typename"] == outcome


async def be_refused_for_an_id(
    recorder: Recorder, me: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before any id of this Conduit was seen: then it is not known what kind of ids
    it makes, and one of MongoDB's is PostgreSQL's to refuse."""
    with monkeypatch.context() as patch:
        patch.setattr(Offers, "made", lambda self, ids: list(ids))
        for name in ("deletePost", "deleteFile"):
            result = await recorder.write(me, name, id="0123456789abcdef01234567")
            assert result["__typename"] == "InvalidInput"


async def be_refused_by_authorization(
    recorder: Recorder, me: Caller, conduit: OwnConduit
) -> None:
    conduit.guard_posts()
    conduit.state.settings.storage_authorization = True
    team = f"Team:{conduit.state.teams.insert({'name': 'Crew'})['_id']}"
    conduit.state.relations.give_role(f"User:{conduit.join('me')}", "readAll", team)
    theirs = conduit.state.add_post("guarded", conduit.join("you"))["_id"]
    conduit.state.relations.own(team, f"Post:{theirs}")
    for scope, outcome in (
        (team, "Forbidden"),
        ("nonsense", "InvalidInput"),
    ):
        post = {"title": "x", "scope": scope}
        made = await recorder.write(me, "createPost", input=post)
        stored = await recorder.upload(me, name="b.txt", scope=scope)
        assert made["__typename"] == stored["__typename"] == outcome
    hidden = conduit.state.add_file("b.png", b"x", owner=conduit.join("you"))["_id"]
    results = [
        await recorder.write(me, "updatePost", input={"id": theirs, "title": "y"}),
        await recorder.write(me, "deletePost", id=theirs),
        await recorder.write(me, "deleteFile", id=hidden),
    ]
    conduit.state.block(conduit.join("me"))
    results.append(await recorder.upload(me, name="c.txt"))
    assert [each["__typename"] for each in results] == ["Forbidden"] * 4
