"""Reads one page of files, newest first, forwards (endpoint GetFiles, conduit.md §12).

Called by `resolvers/loaders.py`, so that equal lists of one operation are read once.
"""

from collections.abc import Awaitable, Callable

from clients.conduit.client import ConduitClient
from clients.conduit.records import ConduitFile

from .paging import Cursors, Page, PageRequest, keyset_page, known, rowless_page

Count = Callable[[], Awaitable[int]]


async def read_file_page(
    conduit: ConduitClient, request: PageRequest, *, count: Count
) -> Page[ConduitFile]:
    """One call; one more for the total of a page that is not the first."""
    cursors = Cursors("files")
    beyond = None if request.cursor is None else cursors.read_keyset(request.cursor)
    if not request.reads_rows:
        return rowless_page(request, count)
    page = await conduit.storage.page(limit=request.limit, beyond=beyond)
    total = known(page.count) if beyond is None else count
    return keyset_page(request, page.documents, cursors.keyset, total)
