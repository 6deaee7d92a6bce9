"""Connections as the Relay specification has them: one generic type for all lists.

Used by the domain files. Here the arguments of a list are checked and turned into a
`PageRequest`; what a page is and what its cursors hold stands in `resolvers/paging.py`.
"""

import logging
from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar, cast

import strawberry

from resolvers.paging import DEFAULT_PAGE_SIZE, Page, PageRequest

from .costs import Cost, ListSize
from .fields import field
from .info import Info
from .selections import selected_fields

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger("mainstem.limits")

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
    """Relay's connection over a `Page`; cursors are made only when asked for."""

    page: strawberry.Private[Page[Any]]  # of records; `nodes` holds their types
    nodes: list[T] = strawberry.field(
        description="The rows of this page, without their cursors."
    )

    @field("The rows of this page, each with its cursor.")
    def edges(self) -> list[Edge[T]]:
        """Pair every row with its cursor."""
        cursor_at = self.page.cursor_at
        return [
            Edge(cursor=cursor_at(index), node=node)
            for index, node in enumerate(self.nodes)
        ]

    @field("Where this page stands in its list.")
    def page_info(self) -> PageInfo:
        """What the page knows of its neighbours."""
        page, last = self.page, len(self.nodes) - 1
        return PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursor_at(0) if self.nodes else None,
            end_cursor=page.cursor_at(last) if self.nodes else None,
        )

    @field(
        "Rows in the whole list, whatever the page. Counted only when asked for.",
        Cost(weight="5"),  # a call of its own when there is a cursor
    )
    async def total_count(self) -> int | None:
        """Ask the page; a failure costs this field alone."""
        return await self.page.total()


def paged(*, forward_only: bool = False, default: int = DEFAULT_PAGE_SIZE) -> ListSize:
    """How long a connection's page is, for the cost of an operation."""
    return ListSize(
        assumed_size=default,
        slicing_arguments=["first"] if forward_only else ["first", "last"],
        sized_fields=["nodes", "edges"],
        require_one_slicing_argument=False,
    )


def connection(page: Page[R], kind: type[T]) -> Connection[T]:
    """The connection over a page of records, which are the objects of the type."""
    return Connection(page=page, nodes=cast("list[T]", page.items))


def connections(
    pages: Iterable[Page[R] | Exception], kind: type[T]
) -> list[Connection[T] | None]:
    """The connections of many lists; a failed one stays the exception it is."""
    made = [
        page if isinstance(page, Exception) else connection(page, kind)
        for page in pages
    ]
    return cast("list[Connection[T] | None]", made)


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
    context = info.context
    request = PageRequest.checked(
        wants=selected_fields(info),
        first=first,
        after=after,
        last=last,
        before=before,
        default=default,
        maximum=context.max_page_size,
    )
    measured = context.measured_page_size
    if measured is not None and request.size > measured:
        log.warning(
            "limit in request %s: a page of %d rows, over %d",
            context.scope.request_id,
            request.size,
            measured,
        )
    return request
