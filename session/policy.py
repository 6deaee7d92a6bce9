"""`SessionPolicy`: how long sessions live and how the devices of a person share tokens.

Made by `server/session_settings.py`; read by the rest of `session/`.
"""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from .records import SessionEntry

# Conduit's `multipleUserSessions`: off (its default) is "single".
SessionMode = Literal["single", "multiple"]

# Use is written down this often at most, so that a busy session costs no writes.
TOUCH_EVERY_S: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """Seconds throughout.

    `mode`: what Conduit does at a sign-in or renewal (conduit.md §2). "single": it
    ends the person's other tokens, so all sessions of a person share the newest pair.
    `idle_s`: end after this long without use. `absolute_s`: end this long after the
    sign-in, used or not; 0 for never. `max_per_person`: the least recently used goes.
    """

    mode: SessionMode = "single"
    idle_s: int = 604_800
    absolute_s: int = 2_592_000
    max_per_person: int = 50

    @property
    def index_ttl_s(self) -> int:
        """Longer than any session lives, so that no session forgets its age."""
        return max(self.idle_s, self.absolute_s) + 86_400

    def is_over(self, entry: SessionEntry, now: float) -> bool:
        """Whether the session has reached its idle or its absolute end.

        A session that another application opened has no idle end: its use over there
        is not seen here, and its record ends by itself.
        """
        if self.absolute_s and now - entry.created_at > self.absolute_s:
            return True
        return entry.opened_by == "us" and now - entry.last_used_at > self.idle_s

    def touch_due(self, entry: SessionEntry, now: float) -> bool:
        """Whether this use is to be written down."""
        return now - entry.last_used_at > self._touch_every_s

    def next_due(self, entry: SessionEntry) -> float:
        """The time before which neither `is_over` nor `touch_due` will be true."""
        end = entry.created_at + self.absolute_s if self.absolute_s else inf
        # The idle end is ten touches away.
        return min(end, entry.last_used_at + self._touch_every_s)

    @property
    def _touch_every_s(self) -> float:
        return min(TOUCH_EVERY_S, self.idle_s / 10)
