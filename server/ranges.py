"""Conditional and partial reads: entity tags, `Range`, `If-Range` (RFC 9110).

Pure functions for `preview.py`. One range at a time: several in one request, or a
header that is none, are ignored, as §14.2 allows; the answer is then the whole file.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from clients.conduit.records import ConduitFile
from clients.errors import UpstreamResponseError

_FLAGS = re.IGNORECASE | re.ASCII
# `*+`: blanks are not tried in other portions, of which a long header has many.
_RANGE = re.compile(r"bytes\s*+=\s*+(\d{0,18})\s*+-\s*+(\d{0,18})", _FLAGS)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", _FLAGS)
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})", _FLAGS)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `first` to `last`, both included, of `total` (None: not known)."""

    first: int
    last: int
    total: int | None

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        total = "*" if self.total is None else self.total
        return f"bytes {self.first}-{self.last}/{total}"


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """`first` None: the last `last` bytes; `last` None: from `first` to the end."""

    first: int | None
    last: int | None

    @property
    def header(self) -> str:
        first = "" if self.first is None else self.first
        last = "" if self.last is None else self.last
        return f"bytes={first}-{last}"

    def of(self, total: int) -> Span | None:
        """The bytes meant; None when there are none (416)."""
        first, last = self.first, total - 1
        if first is None:
            first = max(total - (self.last or 0), 0)
        elif self.last is not None:
            last = min(self.last, last)
        return Span(first, last, total) if first <= last else None

    def fits(self, span: Span) -> bool:
        """Whether a storage's answer is what was asked for."""
        if span.total is not None:
            return self.of(span.total) == span
        if self.first is None:
            return 0 < span.length <= (self.last or 0)
        ends = self.last is None or span.last <= self.last
        return ends and span.first == self.first <= span.last


def entity_tag(file: ConduitFile) -> str:
    """Strong: Conduit touches `updatedAt` with every change of contents."""
    return f'"{file.id}-{file.updated_at}"'


def is_unchanged(if_none_match: str | None, tag: str) -> bool:
    """Whether the client's copy is good (304); compared weakly, as §13.1.2 says."""
    if if_none_match is None:
        return False
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return "*" in known or tag in known


def wanted_range(
    range_header: str | None, if_range: str | None, tag: str
) -> RangeRequest | None:
    """The one range asked for; None for the whole file.

    `If-Range` must be the tag itself: no date is ever given out to compare with.
    """
    match = _RANGE.fullmatch((range_header or "").strip())
    if match is None or (if_range is not None and if_range.strip() != tag):
        return None
    first, last = (int(text) if text else None for text in match.groups())
    if first is None and last is None:
        return None
    if first is not None and last is not None and last < first:
        return None
    return RangeRequest(first, last)


def span_of_answer(content_range: str | None) -> Span:
    """What a 206 of the storage holds. Raises: UpstreamResponseError."""
    match = _CONTENT_RANGE.fullmatch((content_range or "").strip())
    if match is None:
        raise UpstreamResponseError("the storage's 206 has no sound Content-Range")
    total = None if match[3] == "*" else int(match[3])
    return Span(int(match[1]), int(match[2]), total)


def total_of_refusal(content_range: str | None) -> int | None:
    """The length that a 416 of the storage tells."""
    match = _UNSATISFIED.fullmatch((content_range or "").strip())
    return int(match[1]) if match else None


async def cut(chunks: AsyncIterator[bytes], span: Span) -> AsyncIterator[bytes]:
    """The bytes of `span` out of the whole: what stands before is thrown away.

    Raises: UpstreamResponseError when there are fewer.
    """
    skip, left = span.first, span.length
    async for chunk in chunks:
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        piece = chunk[skip : skip + left]
        skip, left = 0, left - len(piece)
        yield piece
        if left == 0:
            return
    raise UpstreamResponseError(f"the storage's file ends {left} bytes too early")
