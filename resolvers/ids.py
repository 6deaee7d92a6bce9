"""Global ids: what `Node.id` holds, and which upstream's row it stands for.

A global id is the unpadded base64url of `Note:<id>`. Used by the types in `schema/`
(writing) and by the resolvers (reading). Every id a client sends passes here before it
reaches a loader: one bad id would fail a whole batch upstream.
"""

import binascii
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final, Literal, get_args

from clients.errors import InvalidInputError
from clients.ids import conduit_id, flux_id

Kind = Literal["Note", "Post", "File", "User", "Viewer"]

# The rows that everybody asks for are few; of each kind some 3 MB at most.
IDS_KEPT: Final = 8192

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")

KINDS: Final[dict[str, Kind]] = {kind: kind for kind in get_args(Kind)}


def global_id(kind: Kind, key: str) -> str:
    """The id of the row `key` in this graph."""
    return writer_of_ids(kind)(key)


class _Written(dict[str, str]):
    """The global ids of one kind by the upstream's; emptied when it is full."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self._prefix = f"{kind}:"

    def __missing__(self, key: str) -> str:
        text = b2a_base64((self._prefix + key).encode(), newline=False).rstrip(b"=")
        if len(self) >= IDS_KEPT:
            self.clear()
        written = self[key] = text.translate(_URL_SAFE).decode()
        return written


@cache
def writer_of_ids(kind: Kind) -> Callable[[str], str]:
    """`global_id` of one kind: written for every row of an answer, so it is spare."""
    return _Written(kind).__getitem__


@lru_cache(maxsize=IDS_KEPT)
def parse_global_id(value: str, *, field: str = "id") -> tuple[Kind, str]:
    """Kind and upstream id. Strict: only what `global_id` writes is accepted.

    Raises: InvalidInputError.
    """
    kind_name, _, key = _decoded(value).partition(":")
    kind = KINDS.get(kind_name)
    if kind is None:
        raise _malformed(field)
    key = _checked(kind, key, field)
    if global_id(kind, key) != value:
        raise _malformed(field)
    return kind, key


def upstream_id(kind: Kind, value: str, *, field: str = "id") -> str:
    """The upstream's id out of either a global id of this kind or the id itself.

    Raises: InvalidInputError, also for a global id of another kind.
    """
    if ":" not in _decoded(value):
        return _checked(kind, value, field)
    found, key = parse_global_id(value, field=field)
    if found != kind:
        raise InvalidInputError(
            f"{field}: a {found} instead of a {kind}",
            public_message=f"This is the id of a {found}, not of a {kind}.",
            field=field,
        )
    return key


def _decoded(value: str) -> str:
    """The text inside; empty when it is not unpadded base64url of ASCII."""
    try:
        text = value.encode("ascii").translate(_STANDARD)
        padding = b"=" * (-len(value) % 4)
        return a2b_base64(text + padding, strict_mode=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        return ""


def _checked(kind: Kind, key: str, field: str) -> str:
    return flux_id(key, field=field) if kind == "Note" else conduit_id(key, field=field)


def _malformed(field: str) -> InvalidInputError:
    return InvalidInputError(
        f"malformed global {field}",
        public_message="This is not a valid id.",
        field=field,
    )
