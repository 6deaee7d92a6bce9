"""The dialect of Conduit's database routes: targets, sort, lists, documents.

Pure functions, used by `posts.py`, `users.py`, `storage.py`. Sources: conduit.md §1
(query strings), §3, §4; recordings database_read, database_write, custom_endpoints.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import quote

import msgspec

from clients.errors import InvalidInputError
from clients.keyset import Keyset

from .records import ConduitFile, ConduitPost, ConduitUser

IDS_PER_REQUEST: Final = 100
SortField = Literal["createdAt", "updatedAt", "title"]
_NEEDS_NONE: Final = re.compile(r"[A-Za-z0-9_.~,:-]*")
_LIKE_SPECIAL: Final = re.compile(r"[\\%_]")
# With all else well below the 16 KB that end in 431 (conduit.md §8).
_TEXT_LIMIT_BYTES: Final = 4000
NEWEST_FIRST: Final = "-createdAt,-_id"
NO_PARAMETERS: Final[Mapping[str, str]] = {}


def target(path: str, parameters: Mapping[str, str]) -> str:
    """Path and encoded query. A comma stays: Conduit splits values at it."""
    # Most values need no encoding; to see that costs a fifth of `quote`.
    if not _NEEDS_NONE.fullmatch("".join(parameters.values())):
        parameters = {n: quote(value, safe=",:") for n, value in parameters.items()}
    query = "&".join([f"{name}={value}" for name, value in parameters.items()])
    return f"{path}?{query}" if query else path


def function(name: str, parameters: Mapping[str, str]) -> str:
    """The target of a custom endpoint of `conduit-init.json`."""
    return target(f"/database/function/{name}", parameters)


def listed(ids: Sequence[str]) -> str:
    """A list parameter; the ids have been checked, so none holds a comma."""
    return ",".join(ids)


def text(value: str, *, field: str) -> str:
    """A text parameter as it may travel in a query.

    Raises: InvalidInputError: a comma would make a list of it (conduit.md §1, recording
    custom_endpoints: 400); NUL and lone surrogates no text column holds.
    """
    if "," in value:
        raise _unusable(field, "This text must not hold a comma.")
    try:
        size = len(quote(value))
    except UnicodeEncodeError:
        raise _unusable(field, "This text is not valid Unicode.") from None
    if "\x00" in value:
        raise _unusable(field, "This text holds a character that cannot be used.")
    if size > _TEXT_LIMIT_BYTES:
        raise _unusable(field, "This text is too long.")
    return value


def like(value: str, *, field: str) -> str:
    """A text to be contained, literally.

    `%` and `_` are wildcards upstream (recording custom_endpoints, "wildcard not
    escaped"); a backslash takes their meaning away, because PostgreSQL's ILIKE escapes
    by it. On MongoDB the text becomes a regular expression (conduit.md §11), where
    this is right for `_` and for nothing else.
    """
    return _LIKE_SPECIAL.sub(r"\\\g<0>", text(value, field=field))


def sort_by(field: SortField, *, descending: bool) -> str:
    """A total order: it ends in the id, since times may be equal (conduit.md §3)."""
    sign = "-" if descending else ""
    return f"{sign}{field},{sign}_id"


def keyset(place: Keyset) -> dict[str, str]:
    """The inputs of a keyset endpoint (conduit.md §12)."""
    return {
        "createdAt": text(place.created_at, field="cursor"),
        "id": text(place.id, field="cursor"),
    }


def populated(relations: Iterable[str]) -> dict[str, str]:
    """The parameter that embeds related documents, if any are wanted."""
    names = ",".join(sorted(relations))
    return {"populate": names} if names else {}


def scoped(scope: str | None) -> dict[str, str]:
    """The parameter that reads or writes as a team; for authorized schemas only.

    Raises: InvalidInputError: text that cannot travel in a query.
    """
    return {} if scope is None else {"scope": text(scope, field="scope")}


def _unusable(field: str, public_message: str) -> InvalidInputError:
    return InvalidInputError(
        f"unusable {field}",
        public_message=public_message,
        field=field,
        service="conduit",
    )


def restricted(post: ConduitPost, populate: frozenset[str]) -> ConduitPost:
    """The post without the related documents that nobody asked for.

    The router's GraphQL populates what is selected there, and one selection serves all;
    past storage's own rules a file must not be shown.
    """
    changes: dict[str, str | None] = {}
    if "author" not in populate and isinstance(post.author_ref, ConduitUser):
        changes["author_ref"] = post.author_id
    if "coverFile" not in populate and isinstance(post.cover_ref, ConduitFile):
        changes["cover_ref"] = post.cover_file_id
    return msgspec.structs.replace(post, **changes) if changes else post


# The fields of documents for Conduit's GraphQL, where a selected relation is populated.
FILE_SELECTION: Final = (
    "_id name mimeType size isPublic folder createdAt updatedAt"  # no address
)
POST_SELECTION: Final = (
    "_id title body createdAt updatedAt "
    f"author{{_id username}} coverFile{{{FILE_SELECTION}}}"
)
