"""Pages: what a client may ask of a list, and the cursors that hold a place in it.

Used by the `*_pages.py` files and, for checking arguments, by `schema/connections.py`.

Two kinds of cursors. A *keyset* cursor holds the last row's creation time and id, so
rows inserted meanwhile never shift a page (flux.md §13, conduit.md §12). An *offset*
cursor holds a position; it is the fall-back for orders and searches without a keyset
upstream. Both are bound to their list, order and conditions: a cursor of another list
is refused. Cursors are not signed: what they hold is checked as any input.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from clients.errors import InvalidInputError
from clients.ids import conduit_id
from clients.keyset import Keyset

from .inputs import refused

T = TypeVar("T")

DEFAULT_PAGE_SIZE: Final = 20
MAX_PAGE_SIZE: Final = 100

# Far beyond any list, and within every upstream's integer.
MAX_OFFSET: Final = 1_000_000_000

# Longer than any cursor made here; a bound on the work done for a forged one.
_MAX_CURSOR_LENGTH: Final = 200

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)
_OFFSET: Final = re.compile(r"0|[1-9]\d{0,9}", re.ASCII)

# What a connection can be asked for that needs its rows.
_OF_ROWS: Final = frozenset({"edges", "nodes"})


class PageRequest(msgspec.Struct, frozen=True):
    """A checked page: `size` rows after (or, backwards, before) a cursor."""

    size: int
    backward: bool = False
    cursor: str | None = None
    counted: bool = False
    reads_rows: bool = True
    # Rows to ask for: one more than shown tells whether there are further.
    limit: int = 0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "limit", self.size + 1)

    @classmethod
    def checked(
        cls,
        *,
        wants: frozenset[str],
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        default: int = DEFAULT_PAGE_SIZE,
        maximum: int = MAX_PAGE_SIZE,
    ) -> "PageRequest":
        """Check a connection's arguments. `wants`: the fields asked of it.

        Nothing asked of the rows means that none are read: `{ totalCount }` alone, or
        `first: 0` without `pageInfo`. Raises: InvalidInputError.
        """
        backward = last is not None or before is not None
        if backward and (first is not None or after is not None):
            raise refused(
                "last",
                "Page either forwards (first, after) or backwards (last, before).",
            )
        name, asked = ("last", last) if backward else ("first", first)
        size = min(default, maximum) if asked is None else asked
        if not 0 <= size <= maximum:
            raise refused(name, f"{name} must be between 0 and {maximum}.")
        return cls(
            size=size,
            backward=backward,
            cursor=before if backward else after,
            counted="totalCount" in wants,
            reads_rows="pageInfo" in wants or (size > 0 and bool(wants & _OF_ROWS)),
        )


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Rows in the list's order. `cursor_at(i)` is made only when it is asked for.

    `total` counts the whole list, whatever the page; it may cost a call.
    """

    items: Sequence[T]
    has_next: bool
    has_previous: bool
    cursor_at: Callable[[int], str]
    total: Callable[[], Awaitable[int]]


class Keyed(Protocol):
    """A row with a place in the order by creation time."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> str | None: ...


class Cursors(msgspec.Struct):
    """Writes and reads the cursors of one list in one order.

    `binding`: whatever makes this list another list than the others.
    """

    binding: tuple[object, ...]
    _tag: str | None = None

    @property
    def tag(self) -> str:
        """Made when a cursor is written or read, which most pages never are."""
        if self._tag is None:
            text = repr(self.binding).encode()
            self._tag = hashlib.blake2b(text, digest_size=6).hexdigest()
        return self._tag

    def keyset(self, row: Keyed) -> str:
        """The place of `row`."""
        return self._write(f"{row.created_at} {row.id}")

    def offset(self, position: int) -> str:
        """The place `position`, counted from 0."""
        return self._write(str(position))

    def read_keyset(self, cursor: str) -> Keyset:
        """Raises: InvalidInputError."""
        created_at, _, key = self._read(cursor).partition(" ")
        if not _TIME.fullmatch(created_at):
            raise _malformed()
        try:
            # Conduit's refusal of a day that does not exist would not name the cursor.
            datetime.fromisoformat(created_at)
            return Keyset(created_at=created_at, id=conduit_id(key))
        except (ValueError, InvalidInputError):
            raise _malformed() from None

    def read_offset(self, cursor: str) -> int:
        """Raises: InvalidInputError."""
        text = self._read(cursor)
        if not _OFFSET.fullmatch(text) or int(text) > MAX_OFFSET:
            raise _malformed()
        return int(text)

    def _write(self, place: str) -> str:
        text = f"{self.tag} {place}"
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    def _read(self, cursor: str) -> str:
        if len(cursor) > _MAX_CURSOR_LENGTH:
            raise _malformed()
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        except (binascii.Error, UnicodeError):
            raise _malformed() from None
        tag, _, place = text.partition(" ")
        if tag != self.tag:
            raise refused(
                "cursor",
                "This cursor belongs to a list with another order or filter.",
            )
        return place


def keyset_page(
    request: PageRequest,
    rows: list[T],
    cursor_of: Callable[[T], str],
    total: Callable[[], Awaitable[int]],
) -> Page[T]:
    """A page out of up to `request.limit` rows, read in the request's direction."""
    size = request.size
    items = rows[:size]
    has_more, beyond_cursor = len(rows) > size, request.cursor is not None
    if request.backward:
        items.reverse()
        has_more, beyond_cursor = beyond_cursor, has_more
    return Page(
        items, has_more, beyond_cursor, lambda index: cursor_of(items[index]), total
    )


class Window(msgspec.Struct, frozen=True):
    """Which rows of an offset list to read: `limit` after `skip`.

    `from_end`: read in the opposite order, since nobody knows yet where the end is.
    """

    skip: int
    limit: int
    from_end: bool = False

    @classmethod
    def of(cls, request: PageRequest, cursors: Cursors) -> "Window":
        """The window of a page. Raises: InvalidInputError for a foreign cursor."""
        place = None if request.cursor is None else cursors.read_offset(request.cursor)
        if not request.backward:
            return cls(skip=0 if place is None else place + 1, limit=request.limit)
        if place is None:
            return cls(skip=0, limit=request.limit, from_end=True)
        skip = max(0, place - request.size)
        return cls(skip=skip, limit=place - skip)


def offset_page(
    request: PageRequest,
    window: Window,
    rows: Sequence[T],
    cursors: Cursors,
    count: int,
) -> Page[T]:
    """A page out of the rows of `window`; `count` is that of the whole list."""
    more = len(rows) > request.size
    items = list(rows[: request.size])
    start = window.skip
    if window.from_end:
        items.reverse()
        start = max(0, count - len(items))
    return Page(
        items=items,
        has_next=(request.cursor is not None) if request.backward else more,
        has_previous=more if window.from_end else window.skip > 0,
        cursor_at=lambda index: cursors.offset(start + index),
        total=partial(known, count),
    )


async def known(count: int) -> int:
    """A total that came with the rows."""
    return count


def rowless_page(request: PageRequest, total: Callable[[], Awaitable[int]]) -> Page[T]:
    """A page whose rows nobody asked for."""
    return keyset_page(request, [], lambda _: "", total)


def _malformed() -> InvalidInputError:
    return refused("cursor", "This is not a valid cursor.")
