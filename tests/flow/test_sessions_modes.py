"""The settings that change what a session holds, each over a real server process."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import pytest
import redis
from processes_harness import (
    client,
    expire_tokens,
    records,
    renewals,
    running_servers,
    sign_in,
)

from harness import Sandbox

NOTES = "{ viewer { email } notes(first: 1) { nodes { body } } }"
VIEWER = "{ viewer { email } }"
FIRST = {"viewer": {"email": "first@example.com"}}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as http:
        yield http


async def test_a_vaulted_flux_token_is_sent_and_its_refusal_is_the_persons(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """FLUX_TOKEN_SOURCE=vault: no token or a refused one costs only Flux's fields.

    Tried with every refusal taken for our own mistake, as it was before this test:
    the last code is UPSTREAM_MISCONFIGURED.
    """
    async with running_servers(sandbox, 1, FLUX_TOKEN_SOURCE="vault") as servers:
        [url] = servers.urls
        device = await sign_in(http, url)
        without = await device.ask(url, NOTES)
        put_into_the_vault(sandbox, flux_token(sandbox, good_for_s=300))
        given = await device.data(url, NOTES)
        put_into_the_vault(sandbox, flux_token(sandbox, good_for_s=-300))
        refused = await device.ask(url, NOTES)
    assert without["data"] == {**FIRST, "notes": None}
    assert codes(without) == ["UNAUTHENTICATED"]
    assert given["viewer"] == FIRST["viewer"]
    assert len(given["notes"]["nodes"]) == 1
    assert refused["data"] == {**FIRST, "notes": None}
    assert codes(refused) == ["UNAUTHENTICATED"]
    assert refused["errors"][0]["extensions"]["service"] == "flux"


async def test_a_renewal_keeps_the_vaulted_flux_token(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Tried with `other` left out of `swap`: the second read has no notes."""
    async with running_servers(sandbox, 1, FLUX_TOKEN_SOURCE="vault") as servers:
        [url] = servers.urls
        device = await sign_in(http, url)
        put_into_the_vault(sandbox, flux_token(sandbox, good_for_s=300))
        expire_tokens(sandbox)
        assert (await device.data(url, NOTES))["notes"]["nodes"]
        assert (await device.data(url, NOTES))["notes"]["nodes"]
    assert renewals(sandbox) == 1


async def test_none_sends_no_token_to_flux(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """And mint, beside it, sends one: the stand-in tells by the header that came.

    Tried with `none` minting: a header arrives.
    """
    async with running_servers(sandbox, 0) as servers:
        none, mint = (
            servers.start(sandbox.environment | {"FLUX_TOKEN_SOURCE": source})
            for source in ("none", "mint")
        )
        servers.wait()
        device = await sign_in(http, none)
        for url, sent in ((none, False), (mint, True)):
            sandbox.forget()
            await device.ask(url, NOTES)
            asked = sandbox.http.get(f"{sandbox.flux}/_sandbox/requests").json()
            assert [("authorization" in each["headers"]) for each in asked] == [sent]


async def test_multiple_keeps_pairs_apart_where_conduit_does(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """CONDUIT_SESSIONS=multiple: a renewal or sign-out concerns one device only.

    Tried with "single" over such a Conduit: all records hold the newest pair.
    """
    with multiple_sessions(sandbox):
        async with running_servers(sandbox, 1, CONDUIT_SESSIONS="multiple") as servers:
            [url] = servers.urls
            phone = await sign_in(http, url, bearer=True)
            before = only(records(sandbox))
            laptop = await sign_in(http, url)
            assert len(refresh_tokens(sandbox)) == 2
            expire_tokens(sandbox)
            sandbox.forget()
            assert await laptop.data(url, VIEWER) == FIRST
            assert before["refreshToken"] in refresh_tokens(sandbox)
            # Within a second both would get the same access token (conduit.md §2).
            await asyncio.sleep(1.1)
            assert await phone.data(url, VIEWER) == FIRST
            assert renewals(sandbox) == 2
            await laptop.data(url, "mutation { signOut { ok } }")
            assert await phone.data(url, VIEWER) == FIRST
            assert renewals(sandbox) == 2


def codes(answer: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in answer["errors"]]


def only(found: dict[str, dict[str, str]]) -> dict[str, str]:
    [record] = found.values()
    return record


def refresh_tokens(sandbox: Sandbox) -> set[str]:
    return {record["refreshToken"] for record in records(sandbox).values()}


def flux_token(sandbox: Sandbox, *, good_for_s: int) -> str:
    """As another application would get it for the person who is signed in."""
    access = only(records(sandbox))["accessToken"]
    subject = jwt.decode(access, options={"verify_signature": False})["id"]
    claims = {"sub": subject, "role": "authenticated", "exp": time.time() + good_for_s}
    return jwt.encode(claims, sandbox.flux_jwt_secret, "HS256")


def put_into_the_vault(sandbox: Sandbox, token: str) -> None:
    with redis.Redis.from_url(sandbox.redis) as vault:
        for name, record in records(sandbox).items():
            vault.set(name, json.dumps({**record, "fluxToken": token}), keepttl=True)


@contextmanager
def multiple_sessions(sandbox: Sandbox) -> Iterator[None]:
    """Conduit keeps several sessions of a person meanwhile."""
    set_multiple(sandbox, True)
    try:
        yield
    finally:
        set_multiple(sandbox, False)


def set_multiple(sandbox: Sandbox, value: bool) -> None:
    headers = {"masterkey": sandbox.admin_master_key}
    account = {"username": sandbox.admin_user, "password": sandbox.admin_password}
    answer = sandbox.http.post(f"{sandbox.admin}/login", json=account, headers=headers)
    headers["authorization"] = f"Bearer {answer.json()['token']}"
    change = {"config": {"clients": {"multipleUserSessions": value}}}
    sandbox.http.patch(
        f"{sandbox.admin}/config/authentication", json=change, headers=headers
    ).raise_for_status()
