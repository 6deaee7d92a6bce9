"""`SharedBatches`: what several requests of one person want by id, in one call.

One per process, made by `server/resources.py`; between the loaders of `loaders.py` and
the clients. A loader collects keys for two turns of the event loop. Loaders of the same
kind, session, address and columns that begin to collect within the turns of the first
one are served by its call, which is sent after all of them have asked: so nothing is
older than the request that shows it.

One request makes the call, with its own tokens, deadline and record. The others find
out for themselves whether they may (each reads its session), wait no longer than their
own deadline, count it in their own limit and record it as shared. If the call fails, or
its request goes away, they make their own.

A request that is alone pays one look-up: no task and no turn more than aiodataloader.
"""

import asyncio
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol

from aiodataloader import DataLoader, Loader

from clients.errors import Service, UpstreamTimeoutError
from clients.http import CallScope
from clients.own_loop import own_loop

from .batching import MAX_BATCH, K, V


class Sharing(Protocol[K, V]):
    """A loader whose batches may be shared."""

    @property
    def service(self) -> Service: ...

    @property
    def operation(self) -> str: ...

    @property
    def scope(self) -> CallScope: ...

    def alike(self) -> Hashable | None:
        """What loaders must have in common; None shares nothing: nobody signed in."""

    async def bearer(self) -> str | None:
        """The token of its own session; raises when that has ended."""

    async def load_batch(self, keys: list[K]) -> Sequence[V | Exception]:
        """One value per key, in the order of keys."""

    async def load_sets(self, sets: list[tuple[K, ...]]) -> list[None]:
        """Load by itself what was collected, and keep it."""

    def arrived(self, keys: Sequence[K], values: Sequence[V | Exception]) -> None:
        """Keep what was on its way: a value or a failure for each key."""

    def keep(self, values: Iterable[V]) -> None:
        """Remember what came along with values that another request has loaded."""


class Collector(DataLoader[tuple[K, ...], None], Generic[K, V]):
    """Gathers with others of the process instead of by itself."""

    def __init__(self, owner: Sharing[K, V], batches: "SharedBatches") -> None:
        super().__init__(owner.load_sets, cache=False, loop=batches.loop())
        self.owner = owner
        self._batches = batches

    def do_resolve_reject(
        self, key: tuple[K, ...], future: "asyncio.Future[None]"
    ) -> None:
        """Called by `load` for a set of keys that nobody has asked for yet."""
        self._queue.append(Loader(key=key, future=future))
        if len(self._queue) == 1:
            self._batches.gather(self, self.owner.alike())

    def taken(self) -> list[Loader]:
        """What was collected, to be loaded now."""
        queue, self._queue = self._queue, []
        return queue

    async def serve(self, queue: list[Loader]) -> None:
        """Load by itself what was collected; aiodataloader's own way looks at more."""
        try:
            await self.owner.load_sets([item.key for item in queue])
        except Exception as error:  # of ours: a failed call is the value of its keys
            for item in queue:
                if not item.future.done():
                    item.future.set_exception(error)
        else:
            _tell(queue)


@dataclass(frozen=True, slots=True)
class _Part(Generic[K, V]):
    """One loader's part of a batch."""

    collector: Collector[K, V]
    queue: list[Loader]

    @property
    def owner(self) -> Sharing[K, V]:
        return self.collector.owner

    @property
    def keys(self) -> list[K]:
        return [key for item in self.queue for key in item.key]


class SharedBatches:
    """The loaders that are collecting in this turn."""

    def __init__(self) -> None:
        self.loop = own_loop()
        self._gathering: dict[Hashable, list[Collector[Any, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def gather(self, collector: Collector[K, V], alike: Hashable | None) -> None:
        """Called when the first key is asked of a loader."""
        gathered = None if alike is None else self._gathering.get(alike)
        if gathered is not None:
            gathered.append(collector)
            return
        gathered = [collector]
        if alike is not None:
            self._gathering[alike] = gathered
        # Two turns, as aiodataloader itself takes.
        loop = self.loop()
        loop.call_soon(loop.call_soon, self._dispatch, alike, gathered)

    def _dispatch(
        self, alike: Hashable | None, gathered: list[Collector[Any, Any]]
    ) -> None:
        if alike is not None:
            del self._gathering[alike]
        if len(gathered) == 1:
            (alone,) = gathered
            self.loop().create_task(alone.serve(alone.taken()))
            return
        parts = [_Part(collector, collector.taken()) for collector in gathered]
        reading = asyncio.ensure_future(_read(parts))
        for part in parts:
            task = asyncio.ensure_future(_serve(part, reading, own=part is parts[0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


Found = tuple[str | None, dict[Any, Any]]


async def _read(parts: Sequence[_Part[K, V]]) -> Found:
    """With whose token what was found, read by the first for all of them."""
    first = parts[0]
    scope = first.owner.scope
    # It must not join a read that is too old for any of them.
    scope.fresh_from = max(part.owner.scope.fresh_from for part in parts)
    bearer = await first.owner.bearer()
    keys = list(dict.fromkeys(key for part in parts for key in part.keys))
    chunks = [keys[n : n + MAX_BATCH] for n in range(0, len(keys), MAX_BATCH)]
    load = first.owner.load_batch
    if len(chunks) == 1:
        return bearer, dict(zip(keys, await load(keys), strict=True))
    found = await asyncio.gather(*(load(chunk) for chunk in chunks))
    values = [value for part in found for value in part]
    return bearer, dict(zip(keys, values, strict=True))


async def _serve(
    part: _Part[K, V], reading: "asyncio.Future[Found]", *, own: bool
) -> None:
    """Give a loader what it asked for, or let it ask by itself."""
    keys = part.keys
    try:
        values = await (_own(reading) if own else _shared(part, reading))
    except asyncio.CancelledError:
        for item in part.queue:
            item.future.cancel()
        raise
    except Exception as error:  # whatever it is, those who wait must be told
        part.owner.arrived(keys, [error] * len(keys))
    else:
        if values is None:
            await part.collector.serve(part.queue)
            return
        part.owner.arrived(keys, [values[key] for key in keys])
    _tell(part.queue)


def _tell(queue: Iterable[Loader]) -> None:
    """What each of these waits for has arrived."""
    for item in queue:
        if not item.future.done():
            item.future.set_result(None)


async def _own(reading: "asyncio.Future[Found]") -> dict[Any, Any]:
    _, values = await reading
    return values


async def _shared(
    part: _Part[K, V], reading: "asyncio.Future[Found]"
) -> dict[K, V] | None:
    """The values of another request's call; None if it is of no use to this one."""
    owner = part.owner
    scope, loop = owner.scope, asyncio.get_running_loop()
    started = loop.time()
    reader = scope.begin_read()
    try:
        bearer = await owner.bearer()
        async with asyncio.timeout_at(scope.deadline):
            await asyncio.wait([reading])
    except TimeoutError:
        raise UpstreamTimeoutError(
            f"{owner.operation}: no answer in time",
            service=owner.service,
            operation=owner.operation,
        ) from None
    finally:
        if reader is not None:
            scope.reads.discard(reader)
    if reading.cancelled() or reading.exception() is not None:
        return None
    their_bearer, values = reading.result()
    if bearer != their_bearer:
        return None
    scope.admit(owner.service, owner.operation)
    scope.record(owner.service, owner.operation, 200, started, loop.time(), shared=True)
    owner.keep(
        value for key in part.keys if not isinstance(value := values[key], Exception)
    )
    return values
