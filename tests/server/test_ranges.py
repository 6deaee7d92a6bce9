"""Range, If-Range and entity tags: what is asked for, and what of it there is."""

import time
from collections.abc import AsyncIterator

import pytest

from clients.conduit.records import ConduitFile
from clients.errors import UpstreamResponseError
from server.ranges import (
    RangeRequest,
    Span,
    cut,
    entity_tag,
    is_unchanged,
    span_of_answer,
    total_of_refusal,
    wanted_range,
)

TAG = '"a-1"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", RangeRequest(0, 0)),
        ("bytes=5-", RangeRequest(5, None)),
        ("bytes=-7", RangeRequest(None, 7)),
        ("BYTES = 1 - 2", RangeRequest(1, 2)),
        ("bytes=00-09", RangeRequest(0, 9)),
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=2-1", None),
        ("bytes=0-1,3-4", None),
        ("bytes=0-1,", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=--1", None),
        ("bytes=0x1-2", None),
        ("bytes=1.5-2", None),
        ("bytes=\u0661-2", None),
        ("bytes=" + "9" * 40 + "-", None),
        ("0-1", None),
    ],
)
def test_one_range_is_understood_and_what_is_none_is_ignored(
    header: str | None, expected: RangeRequest | None
) -> None:
    assert wanted_range(header, None, TAG) == expected


def test_a_range_of_blanks_costs_no_time() -> None:
    started = time.process_time()
    assert wanted_range("bytes=" + " " * 30_000 + "x", None, TAG) is None
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        (None, True),
        (TAG, True),
        (f" {TAG} ", True),
        (f"W/{TAG}", False),
        ('"other"', False),
        ("Sun, 22 Nov 2026 06:17:19 GMT", False),
        ("", False),
        ("*", False),
    ],
)
def test_a_range_is_given_only_if_the_condition_names_the_very_tag(
    if_range: str | None, holds: bool
) -> None:
    assert (wanted_range("bytes=0-1", if_range, TAG) is not None) == holds


@pytest.mark.parametrize(
    ("header", "total", "expected"),
    [
        ("bytes=0-0", 10, Span(0, 0, 10)),
        ("bytes=0-99", 10, Span(0, 9, 10)),
        ("bytes=9-", 10, Span(9, 9, 10)),
        ("bytes=-3", 10, Span(7, 9, 10)),
        ("bytes=-99", 10, Span(0, 9, 10)),
        ("bytes=-0", 10, None),
        ("bytes=10-", 10, None),
        ("bytes=10-20", 10, None),
        ("bytes=0-", 0, None),
        ("bytes=-1", 0, None),
    ],
)
def test_a_range_is_cut_to_the_file(
    header: str, total: int, expected: Span | None
) -> None:
    wanted = wanted_range(header, None, TAG)
    assert wanted is not None
    assert wanted.of(total) == expected


@pytest.mark.parametrize(
    ("header", "answer", "fits"),
    [
        ("bytes=0-4", "bytes 0-4/10", True),
        ("bytes=0-4", "bytes 0-4/*", True),
        ("bytes=0-4", "bytes 0-3/*", True),
        ("bytes=0-4", "bytes 0-3/10", False),
        ("bytes=0-4", "bytes 1-4/10", False),
        ("bytes=0-4", "bytes 0-5/*", False),
        ("bytes=2-", "bytes 2-9/10", True),
        ("bytes=2-", "bytes 2-9/*", True),
        ("bytes=2-", "bytes 2-8/10", False),
        ("bytes=-4", "bytes 6-9/10", True),
        ("bytes=-4", "bytes 6-9/*", True),
        ("bytes=-4", "bytes 5-9/*", False),
        ("bytes=-4", "bytes 9-6/*", False),
    ],
)
def test_a_storages_answer_must_be_what_was_asked(
    header: str, answer: str, fits: bool
) -> None:
    wanted = wanted_range(header, None, TAG)
    assert wanted is not None
    assert wanted.fits(span_of_answer(answer)) == fits


@pytest.mark.parametrize(
    "header", [None, "", "bytes", "bytes 1-2", "bytes */10", "bytes a-b/c", "1-2/3"]
)
def test_a_partial_answer_must_say_what_it_is(header: str | None) -> None:
    with pytest.raises(UpstreamResponseError):
        span_of_answer(header)


def test_a_refusal_may_tell_the_length() -> None:
    assert total_of_refusal("bytes */12") == 12
    assert total_of_refusal(None) is None
    assert total_of_refusal("bytes 0-1/12") is None


@pytest.mark.parametrize(
    ("header", "unchanged"),
    [
        (None, False),
        (TAG, True),
        (f"W/{TAG}", True),
        (f'"x", {TAG}', True),
        ("*", True),
        ('"x"', False),
        ("", False),
        ("a-1", False),
    ],
)
def test_a_copy_is_good_if_its_tag_is_among_those_named(
    header: str | None, unchanged: bool
) -> None:
    assert is_unchanged(header, TAG) == unchanged


def test_the_tag_changes_with_the_file() -> None:
    one = ConduitFile(id="a", name="n", size=1, created_at="t", updated_at="t1")
    other = ConduitFile(id="a", name="n", size=1, created_at="t", updated_at="t2")
    assert entity_tag(one) != entity_tag(other)
    assert entity_tag(one).startswith('"')


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("first", range(9))
@pytest.mark.parametrize("last", range(9))
async def test_a_piece_is_cut_out_of_chunks_of_any_size(first: int, last: int) -> None:
    if last < first:
        last = first
    found = [
        piece
        async for piece in cut(
            chunks(b"0", b"", b"123", b"45678"), Span(first, last, 9)
        )
    ]
    assert b"".join(found) == b"012345678"[first : last + 1]


async def test_what_is_not_read_any_more_is_not_taken() -> None:
    taken: list[bytes] = []

    async def source() -> AsyncIterator[bytes]:
        for part in (b"ab", b"cd", b"ef"):
            taken.append(part)
            yield part

    assert [piece async for piece in cut(source(), Span(1, 2, 6))] == [b"b", b"c"]
    assert taken == [b"ab", b"cd"]


async def test_a_file_that_is_too_short_is_told() -> None:
    with pytest.raises(UpstreamResponseError):
        async for _ in cut(chunks(b"abc"), Span(1, 5, 6)):
            pass
