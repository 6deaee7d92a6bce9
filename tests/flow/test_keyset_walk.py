"""Long lists walked while others insert and delete: survivors are met exactly once."""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import jwt
import pytest
from own_conduit import OwnConduit
from serving import NO_TLS

from harness import Caller, Sandbox

NOTES, POSTS, PAGE = 1_000, 300, 7

FORWARDS = """query ($after: String, $direction: OrderDirection!) {
  list: %s(first: 7, after: $after, orderBy: { direction: $direction }) {
    nodes { databaseId } pageInfo { hasNextPage endCursor } } }"""
BACKWARDS = """query ($before: String, $direction: OrderDirection!) {
  list: %s(last: 7, before: $before, orderBy: { direction: $direction }) {
    nodes { databaseId } pageInfo { hasPreviousPage startCursor } } }"""

Direction = pytest.mark.parametrize("direction", ["DESC", "ASC"])
Way = pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])


async def walk(
    caller: Caller,
    kind: str,
    direction: str,
    *,
    backwards: bool,
    disturb: Callable[[], Awaitable[None]],
) -> list[str]:
    """All ids by pages of seven; something is inserted and deleted between pages."""
    query = (BACKWARDS if backwards else FORWARDS) % kind
    variable = "before" if backwards else "after"
    has_more, edge = (
        ("hasPreviousPage", "startCursor")
        if backwards
        else ("hasNextPage", "endCursor")
    )
    found: list[str] = []
    cursor = None
    while True:
        data = await caller.data(query, direction=direction, **{variable: cursor})
        ids = [node["databaseId"] for node in data["list"]["nodes"]]
        found += reversed(ids) if backwards else ids
        if not data["list"]["pageInfo"][has_more]:
            return found
        cursor = data["list"]["pageInfo"][edge]
        await disturb()


class Disturbance:
    """Inserts and deletes rows; what lived all the while must be met exactly once."""

    def __init__(
        self,
        ids: list[str],
        insert: Callable[[], Awaitable[list[str]]],
        delete: Callable[[str], Awaitable[None]],
    ) -> None:
        self.born: set[str] = set()
        self.dead: set[str] = set()
        self.original = ids
        self._insert, self._delete = insert, delete
        # The same at every run.
        self._victims = random.Random(7).sample(ids, len(ids) // 2)  # noqa: S311

    async def __call__(self) -> None:
        self.born.update(await self._insert())
        victim = self._victims.pop() if self._victims else None
        if victim is not None:
            await self._delete(victim)
            self.dead.add(victim)

    def check(self, found: list[str]) -> None:
        survivors = set(self.original) - self.dead
        assert len(found) == len(set(found))
        assert survivors - set(found) == set()
        assert set(found) <= set(self.original) | self.born
        assert len(self.born) > len(self.original) // PAGE
        assert self.dead


class Notes:
    """One person's notes, seeded and disturbed by plain calls to Flux."""

    def __init__(self, sandbox: Sandbox, owner: str) -> None:
        claims = {"sub": owner, "exp": int(time.time()) + 3_000}
        token = jwt.encode(claims, sandbox.flux_jwt_secret, "HS256")
        self._owner = owner
        self._http = httpx.AsyncClient(
            base_url=sandbox.flux,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            verify=NO_TLS,
        )

    async def __aenter__(self) -> "Notes":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.delete("/notes", params={"owner_id": f"eq.{self._owner}"})
        await self._http.aclose()

    async def seed(self, count: int) -> list[str]:
        """In one statement of two hundred rows each, so that times are shared."""
        ids = [str(uuid.uuid4()) for _ in range(count)]
        for start in range(0, count, 200):
            batch = ids[start : start + 200]
            rows = [self._row(id) for id in batch]
            (await self._http.post("/notes", json=rows)).raise_for_status()
        return ids

    def _row(self, id: str) -> dict[str, Any]:
        return {"id": id, "body": "x", "owner_id": self._owner}

    async def insert(self) -> list[str]:
        return await self.seed(2)

    async def delete(self, id: str) -> None:
        await self._http.delete("/notes", params={"id": f"eq.{id}"})


@Way
@Direction
async def test_a_thousand_notes_are_met_exactly_once(
    me: Caller, sandbox: Sandbox, conduit: OwnConduit, direction: str, backwards: bool
) -> None:
    async with Notes(sandbox, conduit.join("me")) as notes:
        disturb = Disturbance(await notes.seed(NOTES), notes.insert, notes.delete)
        found = await walk(me, "notes", direction, backwards=backwards, disturb=disturb)
    disturb.check(found)


@Way
@Direction
async def test_three_hundred_posts_are_met_exactly_once(
    me: Caller, conduit: OwnConduit, direction: str, backwards: bool
) -> None:
    author, posts = conduit.join("me"), conduit.state.collections["Post"]
    ids = [
        # Ten posts share each time, as bulk-created ones do (conduit.md §3).
        str(
            conduit.state.add_post(
                str(number),
                author,
                created_at=f"2026-11-01T08:{number // 10 % 60:02}:00.000Z",
            )["_id"]
        )
        for number in range(POSTS)
    ]

    async def insert() -> list[str]:
        await asyncio.sleep(0)
        return [str(conduit.state.add_post("new", author)["_id"]) for _ in range(2)]

    async def delete(id: str) -> None:
        posts.delete(id)

    disturb = Disturbance(ids, insert, delete)
    found = await walk(me, "posts", direction, backwards=backwards, disturb=disturb)
    disturb.check(found)
