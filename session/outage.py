"""`Outage`: whether Redis failed a moment ago, so that not everybody waits for it.

Shared by `redis_vault.py` and `redis_reader.py`, which stand before the same Redis.
"""

import time
from math import inf
from typing import Final

from clients.errors import VaultUnavailableError


class Outage:
    """Lets calls fail at once for a moment after one failed, longer each time.

    Without it every request of an outage would wait for its own time-outs. While
    `pause_s` is zero there is none, and neither `check` nor `ended` has anything to do.
    """

    SHORTEST_S: Final = 0.05
    LONGEST_S: Final = 0.5

    def __init__(self) -> None:
        self.pause_s = 0.0
        self._until = 0.0
        self._ended_at = -inf

    def check(self) -> None:
        """Raises: VaultUnavailableError during the pause."""
        if self.pause_s and time.monotonic() < self._until:
            raise VaultUnavailableError("vault failed just now", service="vault")

    def failed(self) -> None:
        """A call got no answer."""
        longer_s = max(self.pause_s * 2, self.SHORTEST_S)
        self.pause_s = min(longer_s, self.LONGEST_S)
        self._until = time.monotonic() + self.pause_s

    def ended(self) -> None:
        """A call got an answer."""
        if self.pause_s:
            self.pause_s = 0.0
            self._ended_at = time.monotonic()

    def over_for_s(self) -> float:
        """Seconds since the last one ended; inf if there was none."""
        return time.monotonic() - self._ended_at
