"""Writes of notes and posts: typed results, whose they are, and unknown outcomes."""

import uuid

import pytest

from clients.errors import (
    ConflictError,
    InvalidInputError,
    PermissionDeniedError,
    UpstreamError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from resolvers.ids import global_id
from tests.resolvers.stubs import (
    ME,
    file_id,
    make_context,
    make_world,
    my_file,
    note_id,
    post_id,
)

PROBLEM = "... on Problem { message } ... on InvalidInput { field }"
CREATE_NOTE = f"""mutation ($input: CreateNoteInput!) {{ r: createNote(input: $input) {{
  __typename {PROBLEM} ... on CreateNoteSuccess {{
    note {{ databaseId body createdAt post {{ title }} }} }} }} }}"""
UPDATE_NOTE = f"""mutation ($input: UpdateNoteInput!) {{ r: updateNote(input: $input) {{
  __typename {PROBLEM} ... on UpdateNoteSuccess {{ note {{ id body }} }} }} }}"""
DELETE_NOTE = f"""mutation ($id: ID!) {{ r: deleteNote(id: $id) {{
  __typename {PROBLEM} ... on DeleteNoteSuccess {{ deletedId }} }} }}"""
CREATE_POST = f"""mutation ($input: CreatePostInput!) {{ r: createPost(input: $input) {{
  __typename {PROBLEM} ... on CreatePostSuccess {{ post {{
    title body author {{ username }} coverFile {{ name }} }} }} }} }}"""
UPDATE_POST = f"""mutation ($input: UpdatePostInput!) {{ r: updatePost(input: $input) {{
  __typename {PROBLEM} ... on UpdatePostSuccess {{ post {{
    title body coverFile {{ name }} }} }} }} }}"""
DELETE_POST = f"""mutation ($id: ID!) {{ r: deletePost(id: $id) {{
  __typename {PROBLEM} ... on DeletePostSuccess {{ deletedId }} }} }}"""

DELETE_FILE = f"""mutation ($id: ID!) {{ r: deleteFile(id: $id) {{
  __typename {PROBLEM} ... on DeleteFileSuccess {{ deletedId }} }} }}"""

MINE, ANOTHERS = post_id(0), post_id(1)  # authors take turns, the first is the viewer

EVERY_WRITE = [
    (CREATE_NOTE, {"input": {"body": "Text"}}, "notes.create"),
    (UPDATE_NOTE, {"input": {"id": note_id(1), "body": "New"}}, "notes.update"),
    (DELETE_NOTE, {"id": note_id(1)}, "notes.delete"),
    (CREATE_POST, {"input": {"title": "Title"}}, "posts.create"),
    (UPDATE_POST, {"input": {"id": MINE, "title": "New"}}, "posts.update"),
    (DELETE_POST, {"id": MINE}, "posts.delete"),
    (DELETE_FILE, {"id": file_id(50)}, "files.delete"),
]


def make_world_to_write():
    """With something of the viewer's own for every write."""
    world = make_world(posts=1, notes=2)
    world.files.append(my_file(50))
    return world


async def test_a_note_belongs_to_the_viewer_and_has_an_id_of_ours(ask):
    world = make_world(posts=2)
    answer = await ask(
        world,
        CREATE_NOTE,
        input={"body": "Hello", "postId": global_id("Post", post_id(1))},
    )
    assert answer.errors == []
    note = answer.data["r"]["note"]
    assert (note["body"], note["post"]) == ("Hello", {"title": "Post 001"})
    [call] = world.arguments_of("notes.create")
    assert (call["owner_id"], call["post_id"]) == (ME, post_id(1))
    assert str(uuid.UUID(call["id"], version=4)) == call["id"] == note["databaseId"]


async def test_a_note_is_changed_and_deleted(ask):
    world = make_world(notes=2)
    id = global_id("Note", note_id(1))
    answer = await ask(world, UPDATE_NOTE, input={"id": id, "body": "New"})
    assert answer.data["r"]["note"] == {"id": id, "body": "New"}
    answer = await ask(world, DELETE_NOTE, id=note_id(1))
    assert answer.data["r"] == {"__typename": "DeleteNoteSuccess", "deletedId": id}
    assert [note.id for note in world.notes] == [note_id(0)]


async def test_a_post_is_written_changed_cleared_and_deleted(ask):
    world = make_world(files=1)
    answer = await ask(
        world,
        CREATE_POST,
        input={
            "title": "Title",
            "body": "Text",
            "coverFileId": global_id("File", file_id(0)),
            "scope": "Team:1",
        },
    )
    assert answer.data["r"]["post"] == {
        "title": "Title",
        "body": "Text",
        "author": {"username": "user0"},
        "coverFile": {"name": "file0.png"},
    }
    [call] = world.arguments_of("posts.create")
    assert (call["author_id"], call["scope"]) == (ME, "Team:1")
    id = world.posts[0].id
    answer = await ask(
        world, UPDATE_POST, input={"id": id, "title": "Other", "coverFileId": None}
    )
    assert answer.data["r"]["post"] == {
        "title": "Other",
        "body": "Text",
        "coverFile": None,
    }
    [call] = world.arguments_of("posts.update")
    assert call["changes"] == {"title": "Other", "cover_file_id": None}
    answer = await ask(world, DELETE_POST, id=global_id("Post", id))
    assert answer.data["r"]["deletedId"] == global_id("Post", id)
    assert world.posts == []


@pytest.mark.parametrize(
    ("write", "variables"),
    [
        (UPDATE_POST, {"input": {"id": ANOTHERS, "title": "Mine now"}}),
        (DELETE_POST, {"id": ANOTHERS}),
    ],
)
async def test_anothers_post_is_forbidden_on_a_fresh_read(ask, write, variables):
    world = make_world(posts=2)
    answer = await ask(world, write, **variables)
    assert answer.errors == []
    assert answer.data["r"]["__typename"] == "Forbidden"
    assert world.called_names == ["posts.get"]


async def test_a_file_is_deleted_out_of_the_own_folder_only(ask):
    world = make_world(files=1)
    world.files.append(my_file(50))
    answer = await ask(world, DELETE_FILE, id=global_id("File", file_id(0)))
    assert answer.data["r"]["__typename"] == "Forbidden"
    assert "files.delete" not in world.called_names
    answer = await ask(world, DELETE_FILE, id=file_id(50))
    assert answer.data["r"]["deletedId"] == global_id("File", file_id(50))
    assert [file.id for file in world.files] == [file_id(0)]


async def test_ownership_may_be_left_to_the_upstream(ask):
    world = make_world(posts=2)
    context = make_context(world, checks_ownership=False)
    answer = await ask(world, DELETE_POST, context=context, id=ANOTHERS)
    assert answer.data["r"]["__typename"] == "DeletePostSuccess"


@pytest.mark.parametrize(
    ("write", "variables"),
    [
        (UPDATE_NOTE, {"input": {"id": note_id(9), "body": "x"}}),
        (DELETE_NOTE, {"id": note_id(9)}),
        (UPDATE_POST, {"input": {"id": post_id(9), "title": "x"}}),
        (DELETE_POST, {"id": post_id(9)}),
        (DELETE_FILE, {"id": file_id(9)}),
    ],
)
async def test_what_is_missing_or_hidden_is_not_found(ask, write, variables):
    answer = await ask(make_world(posts=1, notes=1), write, **variables)
    assert answer.errors == []
    assert answer.data["r"]["__typename"] == "NotFound"


@pytest.mark.parametrize(
    ("write", "variables", "field"),
    [
        (CREATE_NOTE, {"input": {"body": "a\0b"}}, "body"),
        (CREATE_NOTE, {"input": {"body": "x" * 100_001}}, "body"),
        (CREATE_NOTE, {"input": {"body": "x", "postId": "nonsense"}}, "postId"),
        (CREATE_NOTE, {"input": {"body": "x", "postId": post_id(9)}}, "postId"),
        (UPDATE_NOTE, {"input": {"id": "nonsense", "body": "x"}}, "id"),
        (DELETE_NOTE, {"id": global_id("Post", MINE)}, "id"),
        (CREATE_POST, {"input": {"title": ""}}, "title"),
        (CREATE_POST, {"input": {"title": "x" * 256}}, "title"),
        (
            CREATE_POST,
            {"input": {"title": "x", "coverFileId": file_id(9)}},
            "coverFileId",
        ),
        (UPDATE_POST, {"input": {"id": MINE, "title": None}}, "title"),
        (UPDATE_POST, {"input": {"id": MINE, "body": "\ud800"}}, "body"),
        (DELETE_POST, {"id": "nonsense"}, "id"),
        (DELETE_FILE, {"id": global_id("Post", MINE)}, "id"),
    ],
)
async def test_bad_input_is_a_typed_result_and_nothing_is_written(
    ask, write, variables, field
):
    world = make_world(posts=1, notes=1)
    answer = await ask(world, write, **variables)
    assert answer.errors == []
    assert answer.data["r"]["__typename"] == "InvalidInput"
    assert answer.data["r"]["field"] == field
    written = [name for name in world.called_names if name.endswith(("ate", "ete"))]
    assert written == []


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (InvalidInputError("x", field="body"), "InvalidInput"),
        (PermissionDeniedError("x"), "Forbidden"),
        (ConflictError("x"), "Conflict"),
    ],
)
async def test_the_upstreams_refusal_is_a_typed_result(ask, failure, problem):
    world = make_world()
    world.failures["posts.create"] = failure
    answer = await ask(world, CREATE_POST, input={"title": "x"})
    assert answer.errors == []
    assert answer.data["r"]["__typename"] == problem


@pytest.mark.parametrize(("write", "variables", "call"), EVERY_WRITE)
async def test_needs_a_viewer(ask, write, variables, call):
    world = make_world_to_write()
    context = make_context(world, signed_in=False)
    answer = await ask(world, write, context=context, **variables)
    assert answer.codes == ["UNAUTHENTICATED"]
    assert world.calls == []


@pytest.mark.parametrize(("write", "variables", "call"), EVERY_WRITE)
async def test_a_write_that_surely_failed_is_an_error(ask, write, variables, call):
    world = make_world_to_write()
    world.failures[call] = UpstreamUnavailableError("refused")
    answer = await ask(world, write, **variables)
    assert answer.codes == ["UPSTREAM_UNAVAILABLE"]
    assert "outcomeUnknown" not in answer.errors[0]["extensions"]
    assert world.called_names[-1] == call


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(("write", "variables", "call"), EVERY_WRITE)
async def test_an_unknown_outcome_is_looked_up_and_never_guessed(
    ask, write, variables, call, done
):
    world = make_world_to_write()
    world.failures[call] = UpstreamTimeoutError("504", outcome_unknown=True)
    if done:
        world.done_all_the_same.add(call)
    answer = await ask(world, write, **variables)
    assert world.called_names.count(call) == 1
    if done:
        assert answer.errors == []
        assert answer.data["r"]["__typename"].endswith("Success")
    else:
        assert answer.codes == ["UPSTREAM_TIMEOUT"]
        assert answer.errors[0]["extensions"]["outcomeUnknown"] is True


@pytest.mark.parametrize("failure", [UpstreamError, UpstreamResponseError])
@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(("write", "variables", "call"), EVERY_WRITE)
async def test_a_failure_within_the_upstream_may_have_done_the_work(
    ask, write, variables, call, done, failure
):
    world = make_world_to_write()
    world.failures[call] = failure("500", status=500)
    if done:
        world.done_all_the_same.add(call)
    answer = await ask(world, write, **variables)
    assert world.called_names.count(call) == 1
    if done:
        assert answer.data["r"]["__typename"].endswith("Success")
    else:
        assert answer.errors[0]["extensions"]["outcomeUnknown"] is True


async def test_an_unknown_outcome_that_nobody_can_look_up_stays_unknown(ask):
    world = make_world(notes=2)
    world.failures["notes.create"] = UpstreamTimeoutError("504", outcome_unknown=True)
    world.failures["notes.by_ids"] = UpstreamUnavailableError("down")
    answer = await ask(world, CREATE_NOTE, input={"body": "x"})
    assert answer.codes == ["UPSTREAM_TIMEOUT"]
    assert answer.errors[0]["extensions"]["outcomeUnknown"] is True


async def test_a_later_field_of_the_same_operation_sees_the_write(ask):
    world = make_world(notes=1)
    context = make_context(world)
    assert (await context.loaders.notes.load(note_id(0))).id == note_id(0)
    await ask(world, DELETE_NOTE, context=context, id=note_id(0))
    assert await context.loaders.notes.load(note_id(0)) is None
