"""Everything that the contract promises is exercised against the sandbox.

The documents below are executed; what each selects, passes and was answered with is
noted by graphql's own TypeInfo and compared with `tests/schema/contract.graphql`: every
field of every type, every argument, every input field, every enum value that can be
sent, every member of every result union. `pytest -s` prints the list.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

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

from harness import PASSWORD, ROOT, Caller, Sandbox

# Exercised by tests of their own until they are in here. Must shrink to nothing.
ELSEWHERE = {
    "Mutation.uploadFile",
    "Mutation.uploadFile(input)",
    "UploadFileInput.file",
    "UploadFileInput.folder",
    "UploadFileInput.isPublic",
    "UploadFileInput.name",
    "UploadFileResult = Conflict",
    "UploadFileResult = Forbidden",
    "UploadFileResult = InvalidInput",
    "UploadFileResult = UploadFileSuccess",
    "UploadFileSuccess.file",
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
    "deleteFile": ("id: ID!", "deletedId"),
}


@dataclass
class Recorder:
    """Executes operations and notes every promise that they made use of."""

    schema: GraphQLSchema
    used: set[str] = field(default_factory=set)

    async def run(self, caller: Caller, query: str, **variables: Any) -> Any:
        """The data; without errors, or the test fails."""
        data = await caller.data(query, **variables)
        info = TypeInfo(self.schema)
        visit(parse(query), TypeInfoVisitor(info, _Uses(self, info, variables)))
        self._note_results(data)
        return data

    async def write(self, caller: Caller, name: str, **variables: Any) -> Any:
        """The result of a mutation, asked for every problem that it can have."""
        declared, success = WRITES[name]
        argument = declared.partition(":")[0]
        union = get_named_type(self.schema.mutation_type.fields[name].type)
        shown = " ".join(
            f"... on {member.name} {{ {_fields(member, success)} }}"
            for member in union.types
        )
        query = f"""mutation (${declared}) {{
          {name}({argument}: ${argument}) {{ __typename {shown} }} }}"""
        data = await self.run(caller, query, **variables)
        return data[name]

    def note_value(self, kind: Any, value: Any) -> None:
        """Fields of inputs and values of enums, wherever they stand in a variable."""
        named = get_named_type(kind)
        if is_enum_type(named):
            self.used.add(f"{named.name}.{value}")
        if is_input_object_type(named) and isinstance(value, dict):
            for name, part in value.items():
                if name in named.fields:
                    self.used.add(f"{named.name}.{name}")
                    self.note_value(named.fields[name].type, part)

    def _note_results(self, data: dict[str, Any]) -> None:
        for name, value in data.items():
            if name in WRITES:
                union = get_named_type(self.schema.mutation_type.fields[name].type)
                self.used.add(f"{union.name} = {value['__typename']}")


def _fields(member: Any, success: str) -> str:
    """All fields of a problem, or what is said of the success."""
    problem = any(each.name == "Problem" for each in member.interfaces)
    return " ".join(member.fields) if problem else success


class _Uses(Visitor):
    """Notes the fields and arguments of a document."""

    def __init__(
        self, recorder: Recorder, info: TypeInfo, variables: dict[str, Any]
    ) -> None:
        super().__init__()
        self._recorder, self._info, self._variables = recorder, info, variables

    def enter_field(self, node: Any, *_: Any) -> None:
        parent = self._info.get_parent_type()
        if parent is not None:
            self._recorder.used.add(f"{parent.name}.{node.name.value}")

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
                self._recorder.note_value(argument.type, passed)
        if given:
            self._recorder.used.add(f"{parent.name}.{next(names)}({node.name.value})")


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


async def test_everything_promised_is_exercised_against_the_sandbox(
    me: Caller,
    sandbox: Sandbox,
    conduit: OwnConduit,
    contract: GraphQLSchema,
) -> None:
    recorder = Recorder(contract)
    await read_everything(recorder, me, conduit)
    await come_and_go(recorder, me, conduit)
    await write_everything(recorder, me, sandbox, conduit)
    promised = set(promises(contract))
    print(f"{len(promised & recorder.used)} of {len(promised)} promises exercised:")
    for promise in sorted(promised):
        print(f"  {'x' if promise in recorder.used else ' '} {promise}")
    assert promised - recorder.used - ELSEWHERE == set()


def test_what_is_exercised_elsewhere_is_promised(contract: GraphQLSchema) -> None:
    assert set(promises(contract)) >= ELSEWHERE


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
        await recorder.write(me, "signIn", input={**new, "password": "wrong"}),
        await recorder.write(me, "signIn", input={**new, "email": ""}),
    ]
    assert [each["__typename"] for each in results] == [
        "SignUpSuccess",
        "Conflict",
        "InvalidInput",
        "InvalidCredentials",
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


async def write_everything(
    recorder: Recorder, me: Caller, sandbox: Sandbox, conduit: OwnConduit
) -> None:
    await write_notes(recorder, me, sandbox)
    await write_posts(recorder, me, conduit)
    gone = str(uuid.uuid4())
    folder = f"u/{conduit.join('me')}/"
    mine = conduit.state.add_file("mine.png", b"x", folder=folder)
    theirs = conduit.state.add_file("theirs.png", b"x", folder="u/x/")
    for id, outcome in (
        (mine["_id"], "DeleteFileSuccess"),
        (theirs["_id"], "Forbidden"),
        (gone, "NotFound"),
        ("nonsense", "InvalidInput"),
    ):
        result = await recorder.write(me, "deleteFile", id=id)
        assert result["__typename"] == outcome


async def write_notes(recorder: Recorder, me: Caller, sandbox: Sandbox) -> None:
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
    # As PostgreSQL refuses a role without the right (test_dedicated_project.py).
    refusal = {"code": "42501", "message": "permission denied for table notes"}
    for method in ("POST", "PATCH", "DELETE"):
        sandbox.fail("flux", "/notes", method=method, status=403, body=refusal)
    results = [
        await recorder.write(me, "createNote", input={"body": "x"}),
        await recorder.write(me, "updateNote", input={"id": id, "body": "x"}),
        await recorder.write(me, "deleteNote", id=id),
    ]
    assert {result["__typename"] for result in results} == {"Forbidden"}
    sandbox.heal()
    for note in (id, gone, "nonsense"):
        await recorder.write(me, "deleteNote", id=note)


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
    conduit.declare_title_unique()
    result = await recorder.write(me, "createPost", input={"title": "theirs"})
    assert result["__typename"] == "Conflict"
    result = await recorder.write(me, "updatePost", input={"id": id, "title": "theirs"})
    assert result["__typename"] == "Conflict"
    for post in (id, gone, theirs, "nonsense"):
        await recorder.write(me, "deletePost", id=post)
    conduit.guard_posts()
    nobodys = {"title": "x", "scope": f"Team:{uuid.uuid4()}"}
    result = await recorder.write(me, "createPost", input=nobodys)
    assert result["__typename"] == "Forbidden"
