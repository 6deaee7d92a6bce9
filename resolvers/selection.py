"""`Selection`: what the operation asks for, so that upstreams send no more than that.

Made by `schema/documents.py` from the validated document; read when a loader or a page
is about to call an upstream.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # paging knows errors and cursors, which is more than is needed here
    from .paging import PageRequest

# The column of `notes` behind each field of the type Note.
_NOTE_COLUMNS: Final = {
    "body": "body",
    "updatedAt": "updated_at",
    "post": "post_id",
}
# Every row needs its id for aligning and its time for cursors.
_ALWAYS: Final = frozenset({"id", "created_at"})

# Relations of Post that Conduit can send along with it (`populate`, conduit.md §3).
_POPULATED: Final = frozenset({"author", "coverFile"})


@dataclass(frozen=True)
class Selection:
    """Which fields the operation asks of each type, anywhere in it.

    Fragments are followed, `@skip` and `@include` are not looked at. It is the same
    for the whole operation on purpose: a row found on any way then has every column
    that any other way may ask for, so loaders can share it.

    Kept with its document, and so is what follows from it.
    """

    by_type: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    # Names of the fields below each field node of the document, by the node's identity;
    # kept with the document. None where @skip or @include may change them.
    below: dict[int, frozenset[str]] | None = None

    # First pages asked for, by the place and what was asked; bounded by who keeps them.
    pages: dict[tuple[object, ...], "PageRequest"] = field(default_factory=dict)

    def fields(self, type_name: str) -> frozenset[str]:
        """Names of the fields asked of `type_name`, those of its interfaces too."""
        return self.by_type.get(type_name, frozenset())

    @cached_property
    def note_columns(self) -> frozenset[str]:
        """The columns of `notes` that the operation can show."""
        asked = self.fields("Note")
        return _ALWAYS | {_NOTE_COLUMNS[name] for name in asked & _NOTE_COLUMNS.keys()}

    @cached_property
    def post_relations(self) -> frozenset[str]:
        """The relations to send along with posts: author, coverFile or neither."""
        return self.fields("Post") & _POPULATED


NOTHING_SELECTED: Final = Selection()
