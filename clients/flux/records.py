"""What Flux answers, as frozen records. Times are the upstream's text, verbatim."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FluxNote:
    """A row of `notes`; a column that was not selected is None."""

    id: str
    body: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    post_id: str | None = None


@dataclass(frozen=True, slots=True)
class FluxNotePage:
    """Rows of one page; `total` only when it was asked for on a first page."""

    notes: list[FluxNote]
    total: int | None


@dataclass(frozen=True, slots=True)
class NoteConditions:
    """All that are given must hold; times are RFC 3339 with an offset, exclusive."""

    body_contains: str | None = None
    post_id: str | None = None
    created_after: str | None = None
    created_before: str | None = None
