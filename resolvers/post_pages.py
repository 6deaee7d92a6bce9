"""Reads one page of posts: by keyset in order of creation, else by offset.

Called by `resolvers/loaders.py`, so that equal lists of one operation are read once.
Conduit has keyset endpoints for the order by creation, of all posts and of one author's
(conduit.md §12); other orders and searches page by offset.
"""

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from clients.conduit.records import ConduitPost

from .paging import (
    Cursors,
    Page,
    PageRequest,
    Window,
    keyset_page,
    known,
    offset_page,
    rowless_page,
)

if TYPE_CHECKING:  # the context holds the loaders, which call this
    from .context import RequestContext
    from .loaders import BroughtRows

SortField = Literal["createdAt", "updatedAt", "title"]


class PostConditions(msgspec.Struct, frozen=True):
    """All that are given must hold; the author's id is the upstream's.

    `scope`: what this team or person may read, where posts have row-level
    authorization.
    """

    author_id: str | None = None
    title_contains: str | None = None
    scope: str | None = None


EVERY_POST: Final = PostConditions()


class PostList(msgspec.Struct, frozen=True):
    """A list of posts and the page of it that is wanted."""

    page: PageRequest
    sort: SortField = "createdAt"
    descending: bool = True
    conditions: PostConditions = EVERY_POST


async def read_post_page(
    context: "RequestContext", brought: "BroughtRows", query: PostList
) -> Page[ConduitPost]:
    """One call; one more for the total of a page beyond a keyset cursor."""
    request, conditions = query.page, query.conditions
    if query.sort != "createdAt" or conditions.title_contains is not None:
        # The upstream cannot go on from a row, only from a position.
        return await _offset_page(context, brought, query)
    cursors = Cursors(("posts", query.descending, conditions))
    beyond = None if request.cursor is None else cursors.read_keyset(request.cursor)
    if not request.reads_rows:
        return rowless_page(request, partial(_count, context, conditions))
    descending = query.descending != request.backward
    if beyond is None:
        found = await context.conduit.posts.list_page(
            limit=request.limit,
            sort=("createdAt", descending),
            author_id=conditions.author_id,
            scope=conditions.scope,
            populate=context.post_relations,
        )
        count = partial(known, found.count)
    else:
        found = await context.conduit.posts.beyond(
            limit=request.limit,
            keyset=beyond,
            descending=descending,
            author_id=conditions.author_id,
            scope=conditions.scope,
            populate=context.post_relations,
        )
        count = partial(_count, context, conditions)
    page = keyset_page(request, found.documents, cursors.keyset, count)
    brought.posts(page.items)
    return page


async def _offset_page(
    context: "RequestContext", brought: "BroughtRows", query: PostList
) -> Page[ConduitPost]:
    request, conditions = query.page, query.conditions
    cursors = Cursors(("posts", query.sort, query.descending, conditions))
    window = Window.of(request, cursors)
    # A limit of 0 has no meaning that all databases share (conduit.md §11).
    if not request.reads_rows or window.limit == 0:
        return rowless_page(request, partial(_count, context, conditions))
    found = await context.conduit.posts.list_page(
        limit=window.limit,
        skip=window.skip,
        sort=(query.sort, query.descending != window.from_end),
        author_id=conditions.author_id,
        title_contains=conditions.title_contains,
        scope=conditions.scope,
        populate=context.post_relations,
    )
    page = offset_page(request, window, found.documents, cursors, found.count)
    brought.posts(page.items)
    return page


def count_posts(
    context: "RequestContext", conditions: PostConditions
) -> Awaitable[int]:
    """One call: how many posts meet the conditions."""
    return context.conduit.posts.count(
        author_id=conditions.author_id,
        title_contains=conditions.title_contains,
        scope=conditions.scope,
    )


async def _count(context: "RequestContext", conditions: PostConditions) -> int:
    # Of the context's loaders: those of now keep the page, and it would keep them.
    return await context.loaders.post_counts.load(conditions)
