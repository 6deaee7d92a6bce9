"""What people ask: reads of every family of fields, each compared with the model.

`Operation.needs` are the parts that an operation cannot do without; a fault of another
part must not touch it.
"""

import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from .client import Client, Json, Person, Problem
from .faults import Target
from .model import Model

NOTES: Final = "query ($n: Int) { notes(first: $n) { nodes { id body createdAt } } }"
SEARCH: Final = """query ($text: String!) {
  notes(first: 10, filter: {bodyContains: $text}) { nodes { body } totalCount } }"""
NOTE: Final = "query ($id: ID!) { note(id: $id) { body } }"
NODES: Final = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Note { body } } }"
VIEWER: Final = "{ viewer { databaseId email username } }"
SESSIONS: Final = "{ viewer { email sessions { id current } } }"
POSTS: Final = """query ($n: Int) { posts(first: $n) {
  nodes { id title author { databaseId } coverFile { previewUrl } } } }"""
OWN_POSTS: Final = """{ viewer { databaseId
  posts(first: 10) { nodes { title author { databaseId } } } } }"""
BOTH: Final = """{ notes(first: 10) { nodes { body } }
  posts(first: 10) { nodes { title author { databaseId } notes(first: 3) {
    nodes { body } } } } }"""
GONE: Final = "NOT_FOUND"
FILES: Final = "{ files(first: 20) { nodes { id name size } } }"


@dataclass(slots=True)
class Actor:
    """A person about to do one thing; `problems` is what they are told on the way."""

    person: Person
    client: Client
    model: Model
    rng: random.Random
    problems: list[Problem] = field(default_factory=list)

    async def ask(self, query: str, **variables: Json) -> Json:
        """The data as far as it came."""
        reply = await self.client.graphql(self.person, query, **variables)
        self.problems += reply.problems
        return reply.data


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    weight: int
    needs: frozenset[Target]
    perform: Callable[[Actor], Awaitable[None]]


def rows(data: Json, *path: str) -> list[Json]:
    """`nodes` of a connection, [] if it did not come."""
    for name in path:
        data = (data or {}).get(name)
    return list((data or {}).get("nodes") or [])


async def notes(actor: Actor) -> None:
    for note in rows(await actor.ask(NOTES, n=20), "notes"):
        actor.model.see_note(actor.person.name, note["body"])


async def search(actor: Actor) -> None:
    """For what everybody's notes hold: only one's own may be found."""
    for note in rows(await actor.ask(SEARCH, text="note"), "notes"):
        actor.model.see_note(actor.person.name, note["body"])


async def note(actor: Actor) -> None:
    """One's own, and by its id another person's, which must not be there."""
    name, model = actor.person.name, actor.model
    own = model.pick("note", name, actor.rng)
    if own is not None:
        found = (await actor.ask(NOTE, id=own.id)).get("note")
        if found is not None:
            model.see_note(name, found["body"])
    theirs = model.foreign_id("note", name, actor.rng)
    if theirs is not None and (await actor.ask(NOTE, id=theirs)).get("note"):
        model.crossed.append(f"{name} could read the note {theirs} of another")


async def nodes(actor: Actor) -> None:
    """Ids of several people in one question."""
    name, model, rng = actor.person.name, actor.model, actor.rng
    picked = [model.pick("note", name, rng) for _ in range(3)]
    ids = [thing.id for thing in picked if thing is not None]
    ids += [model.foreign_id("note", name, rng) for _ in range(3)]
    asked = list(dict.fromkeys(id for id in ids if id is not None))
    data = await actor.ask(NODES, ids=asked)
    for found in filter(None, data.get("nodes") or []):
        model.see_note(name, found["body"])


async def viewer(actor: Actor) -> None:
    _see_viewer(actor, (await actor.ask(VIEWER)).get("viewer"))


async def sessions(actor: Actor) -> None:
    found = (await actor.ask(SESSIONS)).get("viewer")
    _see_viewer(actor, found)
    for session in (found or {}).get("sessions") or []:
        if not isinstance(session["id"], str):
            actor.model.crossed.append("a session without an id")


async def posts(actor: Actor) -> None:
    for post in rows(await actor.ask(POSTS, n=20), "posts"):
        author = (post["author"] or {}).get("databaseId")
        actor.model.see_post(post["title"], author)


async def own_posts(actor: Actor) -> None:
    found = (await actor.ask(OWN_POSTS)).get("viewer")
    for post in rows(found, "posts"):
        author = (post["author"] or {}).get("databaseId")
        actor.model.see_post(post["title"], author)
        if author not in (None, actor.person.user_id):
            actor.model.crossed.append(f"{post['title']!r} among another's posts")


async def both(actor: Actor) -> None:
    """Fields of both upstreams side by side, and one's notes of posts."""
    data = await actor.ask(BOTH)
    own = rows(data, "notes")
    for post in rows(data, "posts"):
        actor.model.see_post(post["title"], (post["author"] or {}).get("databaseId"))
        own += rows(post, "notes")
    for found in own:
        actor.model.see_note(actor.person.name, found["body"])


async def files(actor: Actor) -> None:
    await actor.ask(FILES)


async def preview(actor: Actor) -> None:
    """The bytes of one's own file must be those that were sent."""
    thing = actor.model.pick("file", actor.person.name, actor.rng)
    if thing is None:
        return
    expected = set(thing.possible)
    reply = await actor.client.get(actor.person, thing.preview)
    # Its owner may be deleting it at the same time.
    gone = thing.busy or None in thing.possible
    actor.problems += [p for p in reply.problems if not (gone and p.code == GONE)]
    if reply.status == 200 and digest(reply.body) not in expected | thing.possible:
        actor.model.crossed.append(f"{thing.marker} has other bytes")


async def anonymous(actor: Actor) -> None:
    """Without a session, so without any upstream."""
    reply = await actor.client.graphql(None, "{ __typename viewer { email } }")
    actor.problems += reply.problems
    if reply.data.get("viewer"):
        actor.model.crossed.append("somebody without a session was taken for another")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _see_viewer(actor: Actor, found: Json) -> None:
    if found is not None and found["email"] != actor.person.email:
        actor.model.crossed.append(
            f"{actor.person.name} was taken for {found['email']}"
        )


FLUX: Final[frozenset[Target]] = frozenset({"flux", "redis"})
CONDUIT: Final[frozenset[Target]] = frozenset({"conduit", "redis"})
STORED: Final[frozenset[Target]] = frozenset({"conduit", "files", "redis"})

READS: Final = (
    Operation("notes", 14, FLUX, notes),
    Operation("search", 4, FLUX, search),
    Operation("note", 6, FLUX, note),
    Operation("nodes", 5, FLUX, nodes),
    Operation("viewer", 6, CONDUIT, viewer),
    Operation("sessions", 2, CONDUIT, sessions),
    Operation("posts", 12, CONDUIT, posts),
    Operation("own posts", 5, CONDUIT, own_posts),
    Operation("both", 8, FLUX | CONDUIT, both),
    Operation("files", 3, CONDUIT, files),
    Operation("preview", 5, STORED, preview),
    Operation("anonymous", 4, frozenset(), anonymous),
)
