"""Reads one page of notes: a keyset page in order of creation (flux.md §13).

Called by `resolvers/loaders.py`, so that equal lists of one operation are read once.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec

from clients.flux.client import FluxClient
from clients.flux.records import FluxNote, NoteConditions

from .paging import Cursors, Page, PageRequest, keyset_page, known, rowless_page

EVERY_NOTE: Final = NoteConditions()

Count = Callable[[NoteConditions], Awaitable[int]]


class NoteList(msgspec.Struct, frozen=True):
    """A list of the viewer's notes and the page of it that is wanted."""

    page: PageRequest
    descending: bool = True
    conditions: NoteConditions = EVERY_NOTE


async def read_note_page(
    flux: FluxClient, query: NoteList, *, columns: frozenset[str], count: Count
) -> Page[FluxNote]:
    """One call; one more for the total of a page that is not the first."""
    request = query.page
    total = partial(count, query.conditions)
    cursors = Cursors("notes", query.descending, query.conditions)
    beyond = None if request.cursor is None else cursors.read_keyset(request.cursor)
    if not request.reads_rows:
        return rowless_page(request, total)
    page = await flux.notes.page(
        limit=request.limit,
        descending=query.descending != request.backward,
        beyond=beyond,
        conditions=query.conditions,
        columns=columns,
        count=request.counted and beyond is None,
    )
    counted = total if page.total is None else known(page.total)
    return keyset_page(request, page.notes, cursors.keyset, counted)
