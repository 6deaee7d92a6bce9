"""Whose files are seen, deleted and told of, and where their bytes may come from.

Over a Conduit of the test's own, whose settings are an administrator's to change.
"""

from typing import Any

import pytest
from own_conduit import OwnConduit
from upload_harness import BIG, DELETE, PREFLIGHT, Upload, names_of, upload
from writes import CREATE_POST, signed_in

from harness import Caller, Sandbox, caller_of, running_app
from resolvers.ids import global_id

ONE = """query ($id: ID!) {
  file(id: $id) { name data }
}"""
EVERYWHERE = """query ($id: ID!, $file: ID!, $post: ID!) {
  file(id: $id) { name } node(id: $file) { id } nodes(ids: [$file]) { id }
  post(id: $post) { title coverFile { name } }
  posts { nodes { coverFile { name } } }
}"""


async def everywhere(caller: Caller, file_id: str, post_id: str) -> dict[str, Any]:
    """The file by every way that the graph has."""
    global_file_id = global_id("File", file_id)
    return await caller.data(EVERYWHERE, id=file_id, file=global_file_id, post=post_id)


async def test_a_token_never_goes_to_the_storage_host(
    me: Caller, conduit: OwnConduit
) -> None:
    for way in ("multipart", "PUT"):
        file_id = await Upload(name=way, key=way).by(way, me)
        path = f"/preview/{file_id}"
        for headers in ({}, {"Range": "bytes=0-9"}):
            assert (await me.http.get(path, headers=headers)).is_success
    seen = [(each.method, each.headers) for each in conduit.storage.requests]
    assert [method for method, _ in seen] == ["PUT", "GET", "GET"] * 2
    for _, headers in seen:
        assert not {"authorization", "cookie", "x-forwarded-for"} & set(headers)
    assert any("authorization" in each.headers for each in conduit.faulty.requests)


async def test_an_address_that_only_conduit_can_reach_is_rewritten(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    conduit.state.settings.file_server_url = "http://localhost:3100"
    rewrite = {
        "STORAGE_HOSTS": "",
        "STORAGE_REWRITE": f"localhost:3100={conduit.files}",
    }
    async with signed_in(sandbox, conduit, "me", **rewrite) as me:
        file_id = await Upload().by("PUT", me)
        answer = await me.http.get(f"/preview/{file_id}")
    assert answer.content == BIG
    assert "localhost:3100" not in str(answer.headers)


async def test_bytes_go_to_no_host_outside_the_list_and_no_record_is_left(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    kept = conduit.state.add_file("kept.png", b"x")["_id"]
    elsewhere = {"STORAGE_HOSTS": "files.example.com"}
    async with signed_in(sandbox, conduit, "me", **elsewhere) as me:
        for way in ("multipart", "PUT"):
            refused = await Upload(key=way).by(way, me)
            assert refused == ("UPSTREAM_MISCONFIGURED", False)
        assert (await me.http.get(f"/preview/{kept}")).status_code == 502
    assert conduit.stored() == {"kept.png": b"x"}
    assert not conduit.storage.requests


async def test_what_was_uploaded_or_deleted_is_seen_at_once(
    me: Caller, conduit: OwnConduit
) -> None:
    assert await names_of(me) == set()
    file_id = await Upload().by("PUT", me)
    assert await names_of(me) == {"a.bin"}
    post = {"title": "x", "coverFileId": file_id}
    made = (await me.data(CREATE_POST, input=post))["r"]["post"]
    assert made["coverFile"] == {"name": "a.bin"}
    assert (await me.data(DELETE, id=file_id))["deleteFile"]["deletedId"]
    assert await names_of(me) == set()
    seen = await everywhere(me, file_id, made["id"])
    assert seen["file"] is seen["node"] is seen["post"]["coverFile"] is None
    assert seen["posts"]["nodes"] == [{"coverFile": None}]
    assert (await me.http.get(f"/preview/{file_id}")).status_code == 404


@pytest.mark.parametrize("ownership", ["viewer", "upstream"])
async def test_a_file_out_of_anothers_folder_is_deleted_only_where_conduit_decides(
    sandbox: Sandbox, conduit: OwnConduit, ownership: str
) -> None:
    theirs = conduit.state.add_file("x", b"x", folder=f"u/{conduit.join('you')}/")
    async with signed_in(sandbox, conduit, "me", CONDUIT_OWNERSHIP=ownership) as me:
        result = (await me.data(DELETE, id=theirs["_id"]))["deleteFile"]
    if ownership == "viewer":
        assert result["__typename"] == "Forbidden"
        assert conduit.stored() == {"x": b"x"}
    else:
        assert result["__typename"] == "DeleteFileSuccess"
        assert conduit.stored() == {}


async def test_the_folder_is_looked_at_on_a_fresh_read(
    me: Caller, conduit: OwnConduit
) -> None:
    """Not on what this person's page, or the router's cache, had a moment ago."""
    mine = conduit.state.add_file("x", b"x", folder=f"u/{conduit.join('me')}/")
    assert (await me.data(ONE, id=mine["_id"]))["file"]["name"] == "x"
    conduit.state.collections["File"].patch(mine["_id"], {"folder": "u/x/"})
    result = (await me.data(DELETE, id=mine["_id"]))["deleteFile"]
    assert result["__typename"] == "Forbidden"


async def test_a_guarded_file_is_nobodys_but_its_owners_by_any_way(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    conduit.state.settings.storage_authorization = True
    on = {"CONDUIT_STORAGE_AUTHORIZATION": "on"}
    async with (
        signed_in(sandbox, conduit, "me", **on) as me,
        signed_in(sandbox, conduit, "you", **on) as you,
    ):
        file_id = await Upload(b"mine").by("PUT", me)
        cover = {"title": "x", "coverFileId": file_id}
        made = (await me.data(CREATE_POST, input=cover))["r"]["post"]
        assert made["coverFile"] == {"name": "a.bin"}
        conduit.forget()
        seen = await everywhere(you, file_id, made["id"])
        assert seen == {
            "file": None,
            "node": None,
            "nodes": [None],
            "post": {"title": "x", "coverFile": None},
            "posts": {"nodes": [{"coverFile": None}]},
        }
        path = f"/preview/{file_id}"
        tag = (await me.http.get(path)).headers["etag"]
        for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"Range": "0-1"})):
            for more in ({}, {"If-None-Match": tag}):
                answer = await you.http.request(method, path, headers=headers | more)
                assert answer.status_code == 403
        deleted = await you.data(DELETE, id=file_id)
        assert deleted["deleteFile"]["__typename"] == "Forbidden"
        assert conduit.stored() == {"a.bin": b"mine"}
    asked = [f"{each.path}?{each.query}" for each in conduit.faulty.requests]
    assert not any("GetFiles" in each or "coverFile" in each for each in asked)


@pytest.mark.parametrize("way", ["multipart", "PUT"])
async def test_a_file_may_be_given_to_a_team_where_the_storage_guards_files(
    sandbox: Sandbox, conduit: OwnConduit, way: str
) -> None:
    conduit.state.settings.storage_authorization = True
    on = {"CONDUIT_STORAGE_AUTHORIZATION": "on"}
    team = f"Team:{conduit.state.teams.insert({'name': 'Crew'})['_id']}"
    for name, role in (("me", "owner"), ("you", "readAll")):
        user = f"User:{conduit.join(name)}"
        conduit.state.relations.give_role(user, role, team)
    async with (
        signed_in(sandbox, conduit, "me", **on) as me,
        signed_in(sandbox, conduit, "you", **on) as you,
        signed_in(sandbox, conduit, "other", **on) as other,
    ):
        if way == "PUT":
            options = {"params": {"name": "x", "scope": team}, "headers": PREFLIGHT}
            answer = await me.http.put("/files", content=b"ours", **options)
            file_id = answer.json()["file"]["databaseId"]
        else:
            made = await upload(me, b"ours", name="x", scope=team)
            file_id = made["file"]["databaseId"]
        read = [
            (await caller.http.get(f"/preview/{file_id}")).status_code
            for caller in (me, you, other)
        ]
        assert read == [200, 200, 403]
        refused = await upload(you, b"x", name="y", scope=team)
        assert refused["__typename"] == "Forbidden"
        malformed = await upload(you, b"x", name="y", scope="nonsense")
        assert (malformed["__typename"], malformed["field"]) == (
            "InvalidInput",
            "scope",
        )
    assert list(conduit.stored()) == ["x"]


async def test_a_public_file_too_is_shown_to_the_signed_in_only(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    """A stranger's preview costs the upstreams no call."""
    file_id = conduit.state.add_file("a.txt", b"public", is_public=True)["_id"]
    settings = {**sandbox.environment, **conduit.environment}
    async with running_app(settings) as app, caller_of(app) as nobody:
        answer = await nobody.http.get(f"/preview/{file_id}")
    assert answer.status_code == 401
    assert not any(path.startswith("/storage/") for _, path in conduit.calls())
    async with signed_in(sandbox, conduit, "me") as me:
        assert (await me.http.get(f"/preview/{file_id}")).content == b"public"
