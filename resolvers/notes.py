"""Notes of the viewer: Flux shows every person their own rows only."""

import uuid
from collections.abc import Awaitable
from functools import partial

from clients.errors import NotFoundError, UpstreamUnavailableError
from clients.flux.records import FluxNote, NoteConditions

from . import inputs
from .context import RequestContext
from .ids import upstream_id
from .note_pages import NoteList
from .outcomes import look_up
from .paging import Cursors, Page, PageRequest, keyset_page, rowless_page


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


async def list_notes_of_post(
    context: RequestContext, post_id: str, page: PageRequest
) -> Page[FluxNote]:
    """One call for all posts of the operation; one more for all their totals."""
    total = partial(context.loaders.note_counts_by_post.load, post_id)
    cursors = Cursors("post.notes")
    beyond = None if page.cursor is None else cursors.read_keyset(page.cursor)
    if not page.reads_rows:
        return rowless_page(page, total)
    loader = context.loaders.notes_by_post(per_post=page.limit, beyond=beyond)
    return keyset_page(page, await loader.load(post_id), cursors.keyset, total)


async def create_note(
    context: RequestContext, *, body: str, post_id: str | None
) -> FluxNote:
    """One call; one more when a post is named, which the viewer must be able to read.

    The id is made here, so that a write whose outcome nobody told can be looked up.
    Raises: InvalidInputError, PermissionDeniedError.
    """
    viewer_id = context.require_viewer()
    body = inputs.text(body, field="body")
    about = await _readable_post_id(context, post_id)
    note_id = str(uuid.uuid4())
    try:
        note = await context.flux.notes.create(
            id=note_id,
            body=body,
            post_id=about,
            owner_id=viewer_id,
            columns=context.selection.note_columns,
        )
    except UpstreamUnavailableError as failure:
        found = await look_up(failure, partial(_stored_note, context, note_id))
        if found is None:
            raise
        note = found
    context.forget()
    return note


async def update_note(context: RequestContext, note_id: str, *, body: str) -> FluxNote:
    """One call. Raises: NotFoundError, also for another's; InvalidInputError."""
    context.require_viewer()
    key = upstream_id("Note", note_id)
    body = inputs.text(body, field="body")
    columns = context.selection.note_columns | {"body"}
    try:
        note = await context.flux.notes.update(key, body=body, columns=columns)
    except UpstreamUnavailableError as failure:
        note = await look_up(failure, partial(_stored_note, context, key))
        if note is None or note.body != body:
            raise
    if note is None:
        raise NotFoundError("update of a note that is missing or hidden")
    context.forget()
    return note


async def delete_note(context: RequestContext, note_id: str) -> str:
    """One call; the upstream's id of what is gone.

    Raises: NotFoundError, also for another's.
    """
    context.require_viewer()
    key = upstream_id("Note", note_id)
    try:
        was_there = await context.flux.notes.delete(key)
    except UpstreamUnavailableError as failure:
        if await look_up(failure, partial(_stored_note, context, key)) is not None:
            raise
        was_there = True
    if not was_there:
        raise NotFoundError("delete of a note that is missing or hidden")
    context.forget()
    return key


async def _stored_note(context: RequestContext, key: str) -> FluxNote:
    rows = await context.flux.notes.by_ids(
        [key], columns=context.selection.note_columns | {"body"}
    )
    if not rows:
        raise NotFoundError("no such note, or it is hidden")
    return rows[0]


async def _readable_post_id(context: RequestContext, post_id: str | None) -> str | None:
    if post_id is None:
        return None
    key = upstream_id("Post", post_id, field="postId")
    if await context.loaders.posts.load(key) is None:
        raise inputs.refused("postId", "There is no such post.")
    return key
