"""What of the Admin API is in no recording: delays, merging, what a change undoes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.conduit import (
    ConduitSettings,
    ConduitState,
    Declarations,
    create_admin_app,
    create_conduit_app,
)

ROOT = Path(__file__).resolve().parents[3]
INIT = json.loads((ROOT / "conduit-init.json").read_text())
POST = INIT["schemas"][0]
BY_IDS = INIT["customEndpoints"][0]


class Clock:
    now = 1_795_328_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def empty(clock: Clock) -> ConduitState:
    """A Conduit in which nothing is declared."""
    return ConduitState(Declarations(), ConduitSettings(), clock=clock)


@pytest.fixture
async def admin(empty: ConduitState) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_admin_app(empty))
    headers = {"masterkey": empty.settings.admin_master_key}
    base = "http://admin"
    async with httpx.AsyncClient(
        transport=transport, base_url=base, headers=headers
    ) as http:
        settings = empty.settings
        who = {"username": settings.admin_user, "password": settings.admin_password}
        token = (await http.post("/login", json=who)).json()["token"]
        http.headers["Authorization"] = f"Bearer {token}"
        yield http


@pytest.fixture
async def router(empty: ConduitState) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_conduit_app(empty))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        yield http


async def create(admin: httpx.AsyncClient, path: str, body: Any) -> Any:
    return (await admin.post(path, json=body)).raise_for_status().json()


async def test_new_routes_reach_the_router_a_moment_later(
    admin: httpx.AsyncClient, router: httpx.AsyncClient, clock: Clock
) -> None:
    await create(admin, "/database/schemas", POST)
    await create(admin, "/database/customEndpoints", BY_IDS)
    paths = ("/database/Post", "/database/function/GetPostsByIds?ids=x")
    before = [(await router.get(path)).status_code for path in paths]
    clock.now += 1.1
    after = [(await router.get(path)).status_code for path in paths]
    assert (before, after) == ([404, 404], [401, 401])


async def test_a_deleted_endpoint_leaves_the_router_likewise(
    admin: httpx.AsyncClient, router: httpx.AsyncClient, clock: Clock
) -> None:
    await create(admin, "/database/schemas", POST)
    made = await create(admin, "/database/customEndpoints", BY_IDS)
    await admin.delete(f"/database/customEndpoints/{made['_id']}")
    clock.now += 1.1
    answer = await router.get("/database/function/GetPostsByIds?ids=x")
    assert answer.status_code == 404


async def test_a_field_that_a_change_does_not_send_is_gone(
    admin: httpx.AsyncClient, empty: ConduitState
) -> None:
    made = await create(admin, "/database/schemas", POST)
    document = empty.add_document("Post", {"title": "t", "author": made["_id"]})
    fields = {"title": POST["fields"]["title"], "subtitle": {"type": "String"}}
    address = f"/database/schemas/{made['_id']}"
    changed = await admin.patch(address, json={**POST, "fields": fields})
    shown = (await admin.get(address)).json()["fields"]
    assert "body" in changed.json()["fields"], "it answers with those from before"
    assert set(shown) == {"_id", "createdAt", "updatedAt", "title", "subtitle"}
    assert document["subtitle"] is None


async def test_a_relation_to_nowhere_gets_no_answer(admin: httpx.AsyncClient) -> None:
    fields = {"cover": {"type": "Relation", "model": "Nothing"}}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await admin.post("/database/schemas", json={**POST, "fields": fields})


async def test_settings_are_merged_and_take_effect(
    admin: httpx.AsyncClient, empty: ConduitState
) -> None:
    before = (await admin.get("/config/authentication")).json()["config"]
    change = {"config": {"clients": {"multipleUserSessions": True}}}
    answer = await admin.patch("/config/authentication", json=change)
    assert answer.json()["config"] == before | change["config"]
    assert empty.settings.multiple_user_sessions


async def test_lists_are_paged_and_counted_whole(admin: httpx.AsyncClient) -> None:
    await create(admin, "/database/schemas", POST)
    for number in range(30):
        body = {**BY_IDS, "name": f"E{number:02}"}
        await create(admin, "/database/customEndpoints", body)
    address = "/database/customEndpoints"
    first = (await admin.get(address)).json()
    rest = (await admin.get(address, params={"skip": 25, "limit": 25})).json()
    names = [each["name"] for each in first["customEndpoints"]]
    names += [each["name"] for each in rest["customEndpoints"]]
    assert names == [f"E{number:02}" for number in range(30)]
    assert first["count"] == rest["count"] == 30
    assert len(first["customEndpoints"]) == 25


@pytest.mark.parametrize("secret", ["masterkey", "authorization"])
async def test_a_wrong_master_key_or_token_is_a_401(
    admin: httpx.AsyncClient, secret: str
) -> None:
    answer = await admin.get("/config/modules", headers={secret: "Bearer wrong"})
    assert answer.status_code == 401
    assert "error" in answer.json()
