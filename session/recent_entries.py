"""`RecentEntries`: index entries that this process has read a moment ago.

Used by `session/renewal.py` alone, to read one name instead of two for most requests.
"""

from collections import OrderedDict
from typing import Final

from .records import SessionEntry
from .session import SessionRef

KNOWN_FOR_S: Final = 30.0
MAX_KNOWN: Final = 10_000


class RecentEntries:
    """Bounded; the longest unused goes first."""

    def __init__(self) -> None:
        self._known: OrderedDict[SessionRef, tuple[SessionEntry, float]] = OrderedDict()

    def recall(self, ref: SessionRef, now: float) -> SessionEntry | None:
        """None if it has not been read, or not lately."""
        entry, until = self._known.get(ref, (None, 0.0))
        if entry is None or now >= until:
            return None
        self._known.move_to_end(ref)
        return entry

    def remember(
        self, ref: SessionRef, entry: SessionEntry, now: float, *, due: float
    ) -> None:
        """Keep what was read for a while, and not when something is `due` about it.

        What is known already keeps its end.
        """
        _, end = self._known.get(ref, (None, 0.0))
        if now >= end:
            end = now + KNOWN_FOR_S
        self._known[ref] = entry, min(end, due)
        self._known.move_to_end(ref)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
