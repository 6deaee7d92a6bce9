"""`Kept`: what was made of values, by those values; the same few come all the time.

Used for the variables of an operation, and with them for the arguments of its fields
(`engine.py`). Its key is the values and their classes, since 1 equals True.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

T = TypeVar("T")
Key: TypeAlias = tuple[tuple[object, ...], tuple[type, ...]]

# Equal ones of one class are the same: not so 0.0 and -0.0.
EXACT_VALUES = frozenset((str, int, bool, type(None), object))
MISSING = object()
MAX_KEPT = 64
# Of the values of one key: a page of ids, a cursor; no texts that somebody wrote.
MAX_VALUES = 128
MAX_CHARACTERS = 8192


class Kept(dict[Key, T]):
    """Bounded: emptied when it is full. Its `get` is dict's own: no call of Python."""

    __slots__ = ()

    def keep(self, key: Key, value: T) -> None:
        """Whoever asks for the same key gets the same value, unless it is large."""
        values = key[0]
        characters = sum(len(value) for value in values if isinstance(value, str))
        if len(values) > MAX_VALUES or characters > MAX_CHARACTERS:
            return
        if len(self) >= MAX_KEPT:
            self.clear()
        self[key] = value
