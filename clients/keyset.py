"""The place in a list ordered by (creation time, id) after which a page begins.

Made by `resolvers/paging.py` from a cursor; used by both clients (flux.md §13,
conduit.md §12).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keyset:
    """Both values exactly as the upstream gave them: a cut digit loses rows."""

    created_at: str
    id: str
