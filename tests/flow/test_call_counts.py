"""Upstream calls per operation, counted at the stand-ins, whatever the page size."""

import pytest

from harness import Caller, Sandbox

PAGE = """query ($n: Int!) {
  posts(first: $n) { nodes { title author { username } coverFile { previewUrl } } }
  notes(first: $n) { nodes { body createdAt } }
}"""

PAGE_WITH_VIEWER = """query ($n: Int!) {
  viewer { email }
  posts(first: $n) { nodes { title author { username } coverFile { previewUrl } } }
  notes(first: $n) { nodes { body createdAt } }
}"""

POSTS_WITH_NOTES = """query ($n: Int!) {
  posts(first: $n) { nodes {
    title author { username } coverFile { name }
    notes(first: 5) { nodes { body } }
  } }
}"""

NOTES_WITH_POSTS = """query ($n: Int!) {
  notes(first: $n) { nodes { body post { title author { username } } } }
}"""

ROWS = pytest.mark.parametrize("rows", [1, 20, 100])


@ROWS
async def test_posts_with_author_and_cover_beside_notes_cost_two_calls(
    first: Caller, sandbox: Sandbox, rows: int
) -> None:
    data = await first.data(PAGE, n=rows)
    assert len(data["posts"]["nodes"]) >= min(rows, 60)
    assert len(data["notes"]["nodes"]) == min(rows, 100)
    assert sandbox.calls() == [
        ("flux", "GET", "/notes"),
        ("conduit", "GET", "/database/Post"),
    ]


@ROWS
async def test_the_viewer_costs_one_call_more(
    first: Caller, sandbox: Sandbox, rows: int
) -> None:
    data = await first.data(PAGE_WITH_VIEWER, n=rows)
    assert data["viewer"] == {"email": "first@example.com"}
    assert sorted(sandbox.calls()) == [
        ("conduit", "GET", "/authentication/user"),
        ("conduit", "GET", "/database/Post"),
        ("flux", "GET", "/notes"),
    ]


@ROWS
async def test_the_newest_notes_of_all_posts_cost_one_call(
    first: Caller, sandbox: Sandbox, rows: int
) -> None:
    data = await first.data(POSTS_WITH_NOTES, n=rows)
    counts = [len(post["notes"]["nodes"]) for post in data["posts"]["nodes"]]
    assert len(counts) >= min(rows, 60)
    assert rows == 1 or any(counts)
    assert sorted(sandbox.calls()) == [
        ("conduit", "GET", "/database/Post"),
        ("flux", "POST", "/rpc/notes_by_post"),
    ]


@ROWS
async def test_nodes_of_three_kinds_cost_three_calls(
    first: Caller, sandbox: Sandbox, rows: int
) -> None:
    each = max(1, rows // 3)
    found = await first.data(
        """query ($n: Int!) {
          notes(first: $n) { nodes { id } }
          posts(first: $n) { nodes { id } }
          files(first: $n) { nodes { id } }
        }""",
        n=each,
    )
    ids = [node["id"] for kind in found.values() for node in kind["nodes"]]
    sandbox.forget()
    data = await first.data(
        """query ($ids: [ID!]!) { nodes(ids: $ids) {
          __typename id
          ... on Note { body } ... on Post { title } ... on File { name }
        } }""",
        ids=ids,
    )
    assert [node["id"] for node in data["nodes"]] == ids
    assert sorted(sandbox.calls()) == [
        ("conduit", "GET", "/database/function/GetFilesByIds"),
        ("conduit", "GET", "/database/function/GetPostsByIds"),
        ("flux", "GET", "/notes"),
    ]


@ROWS
async def test_notes_with_their_posts_and_authors_cost_two_calls(
    first: Caller, sandbox: Sandbox, rows: int
) -> None:
    data = await first.data(NOTES_WITH_POSTS, n=rows)
    posts = [note["post"] for note in data["notes"]["nodes"]]
    assert len(posts) == min(rows, 100)
    assert all(post["author"]["username"] for post in posts if post)
    calls = [("flux", "GET", "/notes")]
    if any(posts):
        calls.append(("conduit", "GET", "/database/function/GetPostsByIds"))
    assert sandbox.calls() == calls


async def test_total_counts_cost_no_further_call_on_a_first_page(
    first: Caller, sandbox: Sandbox
) -> None:
    data = await first.data("{ notes(first: 3) { totalCount } posts { totalCount } }")
    # At least the demo data: other tests may have written more.
    assert data["notes"]["totalCount"] >= 100
    assert data["posts"]["totalCount"] >= 60
    assert len(sandbox.calls()) == 2
