"""What became of a write when the upstream did not tell.

Used by the writes of every domain. After a time-out, a broken connection, a failure
within the upstream or an answer that makes no sense, a write may have been carried out,
or may still be (flux.md §5): it is never repeated blindly and never guessed about, but
looked up. What cannot be found out is told as unknown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from clients.errors import (
    NotFoundError,
    UpstreamError,
    UpstreamResponseError,
    UpstreamUnavailableError,
)

T = TypeVar("T")


def is_open(failure: UpstreamError) -> bool:
    """Whether a write that failed so may have been carried out all the same."""
    if failure.outcome_unknown or isinstance(failure, UpstreamUnavailableError):
        return failure.outcome_unknown
    if isinstance(failure, UpstreamResponseError):
        # Refused before the work (400, 414, 431) or an answer that cannot be read.
        return not 400 <= (failure.status or 0) < 500
    return type(failure) is UpstreamError and (failure.status or 0) >= 500


async def look_up(failure: UpstreamError, read: Callable[[], Awaitable[T]]) -> T | None:
    """The row as it stands now, None when it is not there. Costs one call.

    Raises: `failure` when its write was surely not carried out; also when nobody can
    look, and then, as after a None, it says that the outcome is unknown.
    """
    if not is_open(failure):
        raise failure
    failure.outcome_unknown = True
    try:
        return await read()
    except NotFoundError:
        return None
    except UpstreamError:
        raise failure from None


async def to_the_end(
    work: Coroutine[object, object, T] | asyncio.Future[T],
) -> T:
    """Run `work` to its end; a cancellation that comes meanwhile waits for it."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return task.result()
