"""Checks ids before they are sent: one bad id fails a whole batch upstream.

Both upstreams answer in lower case (flux.md §13, conduit.md §1); a loader that
aligns by id needs the same spelling on the way out.
"""

import re
from functools import lru_cache
from typing import Final

from .errors import InvalidInputError, Service

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Conduit on MongoDB (conduit.md §11).
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{24}")
_OBJECT_ID_LENGTH: Final = 24

# The rows that everybody asks for are few; some 2 MB of each kind at most.
_CHECKED_KEPT: Final = 8192


# Whether a checked id, in lower case, is a UUID and so one that Flux can hold. Without
# a function around it: it is asked of every id of a page.
is_uuid: Final = _UUID.fullmatch


def is_object_id(value: str) -> bool:
    """Whether a checked id, in lower case, is one of Conduit on MongoDB."""
    return len(value) == _OBJECT_ID_LENGTH


@lru_cache(maxsize=_CHECKED_KEPT)
def flux_id(value: str, *, field: str = "id") -> str:
    """The UUID in lower case. Raises: InvalidInputError."""
    lowered = value.lower()
    if _UUID.fullmatch(lowered):
        return lowered
    raise malformed("flux", field)


@lru_cache(maxsize=_CHECKED_KEPT)
def conduit_id(value: str, *, field: str = "id") -> str:
    """The UUID, or 24 hex digits, in lower case. Raises: InvalidInputError."""
    lowered = value.lower()
    if _UUID.fullmatch(lowered) or _OBJECT_ID.fullmatch(lowered):
        return lowered
    raise malformed("conduit", field)


def malformed(service: Service, field: str) -> InvalidInputError:
    """The refusal of an id, for whoever knows more about what it must be."""
    # The value is not quoted: it is whatever a client sent.
    return InvalidInputError(
        f"malformed {field}",
        public_message="This is not a valid id.",
        field=field,
        service=service,
    )
