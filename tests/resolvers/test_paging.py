"""Page requests and cursors on their own; walking is tested through the schema."""

import base64
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import InvalidInputError
from clients.keyset import Keyset
from resolvers.paging import (
    Cursors,
    PageRequest,
    Window,
    keyset_page,
    known,
    offset_page,
)

ROWS = frozenset({"nodes"})
KEY = "0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b"


@dataclass(frozen=True)
class Row:
    id: str
    created_at: str


def encoded(text):
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "time", ["2026-11-22T06:17:19.123456+00:00", "2026-11-22T06:17:19.477Z"]
)
def test_a_keyset_cursor_keeps_the_upstreams_text(time):
    cursors = Cursors(("notes", True))
    written = cursors.keyset(Row(KEY, time))
    assert cursors.read_keyset(written) == Keyset(created_at=time, id=KEY)


@pytest.mark.parametrize(
    "time",
    ["2026-02-30T06:17:19Z", "2026-11-22T24:17:19Z", "2026-11-22T06:17:19+99:00"],
)
def test_a_forged_cursor_of_a_time_that_is_none_is_refused(time):
    """Conduit answers an input that is no date by a page of HTML, status 400."""
    cursors = Cursors(("posts",))
    with pytest.raises(InvalidInputError):
        cursors.read_keyset(cursors.keyset(Row(KEY, time)))


@given(st.integers(0, 10**9))
def test_an_offset_cursor_keeps_its_position(position):
    cursors = Cursors(("posts", "title"))
    assert cursors.read_offset(cursors.offset(position)) == position


@given(st.text(max_size=60), st.booleans())
def test_a_forged_cursor_is_refused_and_never_crashes(text, wrap):
    cursors = Cursors(("notes",))
    tag = base64.urlsafe_b64decode(cursors.offset(0) + "==").split()[0].decode()
    forged = encoded(f"{tag} x{text}") if wrap and text.isascii() else text
    with pytest.raises(InvalidInputError):
        cursors.read_keyset(forged)
    with pytest.raises(InvalidInputError):
        cursors.read_offset(forged)


@pytest.mark.parametrize(
    "place",
    [
        f"2026-11-22T06:17:19Z,or=(id.gt.0) {KEY}",
        f"2026-11-22T06:17:19Z {KEY} more",
        f"2026-11-22 {KEY}",
        "2026-11-22T06:17:19Z 1",
        "-1",
        "01",
        "1" + "0" * 9 + "1",
        "",
    ],
)
def test_what_a_cursor_holds_is_checked_as_input(place):
    cursors = Cursors(("notes",))
    tag = base64.urlsafe_b64decode(cursors.offset(0) + "==").split()[0].decode()
    with pytest.raises(InvalidInputError):
        cursors.read_keyset(encoded(f"{tag} {place}"))
    with pytest.raises(InvalidInputError):
        cursors.read_offset(encoded(f"{tag} {place}"))


def test_cursors_of_other_lists_are_refused():
    with pytest.raises(InvalidInputError):
        Cursors(("notes", False)).read_keyset(
            Cursors(("notes", True)).keyset(Row(KEY, "2026-11-22T06:17:19Z"))
        )


@pytest.mark.parametrize(
    ("wants", "first", "reads"),
    [
        ({"nodes"}, None, True),
        ({"edges"}, 1, True),
        ({"pageInfo"}, 0, True),
        ({"nodes", "edges"}, 0, False),
        ({"totalCount"}, None, False),
        ({"__typename"}, 5, False),
    ],
)
def test_rows_are_read_only_when_something_needs_them(wants, first, reads):
    request = PageRequest.checked(wants=frozenset(wants), first=first)
    assert request.reads_rows is reads
    assert request.counted is ("totalCount" in wants)


def test_before_alone_pages_backwards():
    request = PageRequest.checked(wants=ROWS, before="x")
    assert (request.backward, request.cursor, request.size) == (True, "x", 20)


@given(
    st.integers(0, 15),
    st.integers(0, 6),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 15)),
)
def test_offset_pages_tell_the_truth_about_their_neighbours(
    count, size, backward, mark
):
    cursors = Cursors(("posts",))
    everything = list(range(count))
    if mark is not None and mark >= count:
        mark = None
    request = PageRequest(
        size=size,
        backward=backward,
        cursor=None if mark is None else cursors.offset(mark),
    )
    window = Window.of(request, cursors)
    source = everything[::-1] if window.from_end else everything
    rows = source[window.skip : window.skip + window.limit]
    page = offset_page(request, window, rows, cursors, count)

    if backward:
        candidates = everything if mark is None else everything[:mark]
        expected = candidates[max(0, len(candidates) - size) :]
        assert page.has_previous == (len(candidates) > size)
        assert page.has_next == (mark is not None)
    else:
        candidates = everything if mark is None else everything[mark + 1 :]
        expected = candidates[:size]
        assert page.has_next == (len(candidates) > size)
        assert page.has_previous == (mark is not None)
    assert page.items == expected
    for index, item in enumerate(expected):
        assert cursors.read_offset(page.cursor_at(index)) == item


async def test_a_page_asked_backwards_is_shown_in_the_lists_order():
    request = PageRequest(size=2, backward=True)
    page = keyset_page(request, [3, 2, 1], str, partial(known, 9))
    assert (page.items, page.has_previous, page.has_next) == ([2, 3], True, False)
    assert [page.cursor_at(0), page.cursor_at(1)] == ["2", "3"]
    assert await page.total() == 9
