"""Connections as the Relay specification has them: one generic type for all lists.

Used by the domain files. Here the arguments of a list are checked and turned into a
`PageRequest`; what a page is and what its cursors hold stands in `resolvers/paging.py`.
"""

import logging
from collections.abc import Awaitable
from enum import Enum
from typing import Annotated, Any, Final, Generic, TypeVar, cast

import strawberry
from strawberry import Parent

from resolvers.context import RequestContext
from resolvers.paging import DEFAULT_PAGE_SIZE, Page, PageRequest

from .costs import Cost, ListSize
from .fields import column, field
from .info import Info
from .selections import selected_fields

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger("mainstem.limits")

MAX_KEPT_PAGES: Final = 64  # of one operation: the same few are asked for

First = Annotated[
    int | None,
    strawberry.argument(
        description="So many rows from the start, 0 to 100. 20 when nothing is said."
    ),
]
After = Annotated[
    str | None,
    strawberry.argument(
        description="Begin after this cursor; not together with `last` or `before`."
    ),
]
Last = Annotated[
    int | None,
    strawberry.argument(
        description="So many rows from the end, 0 to 100; not together with `first`."
    ),
]
Before = Annotated[
    str | None,
    strawberry.argument(
        description="End before this cursor; not together with `first` or `after`."
    ),
]


@strawberry.enum(description="Which way a list is ordered.")
class OrderDirection(Enum):
    """The direction of an order."""

    ASC = strawberry.enum_value("ASC", description="Smallest or oldest first.")
    DESC = strawberry.enum_value("DESC", description="Greatest or newest first.")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = strawberry.field(
        description="Whether there are rows after this page."
    )
    has_previous_page: bool = strawberry.field(
        description="Whether there are rows before this page."
    )
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first row, for `before`; null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last row, for `after`; null on an empty page."
    )


@strawberry.type(description="A row and its place in the list.")
class Edge(Generic[T]):
    """Relay's edge."""

    cursor: str = strawberry.field(
        description="The row's place, for `after` and `before` of the same list."
    )
    node: T = strawberry.field(description="The row itself.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    """Relay's connection; its objects are pages (`Page`) of records."""

    nodes: list[T] = column("items", "The rows of this page, without their cursors.")

    @field("The rows of this page, each with its cursor.")
    @staticmethod
    def edges(page: Parent[Page[Any]]) -> list[Edge[T]]:
        """Pair every row with its cursor."""
        cursor_at = page.cursor_at
        return [
            Edge(cursor=cursor_at(index), node=node)
            for index, node in enumerate(page.items)
        ]

    @field("Where this page stands in its list.")
    @staticmethod
    def page_info(page: Parent[Page[Any]]) -> PageInfo:
        """What the page knows of its neighbours."""
        rows = page.items
        return PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursor_at(0) if rows else None,
            end_cursor=page.cursor_at(len(rows) - 1) if rows else None,
        )

    @field(
        "Rows in the whole list, whatever the page. Counted only when asked for.",
        Cost(weight="5"),  # a call of its own when there is a cursor
    )
    @staticmethod
    async def total_count(page: Parent[Page[Any]]) -> int | None:
        """Ask the page; a failure costs this field alone."""
        return await page.total()


def paged(*, forward_only: bool = False, default: int = DEFAULT_PAGE_SIZE) -> ListSize:
    """How long a connection's page is, for the cost of an operation."""
    return ListSize(
        assumed_size=default,
        slicing_arguments=["first"] if forward_only else ["first", "last"],
        sized_fields=["nodes", "edges"],
        require_one_slicing_argument=False,
    )


def connection(page: Awaitable[Page[R]], kind: type[T]) -> Connection[T]:
    """The connection of a type of records: their page, which the engine awaits.

    Only the type checker learns something.
    """
    return page  # type: ignore[return-value]


def connections(
    pages: list[Page[R] | Exception], kind: type[T]
) -> list[Connection[T] | None]:
    """The connections of many lists; a failed one stays the exception it is."""
    return cast("list[Connection[T] | None]", pages)


def page_request(
    info: Info,
    *,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    default: int = DEFAULT_PAGE_SIZE,
) -> PageRequest:
    """Check a list's arguments. Raises: InvalidInputError."""
    raw = info._raw_info
    context: RequestContext = raw.context
    pages, maximum = context.selection.pages, context.shared.max_page_size
    key = (id(raw.field_nodes[0]), first, after, last, before, default, maximum)
    request = pages.get(key)
    if request is None:
        request = PageRequest.checked(
            wants=selected_fields(info),
            first=first,
            after=after,
            last=last,
            before=before,
            default=default,
            maximum=maximum,
        )
        # A cursor comes once; a place's own fields may depend on variables.
        if after is before is None and context.selection.below is not None:
            if len(pages) >= MAX_KEPT_PAGES:
                pages.clear()
            pages[key] = request
    measured = context.shared.measured_page_size
    if measured is not None and request.size > measured:
        log.warning(
            "limit in request %s: a page of %d rows, over %d",
            context.scope.request_id,
            request.size,
            measured,
        )
    return request
