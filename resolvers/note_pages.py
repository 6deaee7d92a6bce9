"""Reads one page of notes: a keyset page in order of creation (flux.md §13).

Called by `resolvers/loaders.py`, so that equal lists of one operation are read once.
"""

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from clients.flux.records import EVERY_NOTE, FluxNote, NoteConditions

from .paging import Cursors, Page, PageRequest, keyset_page, known, rowless_page

if TYPE_CHECKING:  # the context holds the loaders, which call this
    from .context import RequestContext
    from .loaders import BroughtRows


class NoteList(msgspec.Struct, frozen=True):
    """A list of the viewer's notes and the page of it that is wanted."""

    page: PageRequest
    descending: bool = True
    conditions: NoteConditions = EVERY_NOTE


async def read_note_page(
    context: "RequestContext", brought: "BroughtRows", query: NoteList
) -> Page[FluxNote]:
    """One call; one more for the total of a page that is not the first."""
    request, conditions = query.page, query.conditions
    cursors = Cursors(("notes", query.descending, conditions))
    beyond = None if request.cursor is None else cursors.read_keyset(request.cursor)
    count = partial(_count, context, conditions)
    if not request.reads_rows:
        return rowless_page(request, count)
    found = await context.flux.notes.page(
        limit=request.limit,
        descending=query.descending != request.backward,
        beyond=beyond,
        conditions=conditions,
        columns=context.selection.note_columns,
        count=request.counted and beyond is None,
    )
    total = count if found.total is None else partial(known, found.total)
    page = keyset_page(request, found.notes, cursors.keyset, total)
    brought.notes(page.items)
    return page


async def _count(context: "RequestContext", conditions: NoteConditions) -> int:
    # Of the context's loaders: those of now keep the page, and it would keep them.
    return await context.loaders.note_counts.load(conditions)
