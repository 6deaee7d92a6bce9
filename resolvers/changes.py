"""Live changes of notes and posts: announced by the writes, read as the subscriber.

The sources of the subscription fields in `schema/changes.py`. Every event is read anew
with the subscriber's own tokens, so row-level security decides what it shows; what
cannot be read is not told. What is gone cannot be read: where Conduit guards posts,
its id goes only to those who surely could have read it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from clients.conduit.records import ConduitPost
from clients.errors import RateLimitedError, UpstreamUnavailableError
from clients.flux.records import FluxNote

from .batching import settled
from .change_feed import Change, ChangeKind, Mailbox
from .context import RequestContext
from .ids import upstream_id

R = TypeVar("R")
# What of these changes is to be told, by id: the row as it is, None when it is gone.
Read = Callable[[RequestContext, Sequence[Change]], Awaitable[dict[str, R | None]]]

# An outage of so many seconds is waited for; meanwhile changes gather in the mailbox.
PAUSES_S: Final = (0.25, 1.0, 4.0)
# So is a budget that comes back within it.
LONGEST_WAIT_S: Final = 30.0
# So many of the posts that it showed does a subscription remember.
MOST_SHOWN: Final = 1000

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
    context.shared.changes.announce(Change("Note", kind, note_id, owner_id))


def announce_post(context: RequestContext, kind: ChangeKind, post_id: str) -> None:
    """A post has changed. No call; nobody waits for it."""
    context.shared.changes.announce(Change("Post", kind, post_id))


def announce_post_gone(context: RequestContext, post: ConduitPost) -> None:
    """A post has been deleted. No call; nobody waits for it."""
    gone = Change("Post", ChangeKind.DELETED, post.id, post.author_id)
    context.shared.changes.announce(gone)


async def note_changes(
    context: RequestContext, *, post_id: str | None
) -> AsyncGenerator[Changed[FluxNote], None]:
    """Changes of the viewer's own notes; one call for all that came together.

    With `post_id` only of notes about it, and every deletion: of a note that is gone
    nobody knows any more what it was about.
    Raises: NotAuthenticatedError, InvalidInputError, VaultUnavailableError.
    """
    viewer_id = context.require_viewer()
    about = None
    if post_id is not None:
        about = upstream_id("Post", post_id, field="postId")

    def wants(change: Change) -> bool:
        return change.domain == "Note" and change.owner_id == viewer_id

    async def read(
        context: RequestContext, batch: Sequence[Change]
    ) -> dict[str, FluxNote | None]:
        alive, gone = _parted(batch)
        notes = await _read_notes(context, alive) if alive else []
        found = {note.id: note for note in notes if about in (None, note.post_id)}
        return dict.fromkeys([change.id for change in gone]) | found

    return _events(context, await context.shared.changes.mailbox(wants), read)


async def post_changes(
    context: RequestContext,
) -> AsyncGenerator[Changed[ConduitPost], None]:
    """Changes of all posts that the viewer may read; one call for those together.

    Where Conduit guards posts row by row, deletions only of the viewer's own and of
    those that this subscription has shown. To know whether it does is one call more.
    Raises: NotAuthenticatedError, VaultUnavailableError.
    """
    viewer_id = context.require_viewer()
    shown: dict[str, None] = {}

    async def read(
        context: RequestContext, batch: Sequence[Change]
    ) -> dict[str, ConduitPost | None]:
        alive, gone = _parted(batch)
        found = await _read_posts(context, alive) if alive else {}
        known = [one for one in gone if one.owner_id == viewer_id or one.id in shown]
        if len(known) < len(gone) and not await context.conduit.posts.are_guarded():
            known = gone
        shown.update(dict.fromkeys(found))
        for id in list(shown)[:-MOST_SHOWN]:
            del shown[id]
        return dict.fromkeys([change.id for change in known]) | found

    mailbox = await context.shared.changes.mailbox(
        lambda change: change.domain == "Post"
    )
    return _events(context, mailbox, read)


def _parted(batch: Sequence[Change]) -> tuple[list[str], list[Change]]:
    """The ids of what can be read, and what is gone."""
    gone = [change for change in batch if change.kind is ChangeKind.DELETED]
    alive = [change.id for change in batch if change.kind is not ChangeKind.DELETED]
    return alive, gone


async def _events(
    context: RequestContext, mailbox: Mailbox, read: Read[R]
) -> AsyncGenerator[Changed[R], None]:
    """Raises: ChangesMissedError, and what reading raises, which ends the events."""
    while True:
        batch = await mailbox.take()
        told = await _patiently(context, batch, read)
        for change in batch:
            if change.id in told:
                yield Changed(change.kind, change.id, told[change.id])


async def _patiently(
    context: RequestContext, batch: Sequence[Change], read: Read[R]
) -> dict[str, R | None]:
    for pause_s in PAUSES_S:
        context.begin_again()
        try:
            return await read(context, batch)
        except UpstreamUnavailableError:
            wait_s = pause_s
        except RateLimitedError as error:
            wait_s = max(pause_s, error.retry_after_s or 0.0)
            if wait_s > LONGEST_WAIT_S:
                raise
        log.info("changes wait for an upstream")
        await asyncio.sleep(wait_s)
    context.begin_again()
    return await read(context, batch)


async def _read_notes(context: RequestContext, ids: Sequence[str]) -> list[FluxNote]:
    """One call; one more for all of their posts, if the events show any."""
    columns = context.selection.note_columns | {"post_id"}
    rows = await context.flux.notes.by_ids(ids, columns=columns)
    context.loaders.brought.notes(rows)
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
    context.loaders.brought.posts(rows)
    return {row.id: row for row in rows}
