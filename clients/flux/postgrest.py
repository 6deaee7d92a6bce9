"""The dialect of PostgREST: values, conditions and targets of a request as text.

Pure functions, used by `notes.py`. Sources: flux.md §10 (quoting), §13 (keyset,
sizes); recordings 02-filters, 14-keyset, 15-long-urls, 20-corners.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final
from urllib.parse import quote

from clients.errors import InvalidInputError, UpstreamResponseError
from clients.keyset import Keyset

# A condition is a column (or `or`) and an operator with its value, not yet encoded.
Condition = tuple[str, str]

# Characters that may stay bare in a query (flux.md §10). A comma too, but the answer
# repeats the query in Content-Location with it encoded, and that is what breaks first.
_BARE: Final = "().:*"
# Most values need no encoding; to see that costs a fifth of `quote`.
# What needs no encoding, but for the commas of lists.
_NEEDS_NONE: Final = re.compile(r"[A-Za-z0-9_.~():*,-]*")
_ENCODED_COMMA: Final = "%2C"
# 36 characters and an encoded comma.
_ID_BYTES: Final = 39
IDS_PER_REQUEST: Final = 150
URL_BUDGET_BYTES: Final = 7000
# Leaves room for the other conditions within the budget.
_TEXT_LIMIT_BYTES: Final = 4000
# Everything with a meaning in a PostgreSQL regular expression, outside of brackets.
_REGEX_SPECIAL: Final = re.compile(r"[\\.*+?()\[\]{}^$|]")
_TOTAL: Final = re.compile(r"(?:\d+-\d+|\*)/(\d+)")


def quoted(value: str) -> str:
    """A value inside `in.(…)`, `or=(…)` or `and=(…)`; quoting always is right."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def equals(column: str, value: str) -> Condition:
    """The column is the value; beside other conditions the whole rest is data."""
    return column, f"eq.{value}"


def one_of(column: str, ids: Sequence[str]) -> Condition:
    """The column is one of these UUIDs, which need no quotes."""
    return column, f"in.({','.join(ids)})"


def contains(column: str, text: str, *, field: str) -> Condition:
    """The text column holds `text`, literally, in any case.

    By a regular expression and not by `ilike`: there `*` cannot be escaped (recording
    02, "ilike literal star cannot be escaped").

    Raises: InvalidInputError: text that no text column can hold, or too long.
    """
    if "\x00" in text:
        raise _unusable(field, "This text holds a character that cannot be searched.")
    pattern = _REGEX_SPECIAL.sub(r"\\\g<0>", text)
    if len(encoded(pattern, field=field)) > _TEXT_LIMIT_BYTES:
        raise _unusable(field, "This text is too long to be searched for.")
    return column, f"imatch.{pattern}"


def beyond(keyset: Keyset, *, descending: bool) -> Condition:
    """Rows strictly after the keyset in an order by created_at and id."""
    operator = "lt" if descending else "gt"
    time, row = quoted(keyset.created_at), quoted(keyset.id)
    return (
        "or",
        f"(created_at.{operator}.{time},and(created_at.eq.{time},id.{operator}.{row}))",
    )


def order_by_creation(*, descending: bool) -> str:
    """The order that a keyset walks, encoded."""
    direction = "desc" if descending else "asc"
    return f"created_at.{direction}{_ENCODED_COMMA}id.{direction}"


def encoded(value: str, *, field: str = "filter") -> str:
    """Percent-encoded for the query. Raises: InvalidInputError (lone surrogates)."""
    if _NEEDS_NONE.fullmatch(value):
        return value.replace(",", _ENCODED_COMMA)
    try:
        return quote(value, safe=_BARE)
    except UnicodeEncodeError:
        raise _unusable(field, "This text is not valid Unicode.") from None


def target(
    path: str,
    *,
    columns: frozenset[str],
    conditions: Iterable[Condition] = (),
    order: str | None = None,
    limit: int | None = None,
) -> str:
    """Path and encoded query. `columns` come in a fixed order, for equal URLs.

    They are names of ours and need no encoding; values of conditions may.
    """
    parts = [_selection(columns)]
    parts += [f"{column}={encoded(value)}" for column, value in conditions]
    if order is not None:
        parts.append(f"order={order}")
    if limit is not None:
        parts.append(f"limit={limit}")
    return f"{path}?{'&'.join(parts)}"


@cache
def _selection(columns: frozenset[str]) -> str:
    """As many as there are sets of columns in use."""
    return f"select={_ENCODED_COMMA.join(sorted(columns))}"


def ids_that_fit(other_bytes: int, budget_bytes: int = URL_BUDGET_BYTES) -> int:
    """How many ids one URL may hold beside `other_bytes` of it; at least one."""
    return max(1, min(IDS_PER_REQUEST, (budget_bytes - other_bytes) // _ID_BYTES))


def total_of(headers: Mapping[str, str]) -> int:
    """The total in Content-Range. Raises: UpstreamResponseError."""
    match = _TOTAL.fullmatch(headers.get("content-range", ""))
    if match is None:
        raise UpstreamResponseError(
            f"no total in Content-Range {headers.get('content-range')!r}",
            service="flux",
        )
    return int(match[1])


def profile(method: str, schema: str | None) -> dict[str, str]:
    """The header that names the schema: reads and writes have one each (flux.md §3)."""
    if schema is None:
        return {}
    reads = method in ("GET", "HEAD")
    return {"Accept-Profile" if reads else "Content-Profile": schema}


def _unusable(field: str, public_message: str) -> InvalidInputError:
    return InvalidInputError(
        f"unusable {field}", public_message=public_message, field=field, service="flux"
    )
