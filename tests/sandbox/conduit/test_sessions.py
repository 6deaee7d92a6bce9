"""What recordings of single exchanges cannot show: races and limits."""

import asyncio

import httpx
import pytest

from sandbox.conduit import ConduitState

CREDENTIALS = {"email": "first@example.com", "password": "secret-1"}


@pytest.fixture
async def tokens(conduit: httpx.AsyncClient, state: ConduitState) -> dict[str, str]:
    state.add_user("first@example.com", "secret-1")
    answer = await conduit.post("/authentication/local", json=CREDENTIALS)
    pair: dict[str, str] = answer.json()
    state.settings.renew_step_s = 0.05
    return pair


async def renew(conduit: httpx.AsyncClient, token: str) -> httpx.Response:
    return await conduit.post("/authentication/renew", headers=bearer(token))


async def me(conduit: httpx.AsyncClient, token: str) -> int:
    answer = await conduit.get("/authentication/user", headers=bearer(token))
    return answer.status_code


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_two_renews_at_once_both_succeed_and_both_pairs_live(
    conduit: httpx.AsyncClient, tokens: dict[str, str]
) -> None:
    answers = await asyncio.gather(
        renew(conduit, tokens["refreshToken"]), renew(conduit, tokens["refreshToken"])
    )
    pairs = [answer.json() for answer in answers]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert pairs[0]["refreshToken"] != pairs[1]["refreshToken"]
    assert [await me(conduit, pair["accessToken"]) for pair in pairs] == [200, 200]


async def test_a_renew_a_little_later_is_refused_and_the_first_pair_lives(
    conduit: httpx.AsyncClient, tokens: dict[str, str]
) -> None:
    first = asyncio.create_task(renew(conduit, tokens["refreshToken"]))
    await asyncio.sleep(0.07)  # after the deletion, before the new pair is saved
    second = await renew(conduit, tokens["refreshToken"])
    pair = (await first).json()
    assert second.status_code == 400
    assert await me(conduit, pair["accessToken"]) == 200


async def test_the_next_renew_ends_both_pairs_of_a_race(
    conduit: httpx.AsyncClient, tokens: dict[str, str]
) -> None:
    answers = await asyncio.gather(
        renew(conduit, tokens["refreshToken"]), renew(conduit, tokens["refreshToken"])
    )
    one, other = (answer.json()["refreshToken"] for answer in answers)
    assert (await renew(conduit, one)).status_code == 200
    assert (await renew(conduit, other)).status_code == 400


async def test_two_sign_ins_at_once_both_live(
    conduit: httpx.AsyncClient, tokens: dict[str, str]
) -> None:
    answers = await asyncio.gather(
        *(conduit.post("/authentication/local", json=CREDENTIALS) for _ in range(2))
    )
    access = [answer.json()["accessToken"] for answer in answers]
    assert [await me(conduit, token) for token in access] == [200, 200]


async def test_the_global_limit_counts_for_each_forwarded_address(
    conduit: httpx.AsyncClient, state: ConduitState
) -> None:
    state.settings.rate_limit = 3

    async def ready(forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return (await conduit.get("/ready", headers=headers)).status_code

    statuses = [await ready("192.0.2.1, 10.0.0.1") for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert await ready("192.0.2.2") == 200
