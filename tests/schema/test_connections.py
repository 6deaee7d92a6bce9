"""Connections through the whole schema: walking, orders, filters, refused arguments."""

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.flux.records import FluxNote
from clients.keyset import Keyset
from resolvers.ids import global_id
from tests.resolvers.stubs import (
    flux_time,
    make_world,
    note_id,
    post_id,
    user_id,
)
from tests.schema.asking import ask as ask_schema

PAGE = (
    "edges { cursor node { id } } "
    "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
)


async def walk(world, field, *, size, backward, arguments="", change=lambda: None):
    """Ids of all rows, page by page, in the order in which the list has them."""
    way, mark = ("last", "before") if backward else ("first", "after")
    cursor, rows = None, []
    while True:
        answer = await ask_schema(
            world,
            f"query ($c: String) {{ list: {field}({way}: {size}, {mark}: $c{arguments})"
            f" {{ {PAGE} }} }}",
            c=cursor,
        )
        assert answer.errors == []
        page, info = answer.data["list"]["edges"], answer.data["list"]["pageInfo"]
        assert len(page) <= size
        assert info["startCursor"] == (page[0]["cursor"] if page else None)
        assert info["endCursor"] == (page[-1]["cursor"] if page else None)
        further, behind = info["hasNextPage"], info["hasPreviousPage"]
        if backward:
            further, behind = behind, further
        assert behind == (cursor is not None)
        ids = [edge["node"]["id"] for edge in page]
        rows = ids + rows if backward else rows + ids
        if not further:
            return rows
        cursor = info["startCursor" if backward else "endCursor"]
        change()


ORDERS = {
    "notes": ["", ", orderBy: {direction: ASC}"],
    "posts": [
        "",
        ", orderBy: {direction: ASC}",
        ", orderBy: {field: TITLE, direction: ASC}",
        ", orderBy: {field: UPDATED_AT}",
        ', filter: {titleContains: "post"}',
        f', filter: {{authorId: "{user_id(1)}"}}',
        f', filter: {{authorId: "{user_id(1)}"}}, orderBy: {{field: TITLE}}',
    ],
}


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 12),
    size=st.integers(1, 5),
    list_=st.sampled_from([(f, o) for f in ORDERS for o in ORDERS[f]]),
)
def test_walking_either_way_shows_every_row_once_in_the_same_order(count, size, list_):
    field, arguments = list_

    async def both():
        world = make_world(posts=count, notes=count)
        forwards = await walk(
            world, field, size=size, backward=False, arguments=arguments
        )
        backwards = await walk(
            world, field, size=size, backward=True, arguments=arguments
        )
        whole = await ask_schema(
            world, f"{{ list: {field}(first: 100{arguments}) {{ nodes {{ id }} }} }}"
        )
        return forwards, backwards, [node["id"] for node in whole.data["list"]["nodes"]]

    forwards, backwards, whole = asyncio.run(both())
    assert forwards == whole
    assert backwards == whole


@pytest.mark.parametrize("backward", [False, True])
async def test_rows_that_come_and_go_never_shift_a_keyset_page(backward):
    world = make_world(notes=30)
    survivors = {
        global_id("Note", note.id)
        for note in world.notes
        if world.notes.index(note) % 5 != 4
    }
    doomed = [note for note in world.notes if world.notes.index(note) % 5 == 4]
    inserted = iter(range(100, 200))

    def change():
        if doomed:
            world.notes.remove(doomed.pop(0 if backward else -1))
        number = next(inserted)
        second = 2000 + number if not backward else -2
        time = flux_time(second) if second > 0 else "2020-01-01T00:00:00.000000+00:00"
        world.notes.append(FluxNote(note_id(number), f"Note {number}", time))

    rows = await walk(world, "notes", size=4, backward=backward, change=change)
    assert len(rows) == len(set(rows))
    assert survivors <= set(rows)


async def test_files_walk_forwards(ask):
    world = make_world(files=7)
    rows = await walk(world, "files", size=3, backward=False)
    assert rows == [global_id("File", file.id) for file in reversed(world.files)]


async def test_one_cursor_serves_the_notes_of_all_posts(ask):
    world = make_world(posts=2, notes=24)
    query = """query ($c: String) { posts { nodes {
      databaseId notes(first: 3, after: $c) { edges { cursor node { databaseId } } }
    } } }"""
    first = await ask(world, query)
    cursor = first.data["posts"]["nodes"][0]["notes"]["edges"][-1]["cursor"]
    world.calls.clear()
    second = await ask(world, query, c=cursor)
    assert second.errors == []
    assert world.called_names == ["posts.list_page", "notes.by_posts"]
    marked = first.data["posts"]["nodes"][0]["notes"]["edges"][-1]["node"]["databaseId"]
    place = next((n.created_at, n.id) for n in world.notes if n.id == marked)
    [lookup] = world.arguments_of("notes.by_posts")
    assert lookup["beyond"] == Keyset(*place)
    for post in second.data["posts"]["nodes"]:
        expected = sorted(
            (
                (n.created_at, n.id)
                for n in world.notes
                if n.post_id == post["databaseId"] and (n.created_at, n.id) < place
            ),
            reverse=True,
        )[:3]
        shown = [edge["node"]["databaseId"] for edge in post["notes"]["edges"]]
        assert shown == [id for _, id in expected]


async def test_a_page_is_twenty_and_notes_of_a_post_are_ten_unless_told(ask):
    world = make_world(posts=30, notes=60)
    world.notes = [
        msgspec.structs.replace(note, post_id=post_id(29)) for note in world.notes
    ]
    answer = await ask(
        world,
        "{ notes { nodes { id } } posts { nodes { "
        "notes { nodes { id } } all: notes(first: null) { nodes { id } } } } }",
    )
    assert answer.errors == []
    assert len(answer.data["notes"]["nodes"]) == 20
    posts = answer.data["posts"]["nodes"]
    assert len(posts) == 20
    assert len(posts[0]["notes"]["nodes"]) == len(posts[0]["all"]["nodes"]) == 10


async def test_nothing_stands_before_the_first_row_of_an_offset_list(ask):
    world = make_world(posts=3)
    list_ = "posts(orderBy: {field: TITLE} %s) { nodes { id } pageInfo { startCursor"
    first = await ask(world, f"{{ {list_ % 'first: 1'} }} }} }}")
    cursor = first.data["posts"]["pageInfo"]["startCursor"]
    world.calls.clear()
    before = f'last: 2, before: "{cursor}"'
    answer = await ask(world, f"{{ {list_ % before} hasNextPage }} }} }}")
    assert answer.data["posts"] == {
        "nodes": [],
        "pageInfo": {"startCursor": None, "hasNextPage": True},
    }
    assert world.calls == []


@pytest.mark.parametrize("field", ["notes", "posts"])
@pytest.mark.parametrize(
    "arguments",
    [
        "first: -1",
        "first: 101",
        "last: -1",
        "last: 101",
        "first: 1, last: 1",
        'first: 1, before: "x"',
        'last: 1, after: "x"',
        'after: "x", before: "x"',
        'after: "not a cursor"',
        'after: "😀"',
        'after: ""',
        f'after: "{"A" * 5000}"',
        'before: "!!"',
    ],
)
async def test_impossible_pages_are_refused_before_any_call(ask, field, arguments):
    world = make_world(notes=1, posts=1)
    answer = await ask(
        world, f"{{ {field}({arguments}) {{ nodes {{ id }} totalCount }} }}"
    )
    assert answer.data == {field: None}
    assert answer.codes == ["BAD_USER_INPUT"]
    assert world.calls == []


LISTS = [
    "notes",
    "notes(orderBy: {direction: ASC} %s)",
    'notes(filter: {bodyContains: "note"} %s)',
    "posts",
    "posts(orderBy: {direction: ASC} %s)",
    "posts(orderBy: {field: TITLE} %s)",
    "posts(orderBy: {field: UPDATED_AT} %s)",
    f'posts(filter: {{authorId: "{user_id(0)}"}} %s)',
    'posts(filter: {titleContains: "post"} %s)',
    "files",
]


def with_argument(list_, argument):
    return list_ % argument if "%s" in list_ else f"{list_}({argument})"


@pytest.mark.parametrize("other", LISTS)
@pytest.mark.parametrize("list_", LISTS)
async def test_a_cursor_works_in_its_own_list_only(ask, list_, other):
    world = make_world(notes=9, posts=9, files=9)
    page = "{ pageInfo { endCursor } }"
    first = await ask(world, f"{{ list: {with_argument(list_, 'first: 2')} {page} }}")
    cursor = first.data["list"]["pageInfo"]["endCursor"]
    after = with_argument(other, f'after: "{cursor}"')
    answer = await ask(world, f"{{ list: {after} {page} }}")
    assert answer.codes == ([] if list_ == other else ["BAD_USER_INPUT"])


async def test_filters_are_answered_by_the_upstream(ask):
    world = make_world(posts=6, notes=30)
    answer = await ask(
        world,
        """query ($post: ID, $author: ID, $from: DateTime, $to: DateTime) {
          notes(filter: {bodyContains: "NOTE 1", postId: $post, createdAfter: $from,
                         createdBefore: $to}) { nodes { body } }
          posts(filter: {authorId: $author, titleContains: "POST"}) { nodes { title } }
        }""",
        post=global_id("Post", post_id(1)),
        author=global_id("User", user_id(1)),
        **{"from": flux_time(8), "to": flux_time(18)},
    )
    assert answer.errors == []
    assert answer.data["notes"]["nodes"] == [{"body": "Note 13"}]
    assert answer.data["posts"]["nodes"] == [
        {"title": "Post 004"},
        {"title": "Post 001"},
    ]
    [notes] = world.arguments_of("notes.page")
    [posts] = world.arguments_of("posts.list_page")
    assert notes["conditions"].created_after == flux_time(8)
    assert (posts["author_id"], posts["title_contains"]) == (user_id(1), "POST")


@pytest.mark.parametrize("text", ["a\0b", "x" * 201, "\ud800"])
async def test_text_that_cannot_be_searched_for_is_refused(ask, text):
    world = make_world()
    answer = await ask(
        world,
        """query ($text: String) {
          notes(filter: {bodyContains: $text}) { nodes { id } }
          posts(filter: {titleContains: $text}) { nodes { id } }
        }""",
        text=text,
    )
    assert answer.codes == ["BAD_USER_INPUT"] * 2
    assert world.calls == []


async def test_an_empty_search_is_no_condition(ask):
    world = make_world(notes=2, posts=2)
    answer = await ask(
        world,
        '{ notes(filter: {bodyContains: ""}) { nodes { id } } '
        'posts(filter: {titleContains: ""}) { nodes { id } } }',
    )
    assert answer.errors == []
    [notes] = world.arguments_of("notes.page")
    assert notes["conditions"].body_contains is None


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-22T06:17:19.477Z",
        "2026-11-22T06:17:19.123456+00:00",
        "2026-11-22t06:17:19z",
        "2024-02-29T23:59:59-05:30",
    ],
)
async def test_rfc_3339_times_pass_as_they_are(ask, time):
    world = make_world()
    answer = await ask(
        world,
        "query ($t: DateTime) { notes(filter: {createdAfter: $t}) { nodes { id } } }",
        t=time,
    )
    assert answer.errors == []
    [page] = world.arguments_of("notes.page")
    assert page["conditions"].created_after == time.upper()


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-22",
        "2026-11-22T06:17:19",
        "2026-02-30T06:17:19Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T06:17:19+24:00",
        "2026-11-22 06:17:19Z",
        "yesterday",
        "",
        1,
        True,
        "\uff12026-11-22T06:17:19Z",
    ],
)
async def test_other_times_are_bad_input(ask, time):
    world = make_world()
    query = (
        "query ($t: DateTime) { notes(filter: {createdAfter: $t}) { nodes { id } } }"
    )
    answer = await ask(world, query, t=time)
    assert answer.codes == ["BAD_USER_INPUT"]
    assert world.calls == []


async def test_a_bad_time_in_the_document_is_bad_input_too(ask):
    world = make_world()
    answer = await ask(
        world, '{ notes(filter: {createdAfter: "soon"}) { nodes { id } } }'
    )
    assert answer.codes == ["BAD_USER_INPUT"]
    assert "RFC 3339" in answer.errors[0]["message"]
