"""What people write, and how the answer changes what the model holds to be possible."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from .client import Json, Problem, Reply
from .model import Kind, Thing
from .reads import CONDUIT, FLUX, STORED, Actor, Operation, digest

TRIES: Final = 3

UPLOAD: Final = """mutation ($input: UploadFileInput!) { uploadFile(input: $input) {
  __typename ... on UploadFileSuccess { file { id previewUrl } } } }"""
DELETE_FILE: Final = """mutation ($id: ID!) { deleteFile(id: $id) {
  __typename ... on DeleteFileSuccess { deletedId } } }"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`row` is what a success returned."""

    kind: Literal["done", "refused", "open"]
    row: Json = None


@dataclass(frozen=True, slots=True)
class Writing:
    """How things of one kind are written; `text` names the input field."""

    kind: Kind
    type: str
    text: str

    @property
    def create(self) -> str:
        return self._document("create", f"{self.kind} {{ id }}")

    @property
    def update(self) -> str:
        return self._document("update", f"{self.kind} {{ id }}")

    @property
    def delete(self) -> str:
        return f"""mutation ($id: ID!) {{ delete{self.type}(id: $id) {{ __typename
          ... on Delete{self.type}Success {{ deletedId }} }} }}"""

    def _document(self, verb: str, selection: str) -> str:
        name = f"{verb.title()}{self.type}"
        return f"""mutation ($input: {name}Input!) {{
          {verb}{self.type}(input: $input) {{ __typename
            ... on {name}Success {{ {selection} }} }} }}"""


NOTES: Final = Writing("note", "Note", "body")
POSTS: Final = Writing("post", "Post", "title")


def outcome_of(actor: Actor, reply: Reply, field: str) -> Outcome:
    """What the person now knows of their write."""
    actor.problems += reply.problems
    result = reply.data.get(field)
    if result is None:
        if not reply.problems:
            actor.problems.append(Problem("NO_RESULT"))
        is_open = any(problem.open for problem in reply.problems)
        return Outcome("open" if is_open else "refused")
    if result["__typename"].endswith("Success"):
        return Outcome("done", result)
    actor.problems.append(Problem(f"result:{result['__typename']}"))
    return Outcome("refused")


async def submit(actor: Actor, writing: Writing, thing: Thing, content: str) -> Outcome:
    """One attempt to make it."""
    given = {writing.text: content, "idempotencyKey": thing.key}
    reply = await actor.client.graphql(actor.person, writing.create, input=given)
    return outcome_of(actor, reply, f"create{writing.type}")


async def create(actor: Actor, writing: Writing) -> None:
    """With a key most of the time, and then again and again while it is open."""
    rng, name = actor.rng, actor.person.name
    key = str(uuid.UUID(int=rng.getrandbits(128))) if rng.random() < 0.7 else None
    thing = actor.model.new(writing.kind, name, key)
    content = thing.next_content()
    outcome, was_open = Outcome("open"), False
    for _ in range(TRIES if key else 1):
        outcome = await submit(actor, writing, thing, content)
        if outcome.kind != "open":
            break
        was_open = True
        await asyncio.sleep(rng.uniform(0.2, 1.0))
    note_creation(actor, writing, thing, content, outcome, was_open=was_open)

    async def repeat() -> None:
        again = await submit(actor, writing, thing, content)
        if again.kind == "done" and again.row[writing.kind]["id"] != thing.id:
            actor.model.duplicates.append(f"{thing.marker} was made twice by its key")

    if outcome.kind == "done" and key and rng.random() < 0.2:
        await _alone(thing, repeat)


def note_creation(
    actor: Actor,
    writing: Writing,
    thing: Thing,
    content: str,
    outcome: Outcome,
    *,
    was_open: bool,
) -> None:
    """What may be there now. An attempt that was open stays so, whatever came later."""
    if outcome.kind == "done":
        actor.model.made(thing, content, outcome.row[writing.kind]["id"])
    elif was_open or outcome.kind == "open":
        thing.left_open(content)


async def update(actor: Actor, writing: Writing) -> None:
    thing = actor.model.pick(writing.kind, actor.person.name, actor.rng)
    if thing is None:
        return

    async def write() -> None:
        content = thing.next_content()
        given = {"id": thing.id, writing.text: content}
        reply = await actor.client.graphql(actor.person, writing.update, input=given)
        outcome = outcome_of(actor, reply, f"update{writing.type}")
        _note_change(thing, content, outcome)

    await _alone(thing, write)


async def delete(actor: Actor, kind: Kind, query: str, field: str) -> None:
    thing = actor.model.pick(kind, actor.person.name, actor.rng)
    if thing is None:
        return

    async def write() -> None:
        reply = await actor.client.graphql(actor.person, query, id=thing.id)
        _note_change(thing, None, outcome_of(actor, reply, field))

    await _alone(thing, write)


def _note_change(thing: Thing, content: str | None, outcome: Outcome) -> None:
    if outcome.kind == "done":
        thing.became(content)
    elif outcome.kind == "open":
        thing.left_open(content)


async def _alone(thing: Thing, write: Callable[[], Awaitable[None]]) -> None:
    """One write at a time: of two at once nobody knows which is the later."""
    thing.busy = True
    try:
        await write()
    finally:
        thing.busy = False


async def create_or_make_room(actor: Actor, writing: Writing) -> None:
    if actor.model.is_full(writing.kind, actor.person.name):
        field = f"delete{writing.type}"
        await delete(actor, writing.kind, writing.delete, field)
    else:
        await create(actor, writing)


async def upload(actor: Actor) -> None:
    """By the mutation or by PUT; up to 200 KB."""
    model, rng, name = actor.model, actor.rng, actor.person.name
    if model.is_full("file", name):
        await delete(actor, "file", DELETE_FILE, "deleteFile")
        return
    thing = model.new("file", name, None)
    content = rng.randbytes(rng.choice((100, 5_000, 200_000)))
    file_name = f"{thing.marker} v0"
    if rng.random() < 0.5:
        reply = await actor.client.multipart(actor.person, UPLOAD, file_name, content)
        outcome = outcome_of(actor, reply, "uploadFile")
    else:
        path = f"/files?name={thing.marker}%20v0"
        reply = await actor.client.put(actor.person, path, content)
        outcome = _outcome_of_put(actor, reply)
    if outcome.kind == "done":
        thing.preview = outcome.row["file"]["previewUrl"]
        model.made(thing, digest(content), outcome.row["file"]["id"])
    elif outcome.kind == "open":
        thing.left_open(digest(content))
    thing.told = f"{reply.status} {reply.problems}"


def _outcome_of_put(actor: Actor, reply: Reply) -> Outcome:
    actor.problems += reply.problems
    if reply.status == 201:
        return Outcome("done", reply.json)
    is_open = any(problem.open for problem in reply.problems)
    return Outcome("open" if is_open else "refused")


async def create_note(actor: Actor) -> None:
    await create_or_make_room(actor, NOTES)


async def create_post(actor: Actor) -> None:
    await create_or_make_room(actor, POSTS)


async def update_note(actor: Actor) -> None:
    await update(actor, NOTES)


async def update_post(actor: Actor) -> None:
    await update(actor, POSTS)


async def delete_note(actor: Actor) -> None:
    await delete(actor, "note", NOTES.delete, "deleteNote")


async def delete_post(actor: Actor) -> None:
    await delete(actor, "post", POSTS.delete, "deletePost")


WRITES: Final = (
    Operation("create note", 9, FLUX, create_note),
    Operation("update note", 5, FLUX, update_note),
    Operation("delete note", 3, FLUX, delete_note),
    Operation("create post", 6, CONDUIT, create_post),
    Operation("update post", 4, CONDUIT, update_post),
    Operation("delete post", 2, CONDUIT, delete_post),
    Operation("upload", 3, STORED, upload),
)
