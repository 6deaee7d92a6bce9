"""What this Conduit has to offer, as far as settings and its own answers told.

One object per process, made by `server/resources.py` and shared by the clients of all
requests. What is absent is forgotten after some minutes, so that provisioning
(`python -m provision --apply`) needs no restart.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from clients.errors import RateLimitedError
from clients.ids import is_object_id, is_uuid

# How long an answer "no such route" is believed.
ABSENCE_S: Final = 300.0
# How long it is believed whether posts are guarded.
GUARD_S: Final = 300.0
# Half of what the router allows one address in a second (conduit.md §8).
SINGLE_READS_PER_S: Final = 25

log = logging.getLogger("mainstem.conduit")


class Offers:
    """`storage_authorization`: whether Conduit guards files for each person.

    Then metadata must come by storage's own routes: populate and custom endpoints go
    past its rules (conduit.md §12). `object_ids`: whether ids are MongoDB's; None until
    one was seen.
    """

    def __init__(
        self,
        *,
        storage_authorization: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.storage_authorization = storage_authorization
        self.object_ids: bool | None = None
        # Of the optional fields of a post, as the post that was read last told.
        self.missing_fields: frozenset[str] = frozenset()
        self._clock = clock
        self._guard: tuple[bool, float] | None = None
        self._absent_until: dict[str, float] = {}
        self._told: set[str] = set()
        self._next_single_read = 0.0

    def note_id(self, id: str) -> None:
        """Learn from any id of Conduit's which kind it makes (conduit.md §1)."""
        if is_uuid(id):
            self.object_ids = False
        elif is_object_id(id):
            self.object_ids = True

    def made(self, ids: Iterable[str]) -> list[str]:
        """The checked ids that this Conduit can have; one of the other kind would fail
        a whole batch (recording custom_endpoints, "one not a UUID")."""
        objects = self.object_ids
        if objects is None:
            return list(ids)
        return [id for id in ids if is_object_id(id) is objects]

    @property
    def guards_posts(self) -> bool | None:
        """Whether posts are guarded row by row; None if not seen of late."""
        if self._guard is None or self._clock() >= self._guard[1]:
            return None
        return self._guard[0]

    def note_guard(self, guarded: bool) -> None:
        """Learn it from how a scope is taken."""
        self._guard = guarded, self._clock() + GUARD_S

    def lacks(self, route: str) -> bool:
        """Whether the route was found absent within the last minutes."""
        return self._clock() < self._absent_until.get(route, 0.0)

    def note_absence(
        self, route: str, instead: str = "documents are read in a slower way"
    ) -> None:
        """The router knows no such route; told in the log once."""
        self._absent_until[route] = self._clock() + ABSENCE_S
        if route not in self._told:
            self._told.add(route)
            log.warning(
                "Conduit lacks %s: %s (is conduit-init.json applied?)", route, instead
            )

    async def turn(self, *, within_s: float) -> None:
        """Wait until one more single read is within the budget.

        Raises: RateLimitedError at once when that is not within so many seconds; then
        nobody waits for this one.
        """
        now = self._clock()
        starts_at = max(now, self._next_single_read)
        if starts_at - now > within_s:
            raise RateLimitedError(
                "too many single reads wait",
                retry_after_s=round(starts_at - now - within_s, 2),
                service="conduit",
            )
        self._next_single_read = starts_at + 1 / SINGLE_READS_PER_S
        await asyncio.sleep(starts_at - now)
