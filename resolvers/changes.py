"""Live changes of notes and posts: announced by the writes, read as the subscriber.

The sources of the subscription fields in `schema/changes.py`. Every event is read anew
with the subscriber's own tokens, so row-level security decides what it shows; what
cannot be read is not told.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from clients.conduit.records import ConduitPost
from clients.errors import UpstreamUnavailableError
from clients.flux.records import FluxNote

from .batching import settled
from .change_feed import Change, ChangeKind, Mailbox
from .context import RequestContext
from .ids import upstream_id

R = TypeVar("R")
Read = Callable[[RequestContext, Sequence[str]], Awaitable[dict[str, R]]]

# An outage of so many seconds is waited for; meanwhile changes gather in the mailbox.
PAUSES_S: Final = (0.25, 1.0, 4.0)

log = logging.getLogger("mainstem.changes")


@dataclass(frozen=True, slots=True)
class Changed(Generic[R]):
    """An event; `record` is None when the row has been deleted."""

    kind: ChangeKind
    id: str
    record: R | None


def announce_note(context: RequestContext, kind: ChangeKind, note_id: str) -> None:
    """A note of the viewer has changed. No call; nobody waits for it."""
    owner_id = context.require_viewer()
    context.changes.announce(Change("Note", kind, note_id, owner_id))


def announce_post(context: RequestContext, kind: ChangeKind, post_id: str) -> None:
    """A post has changed. No call; nobody waits for it."""
    context.changes.announce(Change("Post", kind, post_id))


async def note_changes(
    context: RequestContext, *, post_id: str | None
) -> AsyncGenerator[Changed[FluxNote], None]:
    """Changes of the viewer's own notes; one call for all that came together.

    With `post_id` only of notes about it, and every deletion: of a note that is gone
    nobody knows any more what it was about.
    Raises: NotAuthenticatedError, InvalidInputError, VaultUnavailableError.
    """
    viewer_id = context.require_viewer()
    about = post_id and upstream_id("Post", post_id, field="postId")

    def wants(change: Change) -> bool:
        return change.domain == "Note" and change.owner_id == viewer_id

    async def read(context: RequestContext, ids: Sequence[str]) -> dict[str, FluxNote]:
        notes = await _read_notes(context, ids)
        return {note.id: note for note in notes if about in (None, note.post_id)}

    return _events(context, await context.changes.mailbox(wants), read)


async def post_changes(
    context: RequestContext,
) -> AsyncGenerator[Changed[ConduitPost], None]:
    """Changes of all posts that the viewer may read; one call for those together.

    Raises: NotAuthenticatedError, VaultUnavailableError.
    """
    context.require_viewer()
    mailbox = await context.changes.mailbox(lambda change: change.domain == "Post")
    return _events(context, mailbox, _read_posts)


async def _events(
    context: RequestContext, mailbox: Mailbox, read: Read[R]
) -> AsyncGenerator[Changed[R], None]:
    """Raises: ChangesMissedError, and what reading raises, which ends the events."""
    while True:
        batch = await mailbox.take()
        alive = [one.id for one in batch if one.kind is not ChangeKind.DELETED]
        rows = await _patiently(context, alive, read)
        for change in batch:
            row = rows.get(change.id)
            if row is not None or change.kind is ChangeKind.DELETED:
                yield Changed(change.kind, change.id, row)


async def _patiently(
    context: RequestContext, ids: Sequence[str], read: Read[R]
) -> dict[str, R]:
    for pause_s in PAUSES_S:
        context.begin_again()
        try:
            return await read(context, ids) if ids else {}
        except UpstreamUnavailableError:
            log.info("changes wait for an upstream")
            await asyncio.sleep(pause_s)
    context.begin_again()
    return await read(context, ids)


async def _read_notes(context: RequestContext, ids: Sequence[str]) -> list[FluxNote]:
    """One call; one more for all of their posts, if the events show any."""
    columns = context.selection.note_columns | {"post_id"}
    rows = await context.flux.notes.by_ids(ids, columns=columns)
    context.loaders.bring_notes(rows)
    if "post" in context.selection.fields("Note"):
        # Each event runs by itself: asked there, every post would be a call.
        await settled(context.loaders.posts.load_all([row.post_id for row in rows]))
    return rows


async def _read_posts(
    context: RequestContext, ids: Sequence[str]
) -> dict[str, ConduitPost]:
    """One call, with authors and covers if the events show any."""
    rows = await context.conduit.posts.by_ids(
        ids, populate=context.selection.post_relations
    )
    context.loaders.bring_posts(rows)
    return {row.id: row for row in rows}
