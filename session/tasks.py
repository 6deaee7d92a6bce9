"""`TaskSet`: work that must end even though whoever asked for it has gone.

A renewal that is cancelled half-way loses the session (house rule 2), so it runs in a
task of its own that callers only watch.
"""

import asyncio
import logging
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

from clients.errors import UpstreamError, UpstreamTimeoutError

T = TypeVar("T")

log = logging.getLogger("mainstem.session")


class TaskSet:
    """Holds its tasks until they end; what is no upstream's failure is logged."""

    def __init__(self) -> None:
        # Any: tasks of every result.
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Run `work` to its end, whatever becomes of the caller."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self, timeout_s: float) -> None:
        """Wait until all have ended, then cancel what has not."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while self._tasks and loop.time() < end:
            await asyncio.wait(self._tasks, timeout=end - loop.time())
        for task in list(self._tasks):
            task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, UpstreamError):
            log.error("background work failed", exc_info=error)
        elif error is not None:
            # Whoever watched has got it; for the others it is no news either.
            log.debug(
                "background work failed",
                extra={"fields": {"error": type(error).__name__}},
            )


class Watched(Generic[T]):
    """A task's result, for any number of callers to await as `watch` does."""

    def __init__(self, task: asyncio.Task[T], *, deadline: float, what: str) -> None:
        self._task = task
        self._deadline = deadline
        self._what = what

    def __await__(self) -> Generator[Any, None, T]:
        watching = watch(self._task, deadline=self._deadline, what=self._what)
        return watching.__await__()


async def watch(task: asyncio.Task[T], *, deadline: float, what: str) -> T:
    """The task's result; neither a cancelled caller nor its deadline ends the task.

    Raises: UpstreamTimeoutError when `deadline` (event loop time) comes first.
    """
    if not task.done():
        left_s = deadline - asyncio.get_running_loop().time()
        await asyncio.wait({task}, timeout=max(left_s, 0.0))
    if not task.done():
        raise UpstreamTimeoutError(f"{what} still runs at the deadline")
    return task.result()
