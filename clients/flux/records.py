"""What Flux answers, as frozen records. Times are the upstream's text, verbatim.

Structs, so that rows are decoded straight into them; they cannot form a cycle, so the
garbage collector may pass them by. A copy with changes is made by
`msgspec.structs.replace`.
"""

from typing import Final

import msgspec


class FluxNote(msgspec.Struct, frozen=True, gc=False):
    """A row of `notes`; a column that was not selected is None."""

    id: str
    body: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    post_id: str | None = None


class FluxNotePage(msgspec.Struct, frozen=True, gc=False):
    """Rows of one page; `total` only when it was asked for on a first page."""

    notes: list[FluxNote]
    total: int | None


class NoteConditions(msgspec.Struct, frozen=True):
    """All that are given must hold; times are RFC 3339 with an offset, exclusive."""

    body_contains: str | None = None
    post_id: str | None = None
    created_after: str | None = None
    created_before: str | None = None


EVERY_NOTE: Final = NoteConditions()
