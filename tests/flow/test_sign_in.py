"""Signing up, in and out through the graph, with cookie and with bearer."""

import httpx

from harness import PASSWORD, Caller, Sandbox, caller_of

SIGN_IN = """mutation ($input: SignInInput!) { signIn(input: $input) {
  __typename
  ... on SignInSuccess { sessionToken viewer { email username } }
  ... on Problem { message }
} }"""


async def test_signing_in_sets_one_sealed_http_only_cookie(anonymous: Caller) -> None:
    response = await anonymous.post(
        {"query": SIGN_IN, "variables": {"input": account("first")}}
    )
    success = response.json()["data"]["signIn"]
    assert success["viewer"] == {"email": "first@example.com", "username": "first"}
    assert success["sessionToken"] is None
    (cookie,) = response.headers.get_list("set-cookie")
    assert cookie.startswith("conduit_session=Fe26.2*1*")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert (await anonymous.data("{ viewer { username } }"))["viewer"]


async def test_a_wrong_password_is_a_typed_result_without_a_cookie(
    anonymous: Caller,
) -> None:
    response = await anonymous.post(
        {"query": SIGN_IN, "variables": {"input": account("first", "wrong-one")}}
    )
    assert response.json()["data"]["signIn"]["__typename"] == "InvalidCredentials"
    assert "set-cookie" not in response.headers


async def test_bearer_transport_returns_a_token_that_works_without_cookies(
    anonymous: Caller, app: object
) -> None:
    given = {**account("first"), "transport": "BEARER"}
    response = await anonymous.post({"query": SIGN_IN, "variables": {"input": given}})
    token = response.json()["data"]["signIn"]["sessionToken"]
    assert "set-cookie" not in response.headers
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(
        transport=transport,
        base_url="http://127.0.0.1:8000",
        headers={"authorization": f"Bearer {token}"},
    ) as http:
        data = await Caller(http).data("{ viewer { email } }")
    assert data == {"viewer": {"email": "first@example.com"}}


async def test_signing_out_ends_the_session_also_for_a_copied_cookie(
    first: Caller, app: object
) -> None:
    copied = dict(first.http.cookies)
    assert (await first.data("mutation { signOut { ok } }"))["signOut"] == {"ok": True}
    assert await first.data("{ viewer { email } }") == {"viewer": None}
    async with caller_of(app) as thief:
        thief.http.cookies.update(copied)
        assert await thief.data("{ viewer { email } }") == {"viewer": None}


async def test_signing_out_twice_succeeds(anonymous: Caller) -> None:
    data = await anonymous.data("mutation { signOut { ok } }")
    assert data == {"signOut": {"ok": True}}


async def test_a_new_account_can_sign_in_and_owns_nothing(anonymous: Caller) -> None:
    query = """mutation ($input: SignUpInput!) { signUp(input: $input) {
      __typename ... on Problem { message } } }"""
    fresh = {"email": "third@example.com", "password": PASSWORD}
    assert (await anonymous.data(query, input=fresh))["signUp"] == {
        "__typename": "SignUpSuccess"
    }
    again = await anonymous.data(query, input=fresh)
    assert again["signUp"]["__typename"] == "Conflict"
    bad = await anonymous.data(query, input={"email": "no", "password": PASSWORD})
    assert bad["signUp"]["__typename"] == "InvalidInput"
    await anonymous.sign_in("third")
    assert await anonymous.data("{ notes { nodes { id } totalCount } }") == {
        "notes": {"nodes": [], "totalCount": 0}
    }


async def test_an_expired_access_token_is_renewed_once_for_the_whole_request(
    first: Caller, sandbox: Sandbox
) -> None:
    sandbox.fail(
        "conduit",
        "/database/Post",
        status=401,
        body={
            "name": "UNAUTHORIZED",
            "status": 401,
            "message": "Token is expired or otherwise not valid",
        },
        times=1,
    )
    sandbox.forget()
    data = await first.data("{ posts(first: 1) { nodes { title } } viewer { email } }")
    assert data["viewer"] == {"email": "first@example.com"}
    renewals = [call for call in sandbox.calls() if call[2].endswith("/renew")]
    assert len(renewals) == 1


def account(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"email": f"{name}@example.com", "password": password}
