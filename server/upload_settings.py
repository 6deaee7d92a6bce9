"""Settings of uploads: how big, of which types. Read by `settings.py` only."""

import re
from dataclasses import dataclass
from typing import Final

from .environment import EnvironmentReader

_PATTERN: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/([a-z0-9!#$&^_.+-]+|\*)")
MOST_BYTES: Final = 5 * 2**30  # the largest single PUT of S3 and its likes


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSettings:
    """Types are `kind/name` or `kind/*`; an empty `allowed_types` allows all."""

    max_bytes: int
    allowed_types: tuple[str, ...]
    denied_types: tuple[str, ...]


def read_uploads(read: EnvironmentReader) -> UploadSettings:
    return UploadSettings(
        max_bytes=read.integer("UPLOAD_MAX_BYTES", least=1, most=MOST_BYTES),
        allowed_types=_types(read, "UPLOAD_TYPES"),
        denied_types=_types(read, "UPLOAD_TYPES_DENIED"),
    )


def _types(read: EnvironmentReader, name: str) -> tuple[str, ...]:
    types = read.names(name)
    for each in types:
        if not _PATTERN.fullmatch(each):
            read.mistake(
                name,
                f"{each[:80]!r} is not a media type.",
                "Lower case, for example image/png or image/*.",
            )
    return types
