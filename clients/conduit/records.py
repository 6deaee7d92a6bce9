"""What Conduit answers, as frozen records that hold no more than we may show.

A Conduit user object carries e-mail addresses and the tokens of sign-in providers
(conduit.md §2): `ConduitUser` has no place for them, and they are never decoded.
MongoDB leaves unset fields out (conduit.md §11), so all that may be null may be absent.

Structs, so that documents are decoded straight into them. They cannot form a cycle, so
the garbage collector may pass them by. A copy with changes is made by
`msgspec.structs.replace`.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class ConduitUser(msgspec.Struct, frozen=True, gc=False, rename={"id": "_id"}):
    """What others may see of a person."""

    id: str
    username: str | None = None


class ConduitViewer(msgspec.Struct, frozen=True, gc=False, rename={"id": "_id"}):
    """What a person may see of themselves."""

    id: str
    email: str | None = None
    username: str | None = None


class ConduitFile(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    rename={
        "id": "_id",
        "is_public": "isPublic",
        "created_at": "createdAt",
        "updated_at": "updatedAt",
        "mime_type": "mimeType",
    },
):
    """A file's metadata; its storage address is left out on purpose.

    `size` and `mime_type` are the uploader's word (conduit.md §6).
    """

    id: str
    name: str
    created_at: str
    updated_at: str
    is_public: bool = False
    mime_type: str | None = None
    size: int | None = None
    folder: str | None = None


class ConduitPost(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    rename={
        "id": "_id",
        "created_at": "createdAt",
        "updated_at": "updatedAt",
        "author_ref": "author",
        "cover_ref": "coverFile",
    },
):
    """A document of the schema `Post`.

    A relation (`…_ref`) is an id, or the related document itself where it was
    populated. One that is populated and whose target is gone comes without its id.
    """

    id: str
    title: str
    created_at: str
    updated_at: str
    body: str | None = None
    author_ref: str | ConduitUser | None = None
    cover_ref: str | ConduitFile | None = None

    @property
    def author_id(self) -> str | None:
        """Who wrote it."""
        ref = self.author_ref
        return ref.id if isinstance(ref, ConduitUser) else ref

    @property
    def author(self) -> ConduitUser | None:
        """The same, if it was populated."""
        ref = self.author_ref
        return ref if isinstance(ref, ConduitUser) else None

    @property
    def cover_file_id(self) -> str | None:
        """Its picture."""
        ref = self.cover_ref
        return ref.id if isinstance(ref, ConduitFile) else ref

    @property
    def cover_file(self) -> ConduitFile | None:
        """The same, if it was populated."""
        ref = self.cover_ref
        return ref if isinstance(ref, ConduitFile) else None


class ConduitPage(msgspec.Struct, Generic[T], frozen=True):
    """A page; what `count` counts is told by the method that returns it."""

    documents: list[T]
    count: int


class TokenPair(msgspec.Struct, frozen=True, gc=False):
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
