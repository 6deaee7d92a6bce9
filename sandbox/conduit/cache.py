"""The router's 10-second answer cache.

Used by `router.py`; relies on section 3 of conduit.md and on recordings/cache.json.
"""

from collections.abc import Callable, Hashable

from .settings import ConduitSettings

MAX_ANSWERS = 5_000
BYPASS = "no-cache"  # the one text of Cache-Control that goes round it


class AnswerCache:
    """Answers by key, forgotten after `cache_s`; writes do not clear it."""

    def __init__(self, settings: ConduitSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._answers: dict[Hashable, tuple[float, object]] = {}

    def get(self, key: Hashable) -> tuple[object] | None:
        """The kept answer in a 1-tuple, or None."""
        expires, answer = self._answers.get(key, (0.0, None))
        return (answer,) if expires > self._clock() else None

    def put(self, key: Hashable, answer: object) -> None:
        """Keep an answer."""
        if len(self._answers) >= MAX_ANSWERS:
            self._answers.clear()
        self._answers[key] = (self._clock() + self._settings.cache_s, answer)
