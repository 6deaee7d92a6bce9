"""Operations in flight: a bound for the process and one for each person.

Used by `graphql.py` around every operation. A person is an account, or the address of
who is not signed in. Refusing at once is what keeps the others' answers quick.
"""

import logging
from collections.abc import Callable

from schema.limits import Limit

from .refusals import RefusalCode, RefusalError

log = logging.getLogger("mainstem.limits")


class InFlight:
    """Counts in this process; nobody waits, one too many is refused."""

    def __init__(self, in_process: Limit, per_person: Limit) -> None:
        self._in_process = in_process
        self._per_person = per_person
        self._by_person: dict[str, int] = {}
        self.count = 0

    def enter(self, person: str, request_id: str = "") -> None:
        """Room for one operation; `leave` must follow.

        Raises: RefusalError 429, 503.
        """
        of_person = self._by_person.get(person, 0) + 1
        if of_person > self._per_person.bound:
            _check(self._per_person, of_person, request_id, _too_many_at_once)
        if self.count >= self._in_process.bound:
            _check(self._in_process, self.count + 1, request_id, busy)
        self.count += 1
        self._by_person[person] = of_person

    def leave(self, person: str) -> None:
        """The operation has ended."""
        self.count -= 1
        left = self._by_person[person] - 1
        if left:
            self._by_person[person] = left
        else:
            del self._by_person[person]


def _check(
    limit: Limit, actual: int, request_id: str, refusal: Callable[[], RefusalError]
) -> None:
    """What becomes of who passed a limit. Raises: RefusalError, if it is enforced."""
    if limit.enforced is not None:
        raise refusal()
    log.warning(
        "limit in request %s: %d operations in flight, over %d",
        request_id,
        actual,
        limit.most,
    )


def _too_many_at_once() -> RefusalError:
    return RefusalError(
        429,
        RefusalCode.RATE_LIMITED,
        "Too many operations at once; wait for the answers.",
        headers={"retry-after": "1"},
    )


def busy() -> RefusalError:
    """503: there is no room for one more."""
    return RefusalError(
        503,
        RefusalCode.SERVER_BUSY,
        "The server is busy; try again.",
        headers={"retry-after": "1"},
    )
