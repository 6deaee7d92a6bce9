"""One session on both sides: the real npm iron-session, 8 and 9, and this server."""

import json
from collections.abc import Callable

import httpx
import pytest
from serving import NO_TLS

from harness import PASSWORD, Caller, Sandbox, caller_of, running_app

pytestmark = pytest.mark.node
VERSIONS = pytest.mark.parametrize("version", [8, 9])
ACCOUNT = {"email": "first@example.com", "password": PASSWORD}
VIEWER = "{ viewer { email } }"
FIRST = {"viewer": {"email": "first@example.com"}}


@VERSIONS
async def test_a_session_opened_there_works_here(
    anonymous: Caller, start_guide_app: Callable[..., str], version: int
) -> None:
    async with httpx.AsyncClient(
        base_url=start_guide_app(version), verify=NO_TLS
    ) as there:
        answer = await there.post("/sign-in", json=ACCOUNT)
        assert answer.status_code == 200
        anonymous.http.cookies.update(dict(there.cookies))
    assert await anonymous.data(VIEWER) == FIRST


@VERSIONS
async def test_a_session_opened_here_works_there(
    first: Caller, start_guide_app: Callable[..., str], version: int
) -> None:
    cookies = dict(first.http.cookies)
    url = start_guide_app(version)
    async with httpx.AsyncClient(base_url=url, cookies=cookies, verify=NO_TLS) as there:
        session = (await there.get("/session")).json()
        assert set(session) == {"userId", "vaultKey"}
        user = (await there.get("/me")).json()["user"]
    assert user["email"] == "first@example.com"
    assert await first.data(VIEWER) == FIRST


@VERSIONS
async def test_signing_out_on_one_side_signs_out_on_the_other(
    first: Caller, start_guide_app: Callable[..., str], version: int
) -> None:
    cookies = dict(first.http.cookies)
    url = start_guide_app(version)
    async with httpx.AsyncClient(base_url=url, cookies=cookies, verify=NO_TLS) as there:
        assert (await there.get("/me")).json()["user"]
        await first.data("mutation { signOut { ok } }")
        assert (await there.get("/me")).json()["user"] is None
    await first.sign_in("first")
    cookies = dict(first.http.cookies)
    async with httpx.AsyncClient(base_url=url, cookies=cookies, verify=NO_TLS) as there:
        await there.post("/sign-out")
    assert await first.data(VIEWER) == {"viewer": None}


@VERSIONS
async def test_passwords_rotate_while_both_sides_run(
    sandbox: Sandbox, start_guide_app: Callable[..., str], version: int
) -> None:
    old, new = sandbox.session_secret, "rotated-session-secret-9876543210-zyxwvuts"
    both = json.dumps({"1": old, "2": new})
    url = start_guide_app(version, secret=json.dumps({"1": old}))
    async with httpx.AsyncClient(base_url=url, verify=NO_TLS) as there:
        await there.post("/sign-in", json=ACCOUNT)
        cookies = dict(there.cookies)
    rotated = sandbox.environment | {"SESSION_SECRET": both}
    async with running_app(rotated) as app, caller_of(app) as caller:
        caller.http.cookies.update(cookies)
        response = await caller.post({"query": VIEWER})
        assert response.json()["data"] == FIRST
        (resealed,) = response.headers.get_list("set-cookie")
        assert resealed.startswith("conduit_session=Fe26.2*2*")
        cookies = {"conduit_session": resealed.split(";")[0].partition("=")[2]}
    url = start_guide_app(version, secret=both)
    async with httpx.AsyncClient(base_url=url, cookies=cookies, verify=NO_TLS) as there:
        assert (await there.get("/me")).json()["user"]["email"] == "first@example.com"


@VERSIONS
async def test_a_bearer_value_is_no_cookie_there(
    anonymous: Caller, start_guide_app: Callable[..., str], version: int
) -> None:
    query = """mutation ($input: SignInInput!) {
      signIn(input: $input) { ... on SignInSuccess { sessionToken } }
    }"""
    data = await anonymous.data(query, input=ACCOUNT | {"transport": "BEARER"})
    token = data["signIn"]["sessionToken"]
    response = await anonymous.http.post(
        "/graphql",
        json={"query": VIEWER},
        headers={"cookie": f"conduit_session={token}"},
    )
    assert response.json()["data"] == {"viewer": None}
