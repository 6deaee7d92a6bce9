"""The reckoning: all is read back and compared with what the people were told.

Called once, when no fault is in force.
"""

import asyncio
import random
from collections import defaultdict
from typing import Final

from .client import Client, Json, Person
from .model import Model, Thing, marker_of
from .reads import Actor, digest, rows
from .writes import NOTES, POSTS, note_creation, submit

# An attempt under a key is undecided for half a minute.
DECIDED_WITHIN_S: Final = 60.0
WRITINGS: Final = {"note": NOTES, "post": POSTS}

ALL_NOTES: Final = """query ($after: String) { notes(first: 100, after: $after) {
  nodes { id body } pageInfo { hasNextPage endCursor } } }"""
ALL_POSTS: Final = """query ($after: String) { posts(first: 100, after: $after) {
  nodes { id title author { databaseId } } pageInfo { hasNextPage endCursor } } }"""
ALL_FILES: Final = """query ($after: String) { files(first: 100, after: $after) {
  nodes { id name previewUrl } pageInfo { hasNextPage endCursor } } }"""

Found = dict[str, list[tuple[str, str]]]  # marker: (id or address, text) of each


class AuditError(Exception):
    """Something could not be read back although no fault is in force."""


async def audit(
    client: Client, people: list[Person], model: Model, rng: random.Random
) -> None:
    """Fill in what is lost, what should not be there, and what is there twice.

    Raises: AuditError.
    """
    actors = {person.name: Actor(person, client, model, rng) for person in people}
    await _decide_all(actors, model)
    found: Found = defaultdict(list)
    for actor in actors.values():
        for note in await _all(actor, ALL_NOTES, "notes"):
            model.see_note(actor.person.name, note["body"])
            found[marker_of(note["body"])].append((note["id"], note["body"]))
    anybody = next(iter(actors.values()))
    for post in await _all(anybody, ALL_POSTS, "posts"):
        model.see_post(post["title"], (post["author"] or {}).get("databaseId"))
        found[marker_of(post["title"])].append((post["id"], post["title"]))
    for file in await _all(anybody, ALL_FILES, "files"):
        found[marker_of(file["name"])].append((file["previewUrl"], file["name"]))
    for thing in list(model.things.values()):
        await compare(actors[thing.owner], thing, found.get(thing.marker, []))


async def _decide_all(actors: dict[str, Actor], model: Model) -> None:
    """Who has a key asks until it is told what became of it."""
    undecided = [
        thing
        for thing in model.things.values()
        if thing.key and thing.id is None and None in thing.possible and thing.open
    ]
    await asyncio.gather(*(_decide(actors[each.owner], each) for each in undecided))


async def _decide(actor: Actor, thing: Thing) -> None:
    """Raises: AuditError."""
    writing, (content,) = WRITINGS[thing.kind], thing.attempted
    ends_at = asyncio.get_running_loop().time() + DECIDED_WITHIN_S
    while asyncio.get_running_loop().time() < ends_at:
        outcome = await submit(actor, writing, thing, content)
        if outcome.kind == "done":
            note_creation(actor, writing, thing, content, outcome, was_open=True)
            return
        await asyncio.sleep(2)
    raise AuditError(f"{thing.marker} is undecided: {actor.problems[-1:]}")


async def _all(actor: Actor, query: str, field: str) -> list[Json]:
    """Every row of a list. Raises: AuditError."""
    found: list[Json] = []
    after = None
    while True:
        data = await actor.ask(query, after=after)
        if not data.get(field):
            raise AuditError(f"{field} cannot be read: {actor.problems[-3:]}")
        found += rows(data, field)
        page = data[field]["pageInfo"]
        if not page["hasNextPage"]:
            return found
        after = page["endCursor"]


async def compare(actor: Actor, thing: Thing, found: list[tuple[str, str]]) -> None:
    """One thing with what was `found` of it: ids or addresses, and texts."""
    model = actor.model
    if len(found) > 1:
        model.duplicates.append(f"{thing.marker} is there {len(found)} times")
    if not found:
        if None not in thing.possible:
            model.lost.append(f"{thing.marker} is gone; possible {thing.possible}")
        return
    if thing.possible == {None}:
        model.ghosts.append(f"{thing.marker} is there: {found[0][1]!r} {thing.told}")
        return
    content: str | None = found[0][1]
    if thing.kind == "file":
        if thing.open:
            return  # its bytes may never have come
        reply = await actor.client.get(actor.person, found[0][0])
        content = digest(reply.body) if reply.status == 200 else f"{reply.status}"
    if content not in thing.possible:
        possible = sorted(map(str, thing.possible))
        model.lost.append(f"{thing.marker} is {content!r}; possible {possible}")
