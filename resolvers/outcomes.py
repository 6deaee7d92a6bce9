"""What became of a write when the upstream did not tell.

Used by the writes of every domain. After a time-out a write may still be carried out
(flux.md §5): it is never repeated blindly and never guessed about, but looked up.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from clients.errors import NotFoundError, UpstreamError, UpstreamUnavailableError

T = TypeVar("T")


async def look_up(
    failure: UpstreamUnavailableError, read: Callable[[], Awaitable[T]]
) -> T | None:
    """The row as it stands now, None when it is not there. Costs one call.

    Raises: `failure`, when it did not leave the outcome open or nobody can look.
    """
    if not failure.outcome_unknown:
        raise failure
    try:
        return await read()
    except NotFoundError:
        return None
    except UpstreamError:
        raise failure from None
