"""What Conduit answers, as frozen records that hold no more than we may show.

A Conduit user object carries e-mail addresses and the tokens of sign-in providers
(conduit.md §2): `ConduitUser` has no place for them, and they are never decoded.

Structs, where there may be hundreds in an answer: made in a tenth of the time of a
frozen dataclass. They cannot form a cycle, so the garbage collector may pass them by.
A copy with changes is made by `msgspec.structs.replace`.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class ConduitUser(msgspec.Struct, frozen=True, gc=False):
    """What others may see of a person."""

    id: str
    username: str | None = None


class ConduitViewer(msgspec.Struct, frozen=True, gc=False):
    """What a person may see of themselves."""

    id: str
    email: str | None = None
    username: str | None = None


class ConduitFile(msgspec.Struct, frozen=True, gc=False):
    """A file's metadata; its storage address is left out on purpose.

    `size` and `mime_type` are the uploader's word (conduit.md §6).
    """

    id: str
    name: str
    mime_type: str | None
    size: int | None
    is_public: bool
    folder: str | None
    created_at: str
    updated_at: str


class ConduitPost(msgspec.Struct, frozen=True, gc=False):
    """A document of the schema `Post`.

    `author_loaded` tells "populated, and gone" (author is None) from "not populated";
    the same for the cover file. A populated relation whose target is gone comes
    without its id.
    """

    id: str
    title: str
    body: str | None
    created_at: str
    updated_at: str
    author_id: str | None
    cover_file_id: str | None
    author: ConduitUser | None = None
    author_loaded: bool = False
    cover_file: ConduitFile | None = None
    cover_file_loaded: bool = False


@dataclass(frozen=True, slots=True)
class ConduitPage(Generic[T]):
    """A page; what `count` counts is told by the method that returns it."""

    documents: list[T]
    count: int


@dataclass(frozen=True, slots=True, repr=False)
class TokenPair:
    """An access token and its one-use refresh token; never shown."""

    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        """Tell that there is a pair, not what it is."""
        return "TokenPair(access_token=<hidden>, refresh_token=<hidden>)"


@dataclass(frozen=True, slots=True, repr=False)
class PendingUpload:
    """A file's record made before its bytes: `url` takes them by one PUT.

    `url` is a signed storage address: it must never leave the server or be logged.
    """

    file: ConduitFile
    url: str

    def __repr__(self) -> str:
        """Show the record, hide the signed address."""
        return f"PendingUpload(file={self.file!r}, url=<hidden>)"
