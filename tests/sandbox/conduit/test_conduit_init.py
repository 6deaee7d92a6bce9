"""conduit-init.json does what the clients rely on (conduit.md, section 12)."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.conduit import ConduitState

ROOT = Path(__file__).resolve().parents[3]
END_OF_TIME = {
    "createdAt": "2100-01-01T00:00:00.000Z",
    "id": "ffffffff-ffff-ffff-ffff-ffffffffffff",
}
START_OF_TIME = {
    "createdAt": "1970-01-01T00:00:00.000Z",
    "id": "00000000-0000-0000-0000-000000000000",
}


@pytest.fixture
def post_ids(state: ConduitState, signed_in: str) -> list[str]:
    """Fifty posts of two people, newest first; ten share each `createdAt`."""
    other = state.add_user("second@example.com", "secret-2")["_id"]
    posts = [
        state.add_post(
            f"Post {number}",
            (signed_in, other)[number % 2],
            created_at=f"2026-11-0{1 + number // 10}T08:00:00.000Z",
        )
        for number in range(50)
    ]
    posts.sort(key=lambda post: (post["createdAt"], post["_id"]), reverse=True)
    return [post["_id"] for post in posts]


async def pages(
    conduit: httpx.AsyncClient, endpoint: str, sort: str, **inputs: str
) -> list[str]:
    """All ids, seven at a time, each page beyond the last row of the one before."""
    found: list[str] = []
    while True:
        parameters = {"skip": "0", "limit": "7", "sort": sort, **inputs}
        answer = await conduit.get(f"/database/function/{endpoint}", params=parameters)
        documents = answer.raise_for_status().json()["documents"]
        if not documents:
            return found
        found += [document["_id"] for document in documents]
        last = documents[-1]
        inputs |= {"createdAt": last["createdAt"], "id": last["_id"]}


async def test_posts_before_walks_all_newest_first(
    conduit: httpx.AsyncClient, post_ids: list[str]
) -> None:
    found = await pages(conduit, "PostsBefore", "-createdAt,-_id", **END_OF_TIME)
    assert found == post_ids


async def test_posts_after_walks_all_oldest_first(
    conduit: httpx.AsyncClient, post_ids: list[str]
) -> None:
    found = await pages(conduit, "PostsAfter", "createdAt,_id", **START_OF_TIME)
    assert found == post_ids[::-1]


async def test_by_author_forms_walk_the_posts_of_one_author(
    conduit: httpx.AsyncClient,
    state: ConduitState,
    post_ids: list[str],
    signed_in: str,
) -> None:
    posts = state.collections["Post"]
    own = [id for id in post_ids if (posts.get(id) or {})["author"] == signed_in]
    down = {"sort": "-createdAt,-_id", "authorId": signed_in, **END_OF_TIME}
    up = {"sort": "createdAt,_id", "authorId": signed_in, **START_OF_TIME}
    assert len(own) == 25
    assert await pages(conduit, "PostsByAuthorBefore", **down) == own
    assert await pages(conduit, "PostsByAuthorAfter", **up) == own[::-1]


async def test_posts_by_author_are_paged_and_counted(
    conduit: httpx.AsyncClient, post_ids: list[str], signed_in: str
) -> None:
    parameters = {"authorId": signed_in, "skip": 20, "limit": 10, "sort": "title"}
    answer = await conduit.get("/database/function/GetPostsByAuthor", params=parameters)
    assert len(answer.json()["documents"]) == 5
    assert answer.json()["count"] == 25


@pytest.mark.parametrize(("with_author", "count"), [(False, 11), (True, 1)])
async def test_search_takes_an_author_or_none(
    conduit: httpx.AsyncClient,
    post_ids: list[str],
    signed_in: str,
    with_author: bool,
    count: int,
) -> None:
    parameters = {"title": "POST 4", "skip": "0", "limit": "5"}
    if with_author:
        parameters |= {"title": "Post 48", "authorId": signed_in}
    answer = await conduit.get("/database/function/SearchPosts", params=parameters)
    assert answer.json()["count"] == count


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("50%", ["50 percent", "50% off"]),
        ("50\\%", ["50% off"]),
        ("a_b", ["a_b", "axb"]),
        ("a\\_b", ["a_b"]),
        ("c\\\\d", ["c\\d"]),
        ("c\\d", []),
        ("OFF", ["50% off"]),
        ("50 percent\\", []),
    ],
)
async def test_search_has_the_wildcards_and_the_escape_of_ilike(
    conduit: httpx.AsyncClient,
    state: ConduitState,
    signed_in: str,
    title: str,
    found: list[str],
) -> None:
    for each in ("50 percent", "50% off", "a_b", "axb", "c\\d"):
        state.add_post(each, signed_in)
    parameters = {"title": title, "skip": "0", "limit": "9", "sort": "title"}
    answer = await conduit.get("/database/function/SearchPosts", params=parameters)
    assert [each["title"] for each in answer.json()["documents"]] == found


async def test_by_ids_endpoints_give_bare_lists(
    conduit: httpx.AsyncClient,
    state: ConduitState,
    post_ids: list[str],
    signed_in: str,
) -> None:
    file = state.add_file("a.txt", b"a")
    asked = {
        "GetPostsByIds": post_ids[:3],
        "GetUsersByIds": [signed_in],
        "GetFilesByIds": [file["_id"]],
    }
    for endpoint, ids in asked.items():
        answer = await conduit.get(
            f"/database/function/{endpoint}", params={"ids": ",".join(ids)}
        )
        assert {document["_id"] for document in answer.json()} == set(ids)


async def test_files_are_listed_newest_first(
    conduit: httpx.AsyncClient, state: ConduitState, signed_in: str
) -> None:
    files = [
        state.add_file(f"{day}.txt", b"x", created_at=f"2026-11-0{day}T08:00:00.000Z")
        for day in range(1, 10)
    ]
    found = await pages(conduit, "GetFiles", "-createdAt,-_id", **END_OF_TIME)
    assert found == [file["_id"] for file in reversed(files)]


async def test_title_and_body_may_be_longer_than_a_varchar(
    conduit: httpx.AsyncClient, signed_in: str
) -> None:
    post = {"title": "t" * 300, "body": "b" * 9_000, "author": signed_in}
    answer = await conduit.post("/database/Post", json=post)
    assert answer.status_code == 200
    assert answer.json()["title"] == post["title"]


def test_definitions_have_the_shape_that_the_admin_api_takes() -> None:
    init = json.loads((ROOT / "conduit-init.json").read_text())
    admin = ROOT / "tests" / "recordings" / "conduit" / "admin.json"
    bodies = [
        each["request"].get("body", {})
        for each in json.loads(admin.read_text())["exchanges"]
        if each["request"]["method"] == "POST" and each["response"]["status"] == 200
    ]

    def keys_of(field: str) -> set[str]:
        bodies_with: list[dict[str, Any]] = [each for each in bodies if field in each]
        assert bodies_with
        return set().union(*bodies_with)

    for schema in init["schemas"]:
        assert schema.keys() == keys_of("conduitOptions")
    for endpoint in init["customEndpoints"]:
        assert endpoint.keys() == keys_of("inputs") - {"selectedSchema"}
