"""The scalar `DateTime`: the upstream's own text going out, RFC 3339 coming in.

Conduit writes milliseconds and `Z`, Flux microseconds and `+00:00`. Both go out as they
came: a digit cut off a time would lose rows when it comes back in a filter.
"""

import re
from datetime import datetime
from typing import Final, NewType

import strawberry
from graphql import GraphQLError

DateTime = NewType("DateTime", str)

_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)


def parse_datetime(value: object) -> DateTime:
    """The text as it was sent. Raises: GraphQLError when it is no such time."""
    text = value.upper() if isinstance(value, str) else ""
    match = _RFC_3339.fullmatch(text)
    if match is None or not _is_on_the_calendar(match[1]):
        raise GraphQLError(
            "DateTime must be RFC 3339 with an offset, e.g. 2026-11-22T06:17:19.477Z.",
            extensions={"code": "BAD_USER_INPUT"},
        )
    return DateTime(text)


def _is_on_the_calendar(date_and_time: str) -> bool:
    try:
        datetime.fromisoformat(date_and_time)
    except ValueError:
        return False
    return True


DATE_TIME: Final = strawberry.scalar(
    name="DateTime",
    description="RFC 3339 with offset, e.g. 2026-11-22T06:17:19.477Z",
    specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339",
    serialize=str,
    parse_value=parse_datetime,
)
