"""`python -m provision` against the Admin API stand-in, over real sockets."""

import asyncio
import copy
import os
import sys
from typing import Any

import httpx
import pytest
from provision_harness import INIT, Stand
from serving import served

from harness import ROOT, Sandbox
from sandbox.conduit import create_conduit_app

POST = INIT["schemas"][0]
ENDPOINTS = INIT["customEndpoints"]
CREATED = [("POST", "/database/schemas")]
CREATED += [("POST", "/database/customEndpoints")] * len(ENDPOINTS)


def changed(value: Any, **changes: Any) -> Any:
    """A copy of a declaration with other values at its top."""
    return {**copy.deepcopy(value), **changes}


async def test_apply_on_an_empty_conduit_makes_all_that_the_clients_need(
    stand: Stand,
) -> None:
    stand.state.settings.route_delay_s = 2
    run = await stand.provision("--apply")
    assert (run.code, run.writes) == (0, CREATED), run.err
    assert "created schema Post" in run.out
    assert "11 of 11 routes answer" in run.out
    stand.state.add_user("first@example.com", "secret-1")
    async with httpx.AsyncClient(base_url=stand.client) as http:
        who = {"email": "first@example.com", "password": "secret-1"}
        token = (await http.post("/authentication/local", json=who)).json()
        http.headers["Authorization"] = f"Bearer {token['accessToken']}"
        author = (await http.get("/authentication/user")).json()["_id"]
        post = {"title": "t" * 300, "body": "b", "author": author}
        made = (await http.post("/database/Post", json=post)).json()
        address = f"/database/function/GetPostsByIds?ids={made['_id']}"
        found = (await http.get(address)).json()
    assert [each["title"] for each in found] == [post["title"]]


async def test_a_second_run_writes_nothing(stand: Stand) -> None:
    await stand.provision("--apply")
    run = await stand.provision("--apply")
    assert (run.code, run.writes) == (0, [])
    assert "In order." in run.out
    assert (await stand.provision("--check")).code == 0


async def test_check_tells_of_everything_missing_and_writes_nothing(
    stand: Stand,
) -> None:
    run = await stand.provision("--check")
    assert (run.code, run.writes) == (1, [])
    for name in ("Post", *(each["name"] for each in ENDPOINTS)):
        assert any(
            line.startswith("+ missing") and line.endswith(f" {name}")
            for line in run.out.splitlines()
        )


async def test_a_half_provisioned_conduit_gets_only_what_it_lacks(
    stand: Stand,
) -> None:
    fields = {k: v for k, v in POST["fields"].items() if k not in ("body", "author")}
    stand.declare([changed(POST, fields=fields)], ENDPOINTS[:4])
    run = await stand.provision("--apply")
    assert run.code == 0, run.err
    assert run.writes[0][0] == "PATCH"
    assert run.writes[1:] == CREATED[5:]
    assert "field body: missing (String)" in run.out
    assert "field author: missing (Relation to User, added as optional)" in run.out
    stored = (await stand.listed("schemas", "Post"))["fields"]
    assert stored["body"] == POST["fields"]["body"]
    assert stored["author"] == {**POST["fields"]["author"], "required": False}


async def test_what_others_added_to_the_schema_is_kept(stand: Stand) -> None:
    foreign = {"subtitle": {"type": "String", "default": "none", "required": True}}
    fields = {k: v for k, v in POST["fields"].items() if k != "body"} | foreign
    options = copy.deepcopy(POST["conduitOptions"])
    options["authorization"] = {"enabled": True}
    options["cms"]["crudOperations"]["delete"]["enabled"] = False
    stand.declare([changed(POST, fields=fields, conduitOptions=options)], ENDPOINTS)
    run = await stand.provision("--apply")
    assert run.code == 0, run.err
    assert "built-in route delete: off" in run.out
    stored = await stand.listed("schemas", "Post")
    assert stored["fields"]["subtitle"] == foreign["subtitle"]
    assert stored["fields"]["body"] == POST["fields"]["body"]
    conduit = stored["modelOptions"]["conduit"]
    assert conduit["authorization"] == {"enabled": True}
    assert conduit["cms"]["crudOperations"]["delete"]["enabled"]


async def test_an_endpoint_that_differs_is_changed_after_saying_so(
    stand: Stand,
) -> None:
    foreign = {"name": "lang", "type": "String", "location": 1, "optional": True}
    other = {"AND": [{**ENDPOINTS[0]["query"]["AND"][0], "operation": 7}]}
    inputs = [{**ENDPOINTS[0]["inputs"][0], "array": False}, foreign]
    old = changed(ENDPOINTS[0], query=other, inputs=inputs)
    stand.declare([POST], [old, *ENDPOINTS[1:]])
    run = await stand.provision("--apply")
    assert run.code == 0, run.err
    assert [method for method, _ in run.writes] == ["PATCH"]
    assert '"operation": 7' in run.out, "the old query is told, so it can be restored"
    stored = await stand.listed("customEndpoints", "GetPostsByIds")
    assert stored["query"] == ENDPOINTS[0]["query"]
    assert {each["name"] for each in stored["inputs"]} == {"ids", "lang"}
    assert (await stand.provision("--apply")).writes == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"operation": 1}, "operation: 1, should be 0"),
        ({"authentication": False}, "authentication: false, should be true"),
        ({"enabled": False}, "it is switched off"),
        ({"selectedSchemaName": "User", "query": None}, 'schema: "User", should be'),
    ],
)
async def test_what_other_callers_rely_on_is_left_to_a_person(
    stand: Stand, change: Any, told: str
) -> None:
    stand.declare([POST], [changed(ENDPOINTS[1], **change)])
    run = await stand.provision("--apply")
    assert run.code == 2
    assert told in run.out
    assert run.writes == CREATED[2:], "everything else is made"
    assert "must be decided by a person" in run.out


async def test_the_guides_plain_endpoint_is_in_order_and_kept(stand: Stand) -> None:
    plain = changed(ENDPOINTS[1], paginated=False, sorted=False)
    stand.declare([POST], [plain])
    run = await stand.provision("--apply")
    assert (run.code, run.writes) == (0, CREATED[2:]), run.out
    assert "note: plain (paginated: false), as in the guide" in run.out
    assert run.out.endswith("In order.\n")
    assert (await stand.provision("--apply")).writes == []
    assert (await stand.provision("--check")).code == 0
    stored = await stand.listed("customEndpoints", "GetPostsByAuthor")
    assert (stored["paginated"], stored["sorted"]) == (False, False)


async def test_a_relation_to_a_schema_that_is_not_there_is_never_sent(
    stand: Stand,
) -> None:
    others = tuple(each for each in stand.state.system_schemas if each.name != "File")
    stand.state.system_schemas = others
    stand.restart()
    run = await stand.provision("--apply")
    assert run.code == 2
    assert "field coverFile: there is no schema File" in run.out
    assert ("POST", "/database/schemas") not in run.writes
    assert "created endpoint GetUsersByIds" in run.out


async def test_a_name_that_came_into_use_meanwhile_is_no_failure(
    stand: Stand,
) -> None:
    body = {"status": 500, "message": "Schema name is already in use!"}
    stand.fail("/database/schemas", method="POST", status=500, body=body, after="after")
    run = await stand.provision("--apply")
    assert run.code == 0, run.err
    assert "exists by now: schema Post" in run.out


async def test_long_lists_are_read_to_their_end(stand: Stand) -> None:
    stand.state.settings.route_delay_s = 0
    others = [changed(ENDPOINTS[7], name=f"Other{number}") for number in range(230)]
    stand.declare([POST], [*others, *ENDPOINTS])
    run = await stand.provision("--check")
    pages = [each for each in stand.faulty.requests if "customEnd" in each.path]
    assert run.code == 0
    assert run.out.count("present") == 1 + len(ENDPOINTS)
    assert len(pages) == 3


async def test_a_list_that_changes_while_it_is_read_is_told(stand: Stand) -> None:
    stand.fail("/database/schemas", body={"schemas": [], "count": 3})
    run = await stand.provision("--apply")
    assert (run.code, run.writes) == (2, [])
    assert "does not add up (0 read, 3 counted)" in run.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("CONDUIT_MASTER_KEY", "CONDUIT_MASTER_KEY is not this Conduit's"),
        ("CONDUIT_ADMIN_USER", "CONDUIT_ADMIN_USER or CONDUIT_ADMIN_PASSWORD is wrong"),
        ("CONDUIT_ADMIN_PASSWORD", "CONDUIT_ADMIN_USER or CONDUIT_ADMIN_PASSWORD is"),
    ],
)
async def test_a_wrong_credential_is_named(stand: Stand, name: str, told: str) -> None:
    run = await stand.provision("--apply", **{name: "wrong-value"})
    assert run.code == 2
    assert told in run.err


async def test_the_client_api_in_the_place_of_the_admin_api_is_told(
    stand: Stand,
) -> None:
    run = await stand.provision("--apply", CONDUIT_ADMIN_URL=stand.client)
    assert run.code == 2
    assert "not the Admin API" in run.err
    assert "default 3030" in run.err


async def test_the_admin_api_in_the_place_of_the_client_api_is_told(
    stand: Stand,
) -> None:
    stand.declare([POST], ENDPOINTS)
    run = await stand.provision("--check", CLIENT_BASE_URL=f"{stand.admin}/x")
    assert run.code == 2
    assert "is the Admin API; CLIENT_BASE_URL must be" in run.err


async def test_a_write_without_an_answer_is_told_as_unknown(stand: Stand) -> None:
    stand.fail("/database/customEndpoints", method="POST", hang=True, times=1)
    run = await stand.provision("--apply", "--timeout", "0.5")
    assert run.code == 2
    assert "creating endpoint GetPostsByIds. Whether it was done is unknown" in run.err
    again = await stand.provision("--apply")
    assert (again.code, again.writes) == (0, CREATED[1:])


async def test_a_connection_that_breaks_after_the_work_leaves_nothing_twice(
    stand: Stand,
) -> None:
    path = "/database/customEndpoints"
    stand.fail(path, method="POST", reset=True, after="after", times=1)
    run = await stand.provision("--apply")
    assert run.code == 2
    assert "unknown" in run.err
    again = await stand.provision("--apply")
    assert (again.code, again.writes) == (0, CREATED[2:])


async def test_a_refusal_is_passed_on_without_our_secrets(stand: Stand) -> None:
    key = stand.state.settings.admin_master_key
    body = {"status": 400, "message": f"no good with {key}"}
    stand.fail("/database/schemas", method="POST", status=400, body=body)
    run = await stand.provision("--apply")
    assert run.code == 2
    assert "400 when creating schema Post: no good with <hidden>" in run.err


async def test_routes_that_do_not_come_in_time_are_told(stand: Stand) -> None:
    stand.state.settings.route_delay_s = 1_000
    run = await stand.provision("--apply", "--wait", "0.6")
    assert run.code == 2
    assert "no answer yet: /database/Post (status 404)" in run.out
    assert "0 of 11 routes answer" in run.out


async def test_check_fails_while_declared_routes_do_not_answer(stand: Stand) -> None:
    stand.state.settings.route_delay_s = 1_000
    await stand.provision("--apply", "--wait", "0")
    run = await stand.provision("--check")
    assert run.code == 1
    assert "0 of 11 routes answer" in run.out


async def test_a_client_api_out_of_reach_is_told(stand: Stand) -> None:
    async with served(create_conduit_app(stand.state)) as gone:
        pass
    run = await stand.provision("--apply", "--wait", "0", CLIENT_BASE_URL=gone)
    assert run.code == 2
    assert f"cannot be asked at {gone}" in run.err


async def test_a_client_check_needs_the_clients_id(stand: Stand) -> None:
    stand.state.settings.client_validation = True
    run = await stand.provision("--apply")
    assert run.code == 2
    assert "CONDUIT_CLIENT_ID" in run.err


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"modules": []}, "database module is not serving"),
        ({"modules": None}, "has no list 'modules'"),
        ("<html>", "answers 200 without JSON"),
    ],
)
async def test_a_conduit_that_is_not_well_is_left_alone(
    stand: Stand, body: object, told: str
) -> None:
    stand.fail("/config/modules", body=body)
    run = await stand.provision("--apply")
    assert (run.code, run.writes) == (2, [])
    assert told in run.err


async def test_a_redirect_is_not_followed(stand: Stand) -> None:
    elsewhere = {"Location": f"{stand.client}/login"}
    stand.fail("/login", status=301, headers=elsewhere)
    run = await stand.provision("--apply")
    assert run.code == 2
    assert "redirect (301)" in run.err


async def test_nobody_listening_is_told(stand: Stand) -> None:
    async with served(create_conduit_app(stand.state)) as gone:
        pass
    run = await stand.provision("--check", CONDUIT_ADMIN_URL=gone)
    assert run.code == 2
    assert f"Nothing answers at {gone}" in run.err


async def test_a_file_that_cannot_be_used_is_told(stand: Stand, tmp_path: Any) -> None:
    file = tmp_path / "init.json"
    for content, told in (("{", "is not JSON"), ('{"schemas": 1}', "is not a list")):
        file.write_text(content)
        run = await stand.provision("--check", "--file", str(file))
        assert run.code == 2
        assert told in run.err


async def test_the_command_by_its_name_finds_the_sandbox_in_order(
    sandbox: Sandbox,
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "CONDUIT_ADMIN_URL": sandbox.admin,
        "CONDUIT_MASTER_KEY": sandbox.admin_master_key,
        "CONDUIT_ADMIN_USER": sandbox.admin_user,
        "CONDUIT_ADMIN_PASSWORD": sandbox.admin_password,
    }
    for mode in ("--check", "--apply"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "provision", mode),
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")
        assert out.decode().endswith("In order.\n")
