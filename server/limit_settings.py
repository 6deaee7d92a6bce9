"""Settings of the limits: each a number, `measure:` and a number, or `off`.

Read by `protection_settings.py`. What each bounds and how to choose it stands in
docs/security.md.
"""

import re
from dataclasses import dataclass
from typing import Final

from schema.limits import Limit, Limits

from .environment import EnvironmentReader

_LIMIT: Final = re.compile(r"(measure:)?(\d{1,10})", re.ASCII)
_OFF: Final = Limit(0, "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """`document` holds those that the schema checks, the rest the server's own."""

    document: Limits
    cost_per_minute: Limit
    upstream_calls: Limit
    operations: Limit
    operations_per_person: Limit
    response_bytes: Limit


def read_limits(read: EnvironmentReader) -> LimitSettings:
    return LimitSettings(
        document=Limits(
            tokens=_limit(read, "LIMIT_TOKENS"),
            nesting=_limit(read, "LIMIT_NESTING"),
            depth=_limit(read, "LIMIT_DEPTH"),
            aliases=_limit(read, "LIMIT_ALIASES"),
            directives=_limit(read, "LIMIT_DIRECTIVES"),
            fields=_limit(read, "LIMIT_FIELDS"),
            repeated_fields=_limit(read, "LIMIT_REPEATED_FIELDS"),
            root_fields=_limit(read, "LIMIT_ROOT_FIELDS"),
            page_size=_limit(read, "LIMIT_PAGE_SIZE"),
            cost=_limit(read, "LIMIT_COST"),
        ),
        cost_per_minute=_limit(read, "LIMIT_COST_PER_MINUTE"),
        upstream_calls=_limit(read, "LIMIT_UPSTREAM_CALLS"),
        operations=_limit(read, "LIMIT_OPERATIONS_IN_FLIGHT"),
        operations_per_person=_limit(read, "LIMIT_OPERATIONS_PER_PERSON"),
        response_bytes=_limit(read, "LIMIT_RESPONSE_BYTES"),
    )


def _limit(read: EnvironmentReader, name: str) -> Limit:
    value = read.required(name)
    found = _LIMIT.fullmatch(value)
    if found is not None and int(found[2]) > 0:
        return Limit(int(found[2]), "measure" if found[1] else "enforce")
    if value != "off":
        read.mistake(
            name,
            f"is {value[:80]!r}.",
            "A whole number above 0, `measure:` and one, or `off`.",
        )
    return _OFF
