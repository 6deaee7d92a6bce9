"""Ranges: `limit`/`offset` with the `Range` header, and `Content-Range` back.

`rest.py` calls these. Recordings 01, 03, 06, 18 and 20.
"""

import re
from dataclasses import replace

from .errors import FluxError, bad_range
from .tree import Node

_RANGE = re.compile(r"(?:items=)?(\d+)-(\d*)$")


def narrow(node: Node, range_header: str | None, max_rows: int | None) -> Node:
    """The root with what the Range header and the server's cap leave of its page.

    Raises: FluxError PGRST103.
    """
    offset, end = node.offset, _end(node)
    if range_header and (found := _RANGE.match(range_header)):
        first = int(found[1])
        last = int(found[2]) + 1 if found[2] else None
        if last is not None and first >= last:
            raise bad_range(
                "The lower boundary must be lower than or equal to the upper boundary"
                " in the Range header."
            )
        offset = max(offset, first)
        end = last if end is None else end if last is None else min(end, last)
    limit = None if end is None else max(0, end - offset)
    if max_rows is not None:
        limit = max_rows if limit is None else min(limit, max_rows)
    return replace(node, offset=offset, limit=limit)


def _end(node: Node) -> int | None:
    return None if node.limit is None else node.offset + node.limit


def content_range(offset: int, rows: int, total: int | None) -> str:
    """The value of Content-Range; no rows are a star."""
    shown = f"{offset}-{offset + rows - 1}" if rows else "*"
    return f"{shown}/{'*' if total is None else total}"


def page_status(offset: int, rows: int, total: int | None) -> int:
    """200 when the page is all there is, 206 when not, 416 past the end."""
    if total is None:
        return 200
    if offset > total:
        return 416
    return 206 if rows < total else 200


def past_the_end(offset: int, total: int) -> FluxError:
    """PGRST103 of a counted page whose offset is beyond the total."""
    return bad_range(
        f"An offset of {offset} was requested, but there are only {total} rows."
    )
