"""What stands before sessions at the door: forged requests, guesses, outages.

And the preview of a file, whose expired token no upstream answers with 401. All over
real sockets.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from processes_harness import (
    SIGN_IN,
    Device,
    client,
    expire_tokens,
    records,
    renewals,
    running_servers,
    sign_in,
    spoil_tokens,
)

from harness import PASSWORD, Sandbox

STRANGER = "https://evil.example.net"
FRIEND = "https://app.example.com"
SIGN_OUT = "mutation { signOut { ok } }"
VIEWER = "{ viewer { email } }"
FIRST = {"viewer": {"email": "first@example.com"}}
WRONG = "not this one"
FILES = "{ files(first: 100) { nodes { name previewUrl } } }"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as http:
        yield http


async def test_no_request_that_another_site_can_send_changes_a_session(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Each is what a page of another site makes a browser send, the cookie with it.

    Tried without `_check_unsafe`: the first signs the person out. Tried with the first
    Cookie header alone: the last comes as far as the parser (415).
    """
    body = json.dumps({"query": SIGN_OUT})
    plain = {"content-type": "text/plain"}
    async with running_servers(sandbox, 1, CORS_ORIGINS=FRIEND) as servers:
        [url] = servers.urls
        device = await sign_in(http, url)
        cookie = device.headers
        forged: list[tuple[dict[str, Any], int]] = [
            (
                {
                    "headers": {**cookie, "origin": STRANGER},
                    "json": {"query": SIGN_OUT},
                },
                403,
            ),
            ({"headers": {**cookie, **plain}, "content": body}, 403),
            ({"headers": {**cookie, "origin": "null", **plain}, "content": body}, 403),
            ({"headers": cookie, "data": {"query": SIGN_OUT}}, 403),
            (
                {
                    "headers": [("cookie", "a=b"), *cookie.items(), *plain.items()],
                    "content": body,
                },
                403,
            ),
        ]
        for request, status in forged:
            http.cookies.clear()
            response = await http.post(f"{url}/graphql", **request)
            assert response.status_code == status, request
            assert "set-cookie" not in response.headers
        for headers, status in (
            (cookie, 403),
            ({**cookie, "graphql-require-preflight": "1"}, 405),
        ):
            response = await http.get(
                f"{url}/graphql", params={"query": SIGN_OUT}, headers=headers
            )
            assert response.status_code == status
        assert await device.data(url, VIEWER) == FIRST
        friend = Device(http, {**cookie, "origin": FRIEND})
        response = await friend.post(url, VIEWER)
        assert response.headers["access-control-allow-origin"] == FRIEND
        assert response.json()["data"] == FIRST


async def test_guessing_a_password_ends_before_the_upstreams_own_limit(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Over two processes, which count together; the right password helps no more.

    Tried without `check_sign_in`: the sixth attempt signs in.
    """
    limits = {"SIGN_IN_PER_ACCOUNT": "5", "SIGN_IN_PER_ADDRESS": "7"}
    async with running_servers(sandbox, 2, **limits) as servers:
        sandbox.forget()
        for attempt in range(5):
            url = servers.urls[attempt % 2]
            assert await guess(http, url, "first") == "InvalidCredentials"
        assert await guess(http, servers.urls[0], "first", PASSWORD) == "RATE_LIMITED"
        assert len(sandbox.calls()) == 5
        assert await guess(http, servers.urls[1], "second") == "InvalidCredentials"
        assert await guess(http, servers.urls[0], "third") == "RATE_LIMITED"
        assert len(sandbox.calls()) == 6


async def test_a_preview_with_an_expired_token_heals(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """No 401 tells of it (conduit.md §6): 403 for the file, 500 for its address.

    First a token that says itself that it has ended, then one that looks good but is
    refused, then one that ends between the two calls.

    Tried with `token_refused` knowing 401 alone: the second preview is 403.
    """
    async with running_servers(sandbox, 1) as servers:
        [url] = servers.urls
        device = await sign_in(http, url)
        nodes = (await device.data(url, FILES))["files"]["nodes"]
        [path] = [n["previewUrl"] for n in nodes if n["name"] == "survey.txt"]
        sandbox.forget()

        async def preview() -> int:
            return (await http.get(f"{url}{path}", headers=device.headers)).status_code

        expire_tokens(sandbox)
        assert (await preview(), renewals(sandbox)) == (200, 1)
        spoil_tokens(sandbox)
        assert (await preview(), renewals(sandbox)) == (200, 2)
        sandbox.fail(
            "conduit",
            "/storage/getFileUrl",
            status=500,
            body={
                "name": "INTERNAL_SERVER_ERROR",
                "status": 500,
                "message": "File access is not public",
            },
            times=1,
        )
        assert (await preview(), renewals(sandbox)) == (200, 3)


async def test_an_outage_of_redis_costs_only_what_needs_a_token(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Tried with the vault's failure taken for a missing record: signed out."""
    async with running_servers(sandbox, 1, REDIS_URL="redis://127.0.0.1:9/0") as down:
        async with running_servers(sandbox, 1) as up:
            device = await sign_in(http, up.urls[0])
        response = await device.post(down.urls[0], "{ __typename viewer { email } }")
    answer = response.json()
    assert answer["data"] == {"__typename": "Query", "viewer": None}
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    assert "set-cookie" not in response.headers
    assert len(records(sandbox)) == 1


async def guess(
    http: httpx.AsyncClient, url: str, name: str, password: str = WRONG
) -> str:
    """The kind of result, or the code of the error."""
    account = {"email": f"{name}@example.com", "password": password}
    answer = await Device(http).ask(url, SIGN_IN, input=account)
    if "errors" in answer:
        return str(answer["errors"][0]["extensions"]["code"])
    return str(answer["data"]["signIn"]["__typename"])
