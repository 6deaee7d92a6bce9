"""Reads one page of files, newest first, forwards (endpoint GetFiles, conduit.md §12).

Called by `resolvers/loaders.py`, so that equal lists of one operation are read once.
"""

from functools import partial
from typing import TYPE_CHECKING

from clients.conduit.records import ConduitFile
from clients.errors import PermissionDeniedError

from .paging import Cursors, Page, PageRequest, keyset_page, known, rowless_page

if TYPE_CHECKING:  # the context holds the loaders, which call this
    from .context import RequestContext
    from .loaders import BroughtRows


async def read_file_page(
    context: "RequestContext", brought: "BroughtRows", request: PageRequest
) -> Page[ConduitFile]:
    """One call; one more for the total of a page that is not the first."""
    if context.shared.storage_authorization:
        # The list is a custom endpoint: past storage's rules it shows all files.
        raise PermissionDeniedError("no list of files with storage authorization")
    cursors = Cursors(("files",))
    beyond = None if request.cursor is None else cursors.read_keyset(request.cursor)
    count = partial(_count, context)
    if not request.reads_rows:
        return rowless_page(request, count)
    found = await context.conduit.storage.page(limit=request.limit, beyond=beyond)
    total = partial(known, found.count) if beyond is None else count
    page = keyset_page(request, found.documents, cursors.keyset, total)
    brought.files(page.items)
    return page


async def _count(context: "RequestContext") -> int:
    # The first page comes with the total.
    first = await context.loaders.file_pages.load(PageRequest(size=0))
    return await first.total()
