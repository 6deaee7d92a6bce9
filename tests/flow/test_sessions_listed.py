"""`Viewer.sessions` and `endSession`: where a person is signed in, and ending it."""

from typing import Any

import redis

from harness import Caller, Sandbox, caller_of

SESSIONS = """{ viewer { sessions {
  id createdAt lastUsedAt userAgent current
} } }"""
END = """mutation ($id: ID!) { endSession(id: $id) {
  __typename
  ... on EndSessionSuccess { endedId }
  ... on NotFound { message }
} }"""


async def sessions(caller: Caller) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await caller.data(SESSIONS))["viewer"]["sessions"]
    return listed


async def end(caller: Caller, session_id: str) -> str:
    return str((await caller.data(END, id=session_id))["endSession"]["__typename"])


async def test_a_person_sees_their_devices_and_ends_a_lost_one(
    app: Any, anonymous: Caller, sandbox: Sandbox
) -> None:
    """Tried with `take` left out of `Endings.end`: the phone answers on."""
    laptop = anonymous
    laptop.http.headers["user-agent"] = "A laptop"
    await laptop.sign_in("first")
    async with caller_of(app) as phone:
        phone.http.headers["user-agent"] = "A phone"
        await phone.sign_in("first")
        listed = await sessions(laptop)
        assert {each["userAgent"] for each in listed} == {"A laptop", "A phone"}
        [mine] = [each for each in listed if each["current"]]
        [lost] = [each for each in listed if not each["current"]]
        assert mine["userAgent"] == "A laptop"
        assert mine["createdAt"] <= mine["lastUsedAt"]
        assert mine["createdAt"].endswith("Z")
        assert await end(laptop, lost["id"]) == "EndSessionSuccess"
        assert await end(laptop, lost["id"]) == "NotFound"
        assert await phone.data("{ viewer { email } }") == {"viewer": None}
    assert await sessions(laptop) == [mine]


async def test_ending_the_session_that_asks_signs_it_out(
    first: Caller, sandbox: Sandbox
) -> None:
    [mine] = await sessions(first)
    response = await first.post({"query": END, "variables": {"id": mine["id"]}})
    assert response.json()["data"]["endSession"]["endedId"] == mine["id"]
    [header] = response.headers.get_list("set-cookie")
    assert "Max-Age=0" in header
    assert await first.data("{ viewer { email } }") == {"viewer": None}
    assert ("conduit", "POST", "/authentication/logout") in sandbox.calls()


async def test_nobody_sees_or_ends_another_persons_sessions(
    first: Caller, app: Any
) -> None:
    """Tried with one index for all people: both see and end both."""
    async with caller_of(app) as second:
        await second.sign_in("second")
        [mine], [theirs] = await sessions(first), await sessions(second)
        assert await end(first, theirs["id"]) == "NotFound"
        assert await end(second, mine["id"]) == "NotFound"
        assert await sessions(second) == [theirs]


async def test_nobody_signed_in_ends_nothing(anonymous: Caller) -> None:
    answer = await anonymous(END, id="anything")
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_what_is_listed_opens_nothing(first: Caller, sandbox: Sandbox) -> None:
    [mine] = await sessions(first)
    with redis.Redis.from_url(sandbox.redis) as vault:
        [name] = vault.keys("vault:*")
    assert mine["id"] not in name.decode()
    assert name.decode().removeprefix("vault:") not in str(mine)


async def test_listing_costs_no_upstream_call(first: Caller, sandbox: Sandbox) -> None:
    sandbox.forget()
    await sessions(first)
    assert sandbox.calls() == [("conduit", "GET", "/authentication/user")]
