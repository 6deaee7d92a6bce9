"""How much of the live side each session may take up. Used by both live transports."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from session.session import SessionRef

from .refusals import RefusalCode, RefusalError

Taken = Literal["subscriptions", "sockets"]


class SessionSlots:
    """Of one process; what has been taken must be given back."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[tuple[Taken, SessionRef]] = Counter()

    @contextmanager
    def taken(self, what: Taken, ref: SessionRef) -> Iterator[None]:
        """Take one for as long as the block runs. Raises: RefusalError 429."""
        key = (what, ref)
        if self._taken[key] >= self._most:
            raise too_many(f"This session has {self._most} {what} open.")
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]


def too_many(message: str) -> RefusalError:
    return RefusalError(429, RefusalCode.TOO_MANY_SUBSCRIPTIONS, message)
