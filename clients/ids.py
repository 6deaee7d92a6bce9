"""Checks ids before they are sent: one bad id fails a whole batch upstream.

Both upstreams answer in lower case (flux.md §13, conduit.md §1); a loader that
aligns by id needs the same spelling on the way out.
"""

import re
from typing import Final

from .errors import InvalidInputError, Service

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Conduit on MongoDB (conduit.md §11).
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{24}")


def is_uuid(value: str) -> bool:
    """Whether a checked id, in lower case, is a UUID and so one that Flux can hold."""
    return _UUID.fullmatch(value) is not None


def flux_id(value: str, *, field: str = "id") -> str:
    """The UUID in lower case. Raises: InvalidInputError."""
    lowered = value.lower()
    if _UUID.fullmatch(lowered):
        return lowered
    raise _malformed("flux", field)


def conduit_id(value: str, *, field: str = "id") -> str:
    """The UUID, or 24 hex digits, in lower case. Raises: InvalidInputError."""
    lowered = value.lower()
    if _UUID.fullmatch(lowered) or _OBJECT_ID.fullmatch(lowered):
        return lowered
    raise _malformed("conduit", field)


def _malformed(service: Service, field: str) -> InvalidInputError:
    # The value is not quoted: it is whatever a client sent.
    return InvalidInputError(
        f"malformed {field}",
        public_message="This is not a valid id.",
        field=field,
        service=service,
    )
