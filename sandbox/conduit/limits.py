"""Rate limits in fixed windows, and whose address a request counts for.

Relies on section 8 of conduit.md and on recordings/router.json.
"""

from collections.abc import Callable, Mapping

MAX_WINDOWS = 10_000
_ADDRESS_HEADERS = (
    "cf-connecting-ip",
    "x-forwarded-for",
    "x-real-ip",
    "x-original-forwarded-for",
)


class Limiter:
    """Counts by key; a window opens with the first request of its key."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}

    def allows(
        self, key: tuple[str, str], requests: int, window_s: float, *, cost: int = 1
    ) -> bool:
        """Count `cost` requests; whether they are within the limit."""
        now = self._clock()
        ends, count = self._windows.get(key, (0.0, 0))
        if ends <= now:
            if len(self._windows) >= MAX_WINDOWS:
                self._forget(now)
            ends, count = now + window_s, 0
        self._windows[key] = (ends, count + cost)
        return count + cost <= requests

    def _forget(self, now: float) -> None:
        """Drop what is over; everything, if that is not enough."""
        self._windows = {k: v for k, v in self._windows.items() if v[0] > now}
        if len(self._windows) >= MAX_WINDOWS:
            self._windows.clear()


def address_of(headers: Mapping[str, str], peer: str) -> str:
    """The address that Conduit counts for, taken on trust."""
    for name in _ADDRESS_HEADERS:
        if value := headers.get(name):
            return value.split(",")[0].strip()
    return peer
