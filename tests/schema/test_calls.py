"""How many upstream calls an operation costs: the data and the calls, side by side."""

import asyncio

import pytest

from clients.flux.records import NoteConditions
from resolvers.ids import global_id
from tests.resolvers.stubs import (
    file_id,
    make_context,
    make_world,
    note_id,
    post_id,
    user_id,
)

SIZES = pytest.mark.parametrize("size", [1, 20, 100])


@SIZES
async def test_posts_with_author_and_cover_beside_notes_cost_two_calls(ask, size):
    world = make_world(posts=size, notes=size, files=5)
    answer = await ask(
        world,
        """query ($n: Int) {
          posts(first: $n) { nodes { title author { username } coverFile { name } } }
          notes(first: $n) { nodes { body } }
        }""",
        n=size,
    )
    assert answer.errors == []
    posts, notes = answer.data["posts"]["nodes"], answer.data["notes"]["nodes"]
    assert [post["title"] for post in posts] == [
        f"Post {n:03}" for n in reversed(range(size))
    ]
    assert posts[-1]["author"] == {"username": "user0"}
    assert posts[-1]["coverFile"] == {"name": "file0.png"}
    assert [note["body"] for note in notes] == [
        f"Note {n}" for n in reversed(range(size))
    ]
    assert sorted(world.called_names) == ["notes.page", "posts.list_page"]


@SIZES
async def test_the_same_under_the_viewer_costs_three_calls(ask, size):
    world = make_world(posts=size, notes=size, files=5)
    answer = await ask(
        world,
        """query ($n: Int) {
          viewer { email notes(first: $n) { nodes { body } } user { username } }
          posts(first: $n) { nodes { title author { username } coverFile { name } } }
        }""",
        n=size,
    )
    assert answer.errors == []
    assert answer.data["viewer"]["email"] == "first@example.com"
    assert answer.data["viewer"]["user"] == {"username": "first"}
    assert len(answer.data["viewer"]["notes"]["nodes"]) == size
    assert sorted(world.called_names) == ["notes.page", "posts.list_page", "viewer"]


@SIZES
async def test_posts_each_with_their_newest_notes_cost_two_calls(ask, size):
    world = make_world(posts=size, notes=10 * size, files=5)
    answer = await ask(
        world,
        """query ($n: Int) { posts(first: $n) { nodes {
          databaseId author { username } coverFile { name }
          notes(first: 5) { nodes { body post { databaseId } } }
        } } }""",
        n=size,
    )
    assert answer.errors == []
    for post in answer.data["posts"]["nodes"]:
        about = [n for n in world.notes if n.post_id == post["databaseId"]]
        newest = sorted(about, key=lambda n: (n.created_at, n.id), reverse=True)[:5]
        notes = post["notes"]["nodes"]
        assert [note["body"] for note in notes] == [note.body for note in newest]
        assert all(n["post"]["databaseId"] == post["databaseId"] for n in notes)
    assert world.called_names == ["posts.list_page", "notes.by_posts"]
    [lookup] = world.arguments_of("notes.by_posts")
    assert len(lookup["post_ids"]) == size
    assert lookup["per_post"] == 6


@pytest.mark.parametrize("size", [1, 20, 33])
async def test_nodes_of_three_kinds_cost_three_calls_and_keep_the_order(ask, size):
    world = make_world(posts=size, notes=size, files=size)
    ids = [
        global_id(kind, key(n))
        for n in range(size)
        for kind, key in (("File", file_id), ("Post", post_id), ("Note", note_id))
    ]
    answer = await ask(
        world,
        """query ($ids: [ID!]!) { nodes(ids: $ids) {
          id ... on Post { author { username } } ... on File { previewUrl }
        } }""",
        ids=ids,
    )
    assert answer.errors == []
    assert [node["id"] for node in answer.data["nodes"]] == ids
    assert sorted(world.called_names) == [
        "files.by_ids",
        "notes.by_ids",
        "posts.by_ids",
    ]


@pytest.mark.parametrize("size", [1, 50, 100])
async def test_notes_each_with_post_and_its_author_cost_two_calls(ask, size):
    world = make_world(posts=size, notes=size)
    answer = await ask(
        world,
        """query ($n: Int) { notes(first: $n) { nodes {
          post { title author { username } }
        } } }""",
        n=size,
    )
    assert answer.errors == []
    titles = [
        note["post"] and note["post"]["title"] for note in answer.data["notes"]["nodes"]
    ]
    assert titles == [f"Post {n:03}" if n % 3 else None for n in reversed(range(size))]
    assert world.called_names == ["notes.page", "posts.by_ids"][: 1 + (size > 1)]


async def test_asks_only_for_selected_columns_and_relations(ask):
    world = make_world(posts=3, notes=3)
    await ask(world, "{ notes { nodes { body } } posts { nodes { title } } }")
    [notes] = world.arguments_of("notes.page")
    [posts] = world.arguments_of("posts.list_page")
    assert notes["columns"] == {"id", "created_at", "body"}
    assert notes["count"] is False
    assert posts["populate"] == frozenset()


async def test_a_column_asked_for_in_one_place_is_there_for_every_place(ask):
    world = make_world(posts=3, notes=3)
    answer = await ask(
        world,
        """query ($id: ID!) {
          notes { nodes { id ...F } }
          node(id: $id) { ... on Note { body } }
        }
        fragment F on Node { ... on Note { updatedAt } }""",
        id=global_id("Note", note_id(1)),
    )
    assert answer.data["node"] == {"body": "Note 1"}
    [page] = world.arguments_of("notes.page")
    assert page["columns"] == {"id", "created_at", "body", "updated_at"}


async def test_equal_lists_are_read_once(ask):
    world = make_world(notes=5)
    answer = await ask(
        world,
        "{ a: notes { nodes { id } } b: notes { nodes { id } }"
        " viewer { notes { nodes { id } } } }",
    )
    assert answer.data["a"] == answer.data["b"] == answer.data["viewer"]["notes"]
    assert sorted(world.called_names) == ["notes.page", "viewer"]


async def test_posts_of_authors_cost_one_call_per_author_not_per_post(ask):
    world = make_world(posts=20, users=2)
    answer = await ask(
        world, "{ posts { nodes { author { posts(first: 2) { nodes { title } } } } } }"
    )
    assert answer.errors == []
    authors = {call["author_id"] for call in world.arguments_of("posts.list_page")[1:]}
    assert len(world.calls) == 3
    assert authors == {user_id(0), user_id(1)}


async def test_what_a_list_brought_is_not_fetched_again(ask):
    world = make_world(posts=3, notes=3, files=3)
    context = make_context(world)
    await ask(
        world,
        "{ posts { nodes { author { id } coverFile { id } } } notes { nodes { id } } }",
        context=context,
    )
    world.calls.clear()
    loaders = context.loaders
    assert (await loaders.posts.load(post_id(1))).title == "Post 001"
    assert (await loaders.users.load(user_id(1))).username == "user1"
    assert (await loaders.files.load(file_id(1))).name == "file1.png"
    assert (await loaders.notes.load(note_id(1))).id == note_id(1)
    assert world.calls == []


async def test_notes_of_posts_are_not_fetched_again(ask):
    world = make_world(posts=3, notes=9)
    context = make_context(world)
    await ask(
        world, "{ posts { nodes { notes { nodes { body } } } } }", context=context
    )
    world.calls.clear()
    assert (await context.loaders.notes.load(note_id(1))).body == "Note 1"
    assert world.calls == []


@pytest.mark.parametrize(
    "selection",
    [
        "totalCount",
        "... on NoteConnection { totalCount }",
        "...F",
        "totalCount @skip(if: $no)",
        "totalCount @include(if: true)",
    ],
)
async def test_counts_when_the_total_is_selected_in_any_way(ask, selection):
    world = make_world(notes=7)
    answer = await ask(
        world,
        f"query ($no: Boolean = false) {{ notes(first: 2) {{ nodes {{ id }} {selection}"
        " } a: viewer @skip(if: $no) { id } }"
        + (
            " fragment F on NoteConnection { totalCount }"
            if selection == "...F"
            else ""
        ),
    )
    assert answer.errors == []
    assert answer.data["notes"]["totalCount"] == 7
    [page] = world.arguments_of("notes.page")
    assert page["count"] is True
    assert "notes.count" not in world.called_names


@pytest.mark.parametrize("directive", ["@skip(if: $yes)", "@include(if: false)"])
async def test_does_not_count_when_the_total_is_left_out(ask, directive):
    world = make_world(notes=7)
    await ask(
        world,
        f"query ($yes: Boolean!) {{ notes {{ nodes {{ id }} totalCount {directive} }}"
        " viewer @skip(if: $yes) { id } }",
        yes=True,
    )
    [page] = world.arguments_of("notes.page")
    assert page["count"] is False


async def test_the_total_of_a_later_page_costs_one_call_more(ask):
    world = make_world(notes=9, posts=9, files=9)
    query = """query ($n: String, $p: String, $f: String) {
      notes(first: 2, after: $n) { nodes { id } totalCount pageInfo { endCursor } }
      posts(first: 2, after: $p) { nodes { id } totalCount pageInfo { endCursor } }
      files(first: 2, after: $f) { nodes { id } totalCount pageInfo { endCursor } }
    }"""
    first = await ask(world, query)
    assert len(world.calls) == 3
    cursors = {
        name: first.data[field]["pageInfo"]["endCursor"]
        for name, field in (("n", "notes"), ("p", "posts"), ("f", "files"))
    }
    world.calls.clear()
    second = await ask(world, query, **cursors)
    for answer in (first, second):
        assert answer.errors == []
        assert [answer.data[name]["totalCount"] for name in answer.data] == [9, 9, 9]
    assert sorted(world.called_names) == [
        "files.page",
        "files.page",
        "notes.count",
        "notes.page",
        "posts.beyond",
        "posts.count",
    ]


async def test_a_total_alone_reads_no_rows(ask):
    world = make_world(notes=9)
    answer = await ask(
        world, '{ notes(filter: {bodyContains: "note 1"}) { totalCount } }'
    )
    assert answer.data == {"notes": {"totalCount": 1}}
    assert world.calls == [
        ("notes.count", {"conditions": NoteConditions(body_contains="note 1")})
    ]


async def test_first_zero_is_an_empty_page_without_a_call(ask):
    world = make_world(notes=3, posts=3)
    answer = await ask(
        world,
        "{ notes(first: 0) { nodes { id } edges { cursor } } posts(first: 0) "
        "{ nodes { id } } }",
    )
    assert answer.errors == []
    assert answer.data["notes"] == {"nodes": [], "edges": []}
    assert world.calls == []


async def test_totals_of_notes_of_posts_cost_one_call_for_all(ask):
    world = make_world(posts=4, notes=20)
    answer = await ask(
        world,
        "{ posts { nodes { databaseId notes(first: 1) { edges { cursor } totalCount "
        "} } } }",
    )
    for post in answer.data["posts"]["nodes"]:
        about = [n for n in world.notes if n.post_id == post["databaseId"]]
        assert post["notes"]["totalCount"] == len(about)
    assert world.called_names == [
        "posts.list_page",
        "notes.by_posts",
        "notes.counts_by_posts",
    ]


async def test_interleaved_operations_share_no_loaders(ask):
    one, other = make_world(notes=3), make_world(notes=5)
    query = "{ notes { nodes { id } } }"
    answers = await asyncio.gather(*[ask(w, query) for w in (one, other) * 5])
    assert [len(answer.data["notes"]["nodes"]) for answer in answers] == [3, 5] * 5
    assert len(one.calls) == len(other.calls) == 5
