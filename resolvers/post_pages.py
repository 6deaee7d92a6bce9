"""Reads one page of posts: by keyset in order of creation, else by offset.

Called by `resolvers/loaders.py`, so that equal lists of one operation are read once.
Conduit has keyset endpoints for the order by creation, of all posts and of one author's
(conduit.md §12); other orders and searches page by offset.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Literal

import msgspec

from clients.conduit.client import ConduitClient
from clients.conduit.records import ConduitPage, ConduitPost

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

Count = Callable[[PostConditions], Awaitable[int]]


class PostList(msgspec.Struct, frozen=True):
    """A list of posts and the page of it that is wanted."""

    page: PageRequest
    sort: SortField = "createdAt"
    descending: bool = True
    conditions: PostConditions = EVERY_POST

    @property
    def has_keyset(self) -> bool:
        """Whether the upstream can go on from a row instead of a position."""
        return self.sort == "createdAt" and self.conditions.title_contains is None


def read_post_page(
    conduit: ConduitClient, query: PostList, *, populate: frozenset[str], count: Count
) -> Awaitable[Page[ConduitPost]]:
    """One call; one more for the total of a page beyond a keyset cursor."""
    read = _keyset_page if query.has_keyset else _offset_page
    return read(conduit, query, populate, count)


async def _keyset_page(
    conduit: ConduitClient, query: PostList, populate: frozenset[str], count: Count
) -> Page[ConduitPost]:
    request = query.page
    total = partial(count, query.conditions)
    cursors = Cursors("posts", query.descending, query.conditions)
    beyond = None if request.cursor is None else cursors.read_keyset(request.cursor)
    if not request.reads_rows:
        return rowless_page(request, total)
    if beyond is None:
        first = await _list_page(
            conduit,
            query,
            Window(skip=0, limit=request.limit, from_end=request.backward),
            populate,
        )
        count_of_all = known(first.count)
        return keyset_page(request, first.documents, cursors.keyset, count_of_all)
    page = await conduit.posts.beyond(
        limit=request.limit,
        keyset=beyond,
        descending=query.descending != request.backward,
        author_id=query.conditions.author_id,
        scope=query.conditions.scope,
        populate=populate,
    )
    return keyset_page(request, page.documents, cursors.keyset, total)


async def _offset_page(
    conduit: ConduitClient, query: PostList, populate: frozenset[str], count: Count
) -> Page[ConduitPost]:
    request = query.page
    cursors = Cursors("posts", query.sort, query.descending, query.conditions)
    window = Window.of(request, cursors)
    total = partial(count, query.conditions)
    # A limit of 0 has no meaning that all databases share (conduit.md §11).
    if not request.reads_rows or window.limit == 0:
        return rowless_page(request, total)
    page = await _list_page(conduit, query, window, populate)
    return offset_page(request, window, page.documents, cursors, page.count)


def _list_page(
    conduit: ConduitClient, query: PostList, window: Window, populate: frozenset[str]
) -> Awaitable[ConduitPage[ConduitPost]]:
    return conduit.posts.list_page(
        limit=window.limit,
        skip=window.skip,
        sort=(query.sort, query.descending != window.from_end),
        author_id=query.conditions.author_id,
        title_contains=query.conditions.title_contains,
        scope=query.conditions.scope,
        populate=populate,
    )
