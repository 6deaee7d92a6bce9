"""Single values as Conduit on PostgreSQL reads, keeps and compares them.

Pure functions, used by `parameters.py`, `collection.py` and `queries.py`.
"""

import re
from datetime import UTC, datetime

from .failures import ModuleError, invalid_uuid

_UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)"
)


def is_uuid(value: object) -> bool:
    """Whether PostgreSQL would take it."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def as_uuid(value: object, prefix: str = "") -> str:
    """In lower case. Raises: ModuleError."""
    if not isinstance(value, str) or not is_uuid(value):
        raise invalid_uuid(str(value), prefix)
    return value.lower()


def as_date(value: object) -> str | None:
    """UTC with milliseconds; None unless a full date-time with an offset."""
    if not isinstance(value, str) or not (found := _DATE_TIME.fullmatch(value)):
        return None
    try:
        moment = datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00"))
    except ValueError:
        return None
    return date_text(moment)


def date_text(moment: datetime) -> str:
    """As in every answer, e.g. 2026-11-22T06:17:19.477Z."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def timestamp_text(seconds: float) -> str:
    """The same for a clock's seconds."""
    return date_text(datetime.fromtimestamp(round(seconds, 3), UTC))


def check_length(value: object) -> None:
    """Refuse what a varchar(255) cannot hold. Raises: ModuleError."""
    if isinstance(value, str) and len(value) > 255:
        raise ModuleError(500, "value too long for type character varying(255)")
