"""Conduit on MongoDB: ids of 24 hex digits, and posts that no note can be about."""

import msgspec

from resolvers.ids import global_id
from tests.resolvers.stubs import make_world

POST = "5f" * 12


def make_mongodb_world():
    world = make_world(posts=1, notes=2)
    world.posts = [msgspec.structs.replace(world.posts[0], id=POST)]
    return world


async def test_the_notes_of_its_posts_are_an_empty_list_without_a_call(ask):
    world = make_mongodb_world()
    answer = await ask(
        world,
        "{ posts { nodes { databaseId notes { totalCount nodes { body } } } } }",
    )
    assert answer.errors == []
    assert answer.data["posts"]["nodes"] == [
        {"databaseId": POST, "notes": {"totalCount": 0, "nodes": []}}
    ]
    asked = [call for name, call in world.calls if name.startswith("notes.")]
    assert all(call["post_ids"] == [] for call in asked)


async def test_its_posts_are_found_by_both_ids(ask):
    answer = await ask(
        make_mongodb_world(),
        "query ($a: ID!, $b: ID!) { a: post(id: $a) { id } b: node(id: $b) { id } }",
        a=POST.upper(),
        b=global_id("Post", POST),
    )
    assert answer.errors == []
    assert answer.data["a"] == answer.data["b"] == {"id": global_id("Post", POST)}


async def test_a_note_about_such_a_post_is_refused(ask):
    world = make_mongodb_world()
    answer = await ask(
        world,
        """mutation ($input: CreateNoteInput!) { createNote(input: $input) {
          __typename ... on InvalidInput { field message }
        } }""",
        input={"body": "x", "postId": POST},
    )
    assert answer.data["createNote"] == {
        "__typename": "InvalidInput",
        "field": "postId",
        "message": "Notes cannot be about this post.",
    }
    assert world.calls == []
