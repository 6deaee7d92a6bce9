"""What the fields answer, kind by kind."""

import base64

import msgspec
import pytest

from clients.errors import NotAuthenticatedError
from resolvers.ids import global_id
from tests.resolvers.stubs import (
    ME,
    conduit_time,
    file_id,
    flux_time,
    make_context,
    make_world,
    note_id,
    post_id,
    user_id,
)


async def test_every_plain_field_of_every_type(ask):
    world = make_world(posts=2, notes=2, files=1)
    answer = await ask(
        world,
        """query ($note: ID!, $post: ID!, $file: ID!) {
          note(id: $note) { id databaseId body createdAt updatedAt }
          post(id: $post) { id databaseId title body createdAt updatedAt
            author { id databaseId username } }
          file(id: $file) { id databaseId name mimeType size isPublic createdAt
            updatedAt previewUrl download: previewUrl(download: true) data }
          viewer { id databaseId email username user { id databaseId username } }
        }""",
        note=note_id(1),
        post=global_id("Post", post_id(1)),
        file=file_id(0).upper(),
    )
    assert answer.errors == []
    assert answer.data == {
        "note": {
            "id": global_id("Note", note_id(1)),
            "databaseId": note_id(1),
            "body": "Note 1",
            "createdAt": flux_time(1),
            "updatedAt": None,
        },
        "post": {
            "id": global_id("Post", post_id(1)),
            "databaseId": post_id(1),
            "title": "Post 001",
            "body": None,
            "createdAt": conduit_time(1),
            "updatedAt": conduit_time(499),
            "author": {
                "id": global_id("User", user_id(1)),
                "databaseId": user_id(1),
                "username": "user1",
            },
        },
        "file": {
            "id": global_id("File", file_id(0)),
            "databaseId": file_id(0),
            "name": "file0.png",
            "mimeType": "image/png",
            "size": 100,
            "isPublic": False,
            "createdAt": conduit_time(0),
            "updatedAt": conduit_time(0),
            "previewUrl": f"/preview/{file_id(0)}",
            "download": f"/preview/{file_id(0)}?download=1",
            "data": base64.b64encode(f"bytes of {file_id(0)}".encode()).decode(),
        },
        "viewer": {
            "id": global_id("Viewer", ME),
            "databaseId": ME,
            "email": "first@example.com",
            "username": "first",
            "user": {
                "id": global_id("User", ME),
                "databaseId": ME,
                "username": "first",
            },
        },
    }


async def test_relations_that_are_gone_are_null_without_an_error(ask):
    world = make_world(posts=2, notes=2, files=1)
    world.users.clear()
    world.files.clear()
    note = msgspec.structs.replace(world.notes[1], post_id=post_id(99))
    world.notes[1] = note
    answer = await ask(
        world,
        "{ posts { nodes { author { id } coverFile { id } } } "
        "notes { nodes { post { id } } } }",
    )
    assert answer.errors == []
    gone = {"author": None, "coverFile": None}
    assert answer.data["posts"]["nodes"] == [gone, gone]
    assert answer.data["notes"]["nodes"] == [{"post": None}, {"post": None}]


@pytest.mark.parametrize("size", [256 * 1024 + 1, 10**9])
async def test_data_of_a_big_file_is_refused_before_any_call(ask, size):
    world = make_world(files=1)
    world.files[0] = msgspec.structs.replace(world.files[0], size=size)
    answer = await ask(world, "{ files { nodes { name data } } }")
    assert answer.data == {"files": {"nodes": [{"name": "file0.png", "data": None}]}}
    assert answer.codes == ["BAD_USER_INPUT"]
    assert "files.data" not in world.called_names


async def test_data_of_a_file_that_lied_about_its_size_is_refused(ask, monkeypatch):
    world = make_world(files=1)
    context = make_context(world)

    async def data(id):
        return "A" * (349_528 + 4)  # base64 of one group of three above 256 KiB

    monkeypatch.setattr(context.conduit.storage, "data", data)
    answer = await ask(world, "{ files { nodes { data } } }", context=context)
    assert answer.codes == ["BAD_USER_INPUT"]


class TestViewer:
    async def test_is_null_without_a_session_and_without_a_call(self, ask):
        world = make_world()
        anonymous = make_context(world, signed_in=False)
        answer = await ask(world, "{ viewer { id } }", context=anonymous)
        assert answer.data == {"viewer": None}
        assert answer.errors == []
        assert world.calls == []

    async def test_is_null_when_the_session_turns_out_to_be_dead(self, ask):
        world = make_world()
        world.failures["viewer"] = NotAuthenticatedError("no such record")
        answer = await ask(world, "{ viewer { id } }")
        assert answer.data == {"viewer": None}
        assert answer.errors == []

    async def test_is_asked_for_once(self, ask):
        world = make_world()
        await ask(world, "{ a: viewer { id } b: viewer { email } }")
        assert world.called_names == ["viewer"]

    async def test_own_posts_are_filtered_by_the_upstream(self, ask):
        world = make_world(posts=6)
        answer = await ask(
            world,
            "{ viewer { posts(first: 1) { nodes { title } pageInfo { endCursor } } } }",
        )
        posts = answer.data["viewer"]["posts"]
        assert posts["nodes"] == [{"title": "Post 003"}]
        answer = await ask(
            world,
            "query ($c: String) { viewer { posts(first: 1, after: $c) "
            "{ nodes { title } } } }",
            c=posts["pageInfo"]["endCursor"],
        )
        assert answer.data["viewer"]["posts"]["nodes"] == [{"title": "Post 000"}]
        assert world.arguments_of("posts.list_page")[0]["author_id"] == ME
        assert world.arguments_of("posts.beyond")[0]["author_id"] == ME


@pytest.mark.parametrize(
    "field",
    [
        'note(id: "00000000-0000-0000-0000-000000000001") { id }',
        "notes { nodes { id } }",
        "notes(first: 0) { nodes { id } }",
        'post(id: "00000000-0000-0000-0000-000000000001") { id }',
        "posts { nodes { id } }",
        'file(id: "00000000-0000-0000-0000-000000000001") { id }',
        "files { nodes { id } }",
        f'node(id: "{global_id("User", ME)}") {{ id }}',
    ],
)
async def test_everything_else_needs_a_viewer(ask, field):
    world = make_world(posts=1, notes=1, files=1)
    anonymous = make_context(world, signed_in=False)
    answer = await ask(world, f"{{ viewer {{ id }} {field} }}", context=anonymous)
    assert set(answer.data.values()) == {None}
    assert answer.codes == ["UNAUTHENTICATED"]
    assert world.calls == []


class TestNodes:
    async def test_of_every_kind(self, ask):
        world = make_world(posts=1, notes=1, files=1)
        ids = [
            global_id("Note", note_id(0)),
            global_id("Post", post_id(0)),
            global_id("File", file_id(0)),
            global_id("User", user_id(1)),
            global_id("Viewer", ME),
        ]
        answer = await ask(
            world,
            "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }",
            ids=ids,
        )
        kinds = ["Note", "Post", "File", "User", "Viewer"]
        assert answer.errors == []
        assert answer.data["nodes"] == [
            {"__typename": kind, "id": id} for kind, id in zip(kinds, ids, strict=True)
        ]

    async def test_unknown_hidden_and_other_viewers_are_null(self, ask):
        world = make_world()
        ids = [
            global_id("Note", note_id(5)),
            global_id("Post", post_id(5)),
            global_id("Viewer", user_id(1)),
        ]
        answer = await ask(
            world, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids
        )
        assert answer.errors == []
        assert answer.data["nodes"] == [None, None, None]

    async def test_a_malformed_id_fails_alone(self, ask):
        world = make_world(posts=1)
        good = global_id("Post", post_id(0))
        answer = await ask(
            world,
            "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }",
            ids=[good, "nonsense", good],
        )
        assert answer.data["nodes"] == [{"id": good}, None, {"id": good}]
        assert answer.codes == ["BAD_USER_INPUT"]
        assert answer.paths == [["nodes", 1]]

    async def test_at_most_a_hundred(self, ask):
        world = make_world()
        ids = [global_id("Note", note_id(n)) for n in range(101)]
        query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
        assert (await ask(world, query, ids=ids[:100])).errors == []
        answer = await ask(world, query, ids=ids)
        assert answer.codes == ["BAD_USER_INPUT"]
        assert len(world.calls) == 1


@pytest.mark.parametrize(
    "query",
    [
        'note(id: "{post}") {{ id }}',
        'post(id: "{note}") {{ id }}',
        'file(id: "{note}") {{ id }}',
        'note(id: "") {{ id }}',
        'note(id: "no id at all") {{ id }}',
        'node(id: "{raw}") {{ id }}',
        'notes(filter: {{postId: "{note}"}}) {{ nodes {{ id }} }}',
        'posts(filter: {{authorId: "{note}"}}) {{ nodes {{ id }} }}',
    ],
)
async def test_an_id_of_another_kind_is_refused_before_any_call(ask, query):
    world = make_world()
    ids = {
        "note": global_id("Note", note_id(1)),
        "post": global_id("Post", post_id(1)),
        "raw": note_id(1),
    }
    answer = await ask(world, "{ it: " + query.format(**ids) + " }")
    assert answer.data == {"it": None}
    assert answer.codes == ["BAD_USER_INPUT"]
    assert world.calls == []
