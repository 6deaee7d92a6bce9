"""A project of its own: PostgREST without the gateway, reached by its profile header.

Real PostgreSQL and the stand-in's direct face (flux.md §3, recording 18): here the
token's `role` counts, the schema must be named, and a refusal is PostgreSQL's own.
Everything twice: with PostgREST 12, and with what 14 answers instead (recording 21).
"""

from collections.abc import AsyncIterator, Iterator

import pytest
from own_conduit import OwnConduit
from own_flux import PROJECT, OwnDatabase, own_database, own_flux
from writes import CREATE_NOTE, DELETE_NOTE, UPDATE_NOTE, signed_in

from harness import Sandbox
from sandbox.flux.dialect import DIALECTS

POSTS = """{ posts { nodes { title notes { totalCount nodes { body } } } } }"""


@pytest.fixture(scope="module")
def database() -> Iterator[OwnDatabase]:
    with own_database() as database:
        yield database


@pytest.fixture(params=DIALECTS)
async def environment(
    database: OwnDatabase, request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, str]]:
    """The settings for this project."""
    async with own_flux(database, request.param) as flux:
        yield flux.environment


async def test_notes_live_and_die_and_belong_to_one_person(
    sandbox: Sandbox, conduit: OwnConduit, environment: dict[str, str]
) -> None:
    async with signed_in(sandbox, conduit, "me", **environment) as me:
        post = conduit.state.add_post("about", conduit.join("me"))["_id"]
        input = {"body": "one", "postId": post, "idempotencyKey": "a key"}
        made = await me.data(CREATE_NOTE, input=input)
        assert await me.data(CREATE_NOTE, input=input) == made
        id = made["r"]["note"]["id"]
        await me.data(UPDATE_NOTE, input={"id": id, "body": "two"})
        about = await me.data(POSTS)
        assert about["posts"]["nodes"][0]["notes"] == {
            "totalCount": 1,
            "nodes": [{"body": "two"}],
        }
        async with signed_in(sandbox, conduit, "you", **environment) as you:
            theirs = await you.data(DELETE_NOTE, id=id)
            assert theirs["r"]["__typename"] == "NotFound"
            assert (await you.data("{ notes { totalCount } }")) == {
                "notes": {"totalCount": 0}
            }
        gone = await me.data(DELETE_NOTE, id=id)
        assert gone["r"]["deletedId"] == id


PAGES = """query ($last: String, $first: String, $id: ID!) {
  before: notes(last: 2, before: $last) { nodes { body } }
  after: notes(first: 2, after: $first) { nodes { body } }
  found: notes(filter: { bodyContains: "O. 3" }) { nodes { body } }
  notes(first: 1) { totalCount nodes { body } }
  note(id: $id) { body }
}"""


async def test_notes_are_paged_counted_and_searched(
    sandbox: Sandbox, conduit: OwnConduit, environment: dict[str, str]
) -> None:
    async with signed_in(sandbox, conduit, "reader", **environment) as reader:
        made = [
            await reader.data(CREATE_NOTE, input={"body": f"no. {number}"})
            for number in range(4)
        ]
        edges = await reader.data("{ notes { edges { cursor node { id } } } }")
        newest, *_, oldest = edges["notes"]["edges"]
        data = await reader.data(
            PAGES,
            last=oldest["cursor"],
            first=newest["cursor"],
            id=made[0]["r"]["note"]["id"],
        )
    assert data == {
        "before": {"nodes": [{"body": "no. 2"}, {"body": "no. 1"}]},
        "after": {"nodes": [{"body": "no. 2"}, {"body": "no. 1"}]},
        "found": {"nodes": [{"body": "no. 3"}]},
        "notes": {"totalCount": 4, "nodes": [{"body": "no. 3"}]},
        "note": {"body": "no. 0"},
    }


async def test_the_schema_need_not_be_named_where_it_is_the_first(
    sandbox: Sandbox, conduit: OwnConduit, database: OwnDatabase
) -> None:
    """As on a project of its own, whose only schema it may be (recording 18)."""
    async with own_flux(database, schemas=(PROJECT.schema,)) as flux:
        settings = flux.environment | {"FLUX_POSTGREST_SCHEMA": ""}
        async with signed_in(sandbox, conduit, "me", **settings) as me:
            made = await me.data(CREATE_NOTE, input={"body": "one"})
            gone = await me.data(DELETE_NOTE, id=made["r"]["note"]["id"])
    assert gone["r"]["deletedId"] == made["r"]["note"]["id"]


CUT = """{
  notes(first: 7) { pageInfo { hasNextPage } nodes { body } }
  posts(first: 4) { nodes { notes(first: 3) {
    totalCount pageInfo { hasNextPage } nodes { body }
  } } }
}"""


async def test_a_project_that_cuts_its_answers_loses_no_note(
    sandbox: Sandbox, conduit: OwnConduit, database: OwnDatabase
) -> None:
    """Tried without FLUX_MAX_ROWS: the third post lacks a note, the fourth all."""
    author = conduit.join("cut")
    limits = {"FLUX_MAX_ROWS": "8", "LIMIT_PAGE_SIZE": "7"}
    async with own_flux(database, max_rows=8) as flux:
        settings = flux.environment | limits
        async with signed_in(sandbox, conduit, "cut", **settings) as me:
            for number in range(4):
                post = conduit.state.add_post(f"{number}", author)["_id"]
                for body in ("a", "b", "c"):
                    await me.data(CREATE_NOTE, input={"body": body, "postId": post})
            data = await me.data(CUT)
    assert len(data["notes"]["nodes"]) == 7
    assert data["notes"]["pageInfo"]["hasNextPage"]
    newest = [{"body": body} for body in "cba"]
    assert [post["notes"] for post in data["posts"]["nodes"]] == [
        {"totalCount": 3, "pageInfo": {"hasNextPage": False}, "nodes": newest}
    ] * 4


async def test_a_role_without_the_right_is_forbidden_by_postgresql(
    sandbox: Sandbox, conduit: OwnConduit, environment: dict[str, str]
) -> None:
    async with signed_in(sandbox, conduit, "me", **environment) as me:
        made = await me.data(CREATE_NOTE, input={"body": "mine"})
    id = made["r"]["note"]["id"]
    async with signed_in(
        sandbox, conduit, "me", **environment, FLUX_JWT_ROLE="readers"
    ) as me:
        assert (await me.data("{ notes { nodes { body } } }"))["notes"]["nodes"] == [
            {"body": "mine"}
        ]
        answers = [
            await me.data(CREATE_NOTE, input={"body": "x"}),
            await me.data(UPDATE_NOTE, input={"id": id, "body": "x"}),
            await me.data(DELETE_NOTE, id=id),
        ]
    assert [answer["r"]["__typename"] for answer in answers] == ["Forbidden"] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"FLUX_POSTGREST_SCHEMA": ""},
        {"FLUX_POSTGREST_SCHEMA": "secret_api"},
        {"FLUX_JWT_SECRET": "x" * 48},
        {"FLUX_JWT_ROLE": "nobody_here"},
    ],
    ids=str,
)
async def test_a_wrong_setting_is_the_operators_to_mend(
    sandbox: Sandbox,
    conduit: OwnConduit,
    environment: dict[str, str],
    wrong: dict[str, str],
) -> None:
    async with signed_in(sandbox, conduit, "me", **(environment | wrong)) as me:
        answer = await me("{ notes { nodes { body } } viewer { username } }")
        assert answer["data"] == {"notes": None, "viewer": {"username": "me"}}
        code = answer["errors"][0]["extensions"]["code"]
        assert code == "UPSTREAM_MISCONFIGURED"
        written = await me(CREATE_NOTE, input={"body": "x"})
    assert written["errors"][0]["extensions"]["code"] == "UPSTREAM_MISCONFIGURED"
    assert "outcomeUnknown" not in written["errors"][0]["extensions"]
