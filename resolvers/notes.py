"""Notes of the viewer: Flux shows every person their own rows only."""

import uuid
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Final

from clients.errors import ConflictError, NotFoundError, UpstreamError
from clients.flux.records import FluxNote, NoteConditions
from clients.ids import is_uuid

from . import changes, inputs
from .batching import settled
from .change_feed import ChangeKind
from .context import RequestContext
from .ids import upstream_id
from .note_pages import NoteList
from .outcomes import look_up
from .paging import Cursors, Page, PageRequest, keyset_page, rowless_page
from .retries import checked_key, made_is_gone, other_input

# What tells whether a stored note is the one that was to be written.
_COMPARED: Final = frozenset({"body", "post_id", "updated_at"})

# Ids of notes written with an idempotency key; a name of its own for nothing else.
KEY_NAMESPACE: Final = uuid.UUID("1d9a2f0e-6b0c-5a51-9c5e-6f2d1c3b7a40")


def get_note(context: RequestContext, note_id: str) -> Awaitable[FluxNote | None]:
    """One call for all notes asked for by id; None when missing or hidden."""
    context.require_viewer()
    return context.loaders.notes.load(upstream_id("Note", note_id))


def list_notes(context: RequestContext, query: NoteList) -> Awaitable[Page[FluxNote]]:
    """One call; one more for the total of a page that is not the first."""
    context.require_viewer()
    return context.loaders.note_pages.load(query)


def conditions(
    *,
    body_contains: str | None = None,
    post_id: str | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
) -> NoteConditions:
    """Checked conditions of a list. Raises: InvalidInputError."""
    return NoteConditions(
        body_contains=inputs.search(body_contains, field="bodyContains"),
        post_id=post_id and upstream_id("Post", post_id, field="postId"),
        created_after=created_after,
        created_before=created_before,
    )


async def list_notes_of_posts(
    context: RequestContext, post_ids: Sequence[str], page: PageRequest
) -> list[Page[FluxNote] | Exception]:
    """One call for all posts of the operation; one more for all their totals."""
    count = context.loaders.note_counts_by_post.load
    cursors = Cursors(("post.notes",))
    beyond = None if page.cursor is None else cursors.read_keyset(page.cursor)
    if not page.reads_rows:
        return [rowless_page(page, partial(count, each)) for each in post_ids]
    loader = context.loaders.notes_by_post(per_post=page.limit, beyond=beyond)
    found = await settled(loader.load_all(post_ids))
    return [
        rows
        if isinstance(rows, Exception)
        else keyset_page(page, rows or [], cursors.keyset, partial(count, post_id))
        for post_id, rows in zip(post_ids, found, strict=True)
    ]


async def create_note(
    context: RequestContext,
    *,
    body: str,
    post_id: str | None,
    idempotency_key: str | None = None,
) -> FluxNote:
    """One call; one more when a post is named, which the viewer must be able to read.

    The id is made here, so that a write whose outcome nobody told can be looked up.
    With a key the id follows from it: a repetition is refused by the upstream and
    returns the note that is there, as it stands now (one call more).
    Raises: InvalidInputError, PermissionDeniedError.
    """
    viewer_id = context.require_viewer()
    key = checked_key(idempotency_key)
    body = inputs.text(body, field="body")
    about = await _readable_post_id(context, post_id)
    note_id = str(uuid.uuid4()) if key is None else _id_of_key(viewer_id, key)
    written = partial(_written_note, context, note_id, body=body, post_id=about)
    try:
        note = await context.flux.notes.create(
            id=note_id,
            body=body,
            post_id=about,
            owner_id=viewer_id,
            columns=context.selection.note_columns,
        )
    except ConflictError:
        if key is None:
            raise
        try:
            note = await written()
        except NotFoundError:  # deleted since the refusal
            raise made_is_gone() from None
    except UpstreamError as failure:
        found = await look_up(failure, written)
        if found is None:
            raise
        note = found
    context.forget()
    changes.announce_note(context, ChangeKind.CREATED, note.id)
    return note


async def update_note(context: RequestContext, note_id: str, *, body: str) -> FluxNote:
    """One call. Raises: NotFoundError, also for another's; InvalidInputError."""
    context.require_viewer()
    key = upstream_id("Note", note_id)
    body = inputs.text(body, field="body")
    columns = context.selection.note_columns | {"body"}
    try:
        note = await context.flux.notes.update(key, body=body, columns=columns)
    except UpstreamError as failure:
        note = await look_up(failure, partial(_stored_note, context, key))
        if note is None or note.body != body:
            raise
    if note is None:
        raise NotFoundError("update of a note that is missing or hidden")
    context.forget()
    changes.announce_note(context, ChangeKind.UPDATED, key)
    return note


async def delete_note(context: RequestContext, note_id: str) -> str:
    """One call; the upstream's id of what is gone.

    Raises: NotFoundError, also for another's.
    """
    context.require_viewer()
    key = upstream_id("Note", note_id)
    try:
        was_there = await context.flux.notes.delete(key)
    except UpstreamError as failure:
        if await look_up(failure, partial(_stored_note, context, key)) is not None:
            raise
        was_there = True
    if not was_there:
        raise NotFoundError("delete of a note that is missing or hidden")
    context.forget()
    changes.announce_note(context, ChangeKind.DELETED, key)
    return key


def _id_of_key(viewer_id: str, key: str) -> str:
    """The same for the same person and key; nobody else can make it."""
    return str(uuid.uuid5(KEY_NAMESPACE, f"{viewer_id} {key}"))


async def _written_note(
    context: RequestContext, note_id: str, *, body: str, post_id: str | None
) -> FluxNote:
    """The note that this write, or an earlier one with its key, made; edited or not.

    Raises: NotFoundError; InvalidInputError, when it was another note from the start.
    """
    note = await _stored_note(context, note_id)
    untouched = note.updated_at in (None, note.created_at)
    if untouched and (note.body, note.post_id) != (body, post_id):
        raise other_input()
    return note


async def _stored_note(context: RequestContext, key: str) -> FluxNote:
    columns = context.selection.note_columns | _COMPARED
    rows = await context.flux.notes.by_ids([key], columns=columns)
    if not rows:
        raise NotFoundError("no such note, or it is hidden")
    return rows[0]


async def _readable_post_id(context: RequestContext, post_id: str | None) -> str | None:
    if post_id is None:
        return None
    key = upstream_id("Post", post_id, field="postId")
    if not is_uuid(key):  # Conduit on MongoDB; Flux keeps UUIDs
        raise inputs.refused("postId", "Notes cannot be about this post.")
    if await context.loaders.posts.load(key) is None:
        raise inputs.refused("postId", "There is no such post.")
    return key
