"""A Conduit that lacks the by-ids endpoints, or guards its files: the same graph."""

import io
import logging
from typing import Any

import pytest
from own_conduit import OwnConduit
from writes import CREATE_POST, DELETE_POST, UPDATE_POST, signed_in

from harness import Caller, Sandbox, caller_of, running_app
from sandbox.conduit.settings import Client
from server.check import run_check
from server.settings import Settings

NODES = """query ($ids: [ID!]!) { nodes(ids: $ids) {
  __typename ... on Post { title author { username } coverFile { name } }
  ... on File { name size }
} }"""
BY_IDS = ("GetPostsByIds", "GetFilesByIds")


def fill(conduit: OwnConduit, posts: int) -> list[str]:
    """So many posts with covers; the ids of them all, and of one that is gone."""
    me = conduit.join("me")
    ids = []
    for number in range(posts):
        cover = conduit.state.add_file(f"{number}.png", b"x", owner=me)
        post = conduit.state.add_post(f"{number}", me, cover_file=cover["_id"])
        ids.append(str(post["_id"]))
    return ids


def global_ids(kind: str, ids: list[str]) -> list[str]:
    from resolvers.ids import global_id

    return [global_id(kind, id) for id in ids]  # type: ignore[arg-type]


async def test_without_its_endpoints_conduit_is_asked_by_aliases_of_one_field(
    sandbox: Sandbox, conduit: OwnConduit, caplog: pytest.LogCaptureFixture
) -> None:
    ids = fill(conduit, 120)
    conduit.take_away(*BY_IDS)
    asked = global_ids("Post", [*ids, conduit.state.new_id()])[-100:]
    conduit.join("me")
    settings = {**sandbox.environment, **conduit.environment}
    with caplog.at_level(logging.WARNING, "mainstem.conduit"):
        async with running_app(settings) as app:
            told = [record.getMessage() for record in caplog.records]
            detection = conduit.calls()
            async with caller_of(app) as me:
                await me.sign_in("me")
                conduit.forget()
                data = await me.data(NODES, ids=asked)
    expected: list[Any] = [
        {
            "__typename": "Post",
            "title": str(number),
            "author": {"username": "me"},
            "coverFile": {"name": f"{number}.png"},
        }
        for number in range(21, 120)
    ]
    assert data["nodes"] == [*expected, None]
    # Found out at the start, and told; so no query has to.
    assert [message.partition(":")[0] for message in told] == [
        f"Conduit lacks {name}" for name in BY_IDS
    ]
    assert detection == [
        ("GET", "/database/Post"),
        *(("GET", f"/database/function/{name}") for name in (*BY_IDS, "GetUsersByIds")),
        ("POST", "/graphql"),
    ]
    # Fifty aliases a request.
    assert conduit.calls() == [("POST", "/graphql")] * 2


async def test_without_graphql_too_documents_are_read_singly(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    ids = fill(conduit, 5)
    conduit.take_away(*BY_IDS)
    conduit.fail("/graphql", status=404, body="<html>Cannot POST /graphql</html>")
    asked = global_ids("Post", [*ids, conduit.state.new_id()])
    async with signed_in(sandbox, conduit, "me") as me:
        data = await me.data(NODES, ids=asked)
        files = [file["_id"] for file in conduit.state.collections["File"].in_order()]
        names = await me.data(NODES, ids=global_ids("File", [*files, files[0]]))
    assert [node and node["title"] for node in data["nodes"]] == [*"01234", None]
    assert data["nodes"][0]["coverFile"] == {"name": "0.png"}
    assert sorted(node["name"] for node in names["nodes"][:5]) == [
        f"{number}.png" for number in range(5)
    ]
    singly = [path for _, path in conduit.calls() if path.startswith("/database/Post/")]
    assert len(singly) == 6


async def test_aliases_renew_a_token_that_is_refused_within_a_200(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    ids = fill(conduit, 3)
    conduit.take_away(*BY_IDS)
    async with signed_in(sandbox, conduit, "me") as me:
        await me.data(NODES, ids=global_ids("Post", ids))
        refusal = {
            "errors": [
                {
                    "message": "Token is expired or otherwise not valid",
                    "path": ["a0"],
                    "extensions": {"code": 401},
                }
            ],
            "data": {"a0": None},
        }
        conduit.fail("/graphql", status=200, body=refusal, times=1)
        conduit.forget()
        data = await me.data(NODES, ids=global_ids("Post", ids))
    assert [node["title"] for node in data["nodes"]] == [*"012"]
    assert ("POST", "/authentication/renew") in conduit.calls()


BY_AUTHOR = """query ($author: ID!, $after: String) {
  viewer { posts(first: 2, after: $after) {
    totalCount nodes { title author { username } } pageInfo { endCursor hasNextPage }
  } }
  posts(first: 1, filter: { authorId: $author }, orderBy: { field: TITLE }) {
    nodes { title }
  }
}"""


async def test_the_guides_plain_endpoint_serves_pages_of_an_author(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    fill(conduit, 5)
    conduit.make_plain("GetPostsByAuthor")
    titles: list[str] = []
    after = None
    async with signed_in(sandbox, conduit, "me") as me:
        for _ in range(3):
            data = await me.data(BY_AUTHOR, author=conduit.join("me"), after=after)
            page = data["viewer"]["posts"]
            titles += [node["title"] for node in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
            assert page["totalCount"] == 5
            assert {node["author"]["username"] for node in page["nodes"]} == {"me"}
            assert data["posts"]["nodes"] == [{"title": "4"}]
    assert sorted(titles) == [*"01234"]
    assert not page["pageInfo"]["hasNextPage"]


async def test_writes_work_without_any_endpoint(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    conduit.take_away(*(each.name for each in conduit.state.declared.endpoints))
    cover = conduit.state.add_file("cover.png", b"x")
    async with signed_in(sandbox, conduit, "me") as me:
        input = {"title": "t", "coverFileId": cover["_id"]}
        made = await me.data(
            CREATE_POST.replace("author { username } ", ""), input=input
        )
        post = made["r"]["post"]
        assert post["coverFile"] == {"name": "cover.png"}
        change = {"id": post["id"], "title": "u"}
        changed = await me.data(
            UPDATE_POST.replace("author { username } ", ""), input=change
        )
        assert changed["r"]["post"]["title"] == "u"
        gone = await me.data(DELETE_POST, id=post["id"])
        assert gone["r"]["deletedId"] == post["id"]


CLIENT = {"CONDUIT_CLIENT_ID": "mainstem", "CONDUIT_CLIENT_SECRET": "sesame-open"}


async def test_a_conduit_that_asks_who_its_client_is_is_told_with_every_call(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    """Its refusal is plain text and says nothing about the person: no renewal, and the
    session stays (recording auth_settings)."""
    settings = conduit.state.settings
    settings.client_validation = True
    settings.clients = [Client("mainstem", "sesame-open")]
    async with signed_in(sandbox, conduit, "me", **CLIENT) as me:
        conduit.state.add_post("one", conduit.join("me"))
        expected = {"posts": {"nodes": [{"title": "one"}]}}
        assert await me.data("{ posts { nodes { title } } }") == expected
        settings.clients = [Client("mainstem", "another")]
        conduit.forget()
        refused = await me("{ posts { nodes { title } } viewer { email } }")
        codes = {error["extensions"]["code"] for error in refused["errors"]}
        assert codes == {"UPSTREAM_MISCONFIGURED"}
        assert ("POST", "/authentication/renew") not in conduit.calls()
        settings.clients = [Client("mainstem", "sesame-open")]
        assert await me.data("{ posts { nodes { title } } }") == expected


async def test_a_schema_without_body_is_sent_no_patch_of_nothing(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    conduit.take_from_post("body")
    async with signed_in(sandbox, conduit, "me") as me:
        id = str(conduit.state.add_post("one", conduit.join("me"))["_id"])
        conduit.forget()
        refused = await me(UPDATE_POST, input={"id": id, "body": "text"})
        assert [method for method, _ in conduit.calls()] == ["GET"]
        renamed = await me.data(UPDATE_POST, input={"id": id, "title": "two"})
    (error,) = refused["errors"]
    assert error["extensions"]["code"] == "UPSTREAM_MISCONFIGURED"
    assert "outcomeUnknown" not in error["extensions"]
    assert renamed["r"]["post"]["title"] == "two"


async def test_the_check_names_what_is_absent_and_what_stands_in(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    conduit.take_away("GetFilesByIds", "PostsBefore")
    settings = Settings.from_env({**sandbox.environment, **conduit.environment})
    out = io.StringIO()
    assert await run_check(settings, out) == 1
    (line,) = (line for line in out.getvalue().splitlines() if "absent:" in line)
    assert "absent: GetFilesByIds, PostsBefore. " in line
    assert "aliases over /graphql" in line
    assert "[FOUND] Conduit: 404 as an HTML page" in out.getvalue()


COVERS = """{ posts(first: 10, orderBy: { field: TITLE, direction: ASC }) {
  nodes { title coverFile { name size } } } }"""


async def test_guarded_files_come_by_storages_own_routes_only(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    conduit.state.settings.storage_authorization = True
    fill(conduit, 3)
    hidden = conduit.state.add_file("hidden.png", b"x", owner=conduit.join("you"))
    conduit.state.add_post("9", conduit.join("you"), cover_file=hidden["_id"])
    async with signed_in(
        sandbox, conduit, "me", CONDUIT_STORAGE_AUTHORIZATION="on"
    ) as me:
        data = await me.data(COVERS)
        covers = [post["coverFile"] for post in data["posts"]["nodes"]]
        assert covers == [
            *({"name": f"{n}.png", "size": 1} for n in range(3)),
            None,
        ]
        requests = [(each.path, each.query) for each in conduit.faulty.requests]
        assert [path for path, _ in requests] == ["/database/Post", "/graphql"]
        assert "coverFile" not in requests[0][1]
        file = await me.data(
            "query ($id: ID!) { file(id: $id) { name } }", id=hidden["_id"]
        )
        assert file == {"file": None}
        made = await me.data(
            CREATE_POST, input={"title": "x", "coverFileId": hidden["_id"]}
        )
        assert made["r"]["field"] == "coverFileId"
        conduit.forget()
        listed = await me("{ files { nodes { name } } viewer { username } }")
    assert listed["data"] == {"files": None, "viewer": {"username": "me"}}
    (error,) = listed["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert conduit.calls() == [("GET", "/authentication/user")]


async def test_guarded_files_may_not_be_shown_by_the_default_setting_of_a_guard(
    me: Caller, conduit: OwnConduit
) -> None:
    """Why there is a setting: populate goes past storage's rules (conduit.md §12)."""
    conduit.state.settings.storage_authorization = True
    hidden = conduit.state.add_file("hidden.png", b"x", owner=conduit.join("you"))
    conduit.state.add_post("9", conduit.join("you"), cover_file=hidden["_id"])
    data = await me.data(COVERS)
    assert data["posts"]["nodes"][0]["coverFile"] == {"name": "hidden.png", "size": 1}


SCOPED = """query ($id: ID!, $scope: String) {
  post(id: $id, scope: $scope) { title }
  posts(scope: $scope, filter: { titleContains: "" }) {
    totalCount nodes { title } pageInfo { endCursor }
  }
  later: posts(scope: $scope, first: 1, orderBy: { direction: ASC }) {
    nodes { title } pageInfo { endCursor }
  }
}"""


async def test_posts_are_read_and_written_in_a_scope(
    me: Caller, conduit: OwnConduit
) -> None:
    conduit.guard_posts()
    team = f"Team:{conduit.state.teams.insert({'name': 'Crew'})['_id']}"
    conduit.state.relations.give_role(f"User:{conduit.join('me')}", "owner", team)
    await me.data(CREATE_POST, input={"title": "mine"})
    made = await me.data(CREATE_POST, input={"title": "ours", "scope": team})
    await me.data(CREATE_POST, input={"title": "ours too", "scope": team})
    id = made["r"]["post"]["id"]
    everything = await me.data(SCOPED, id=id)
    assert everything["posts"]["totalCount"] == 3
    ours = await me.data(SCOPED, id=id, scope=team)
    assert ours["post"] == {"title": "ours"}
    assert {post["title"] for post in ours["posts"]["nodes"]} == {"ours", "ours too"}
    assert ours["posts"]["totalCount"] == 2
    next_page = await me.data(
        """query ($scope: String, $after: String) {
          posts(scope: $scope, after: $after, orderBy: { direction: ASC }) {
            totalCount nodes { title }
          }
        }""",
        scope=team,
        after=ours["later"]["pageInfo"]["endCursor"],
    )
    assert next_page["posts"] == {"totalCount": 2, "nodes": [{"title": "ours too"}]}
    alone = await me.data(SCOPED, id=id, scope=f"User:{conduit.join('me')}")
    assert alone["post"] is None
    assert [post["title"] for post in alone["posts"]["nodes"]] == ["mine"]


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ("Team:00000000-0000-4000-8000-000000000000", "FORBIDDEN"),
        ("nonsense", "BAD_USER_INPUT"),
        ("a,b", "BAD_USER_INPUT"),
    ],
)
async def test_a_scope_that_is_not_the_viewers_is_refused(
    me: Caller, conduit: OwnConduit, scope: str, code: str
) -> None:
    conduit.guard_posts()
    answer = await me(
        "query ($scope: String) { posts(scope: $scope) { nodes { id } } }", scope=scope
    )
    assert answer["data"] == {"posts": None}
    assert answer["errors"][0]["extensions"]["code"] == code
