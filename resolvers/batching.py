"""The two bases of loaders, and putting rows into the order of keys.

Used by `resolvers/loaders.py`. `BatchLoader` joins the keys of one turn of the event
loop into one call, by aiodataloader; `OnceLoader` is for what no call can join.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeAlias, TypeVar, cast

from aiodataloader import DataLoader

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R")

# What many keys came to: at once when everything is known, else to be awaited.
Loaded: TypeAlias = list[V | Exception] | Awaitable[list[V | Exception]]

# Flux's URL budget holds about 170 ids, Conduit's advice is 100 (conduit.md §12).
MAX_BATCH: Final = 100


class BatchLoader(ABC, Generic[K, V]):
    """Loads many keys by one call and keeps what it found for the request.

    Keys must have been checked: one malformed id fails the whole call upstream.
    """

    def __init__(self) -> None:
        self._collecting: DataLoader[K, V] | None = None
        # Rows that came by another way. A plain dict: a future for each of them would
        # cost more than the rows (measured: 40 rows, 130 µs against 6).
        self.known: dict[K, V] = {}

    @abstractmethod
    async def load_batch(self, keys: list[K]) -> Sequence[V | Exception]:
        """One value per key, in the order of keys; an exception is one key's own."""

    def load(self, key: K) -> "asyncio.Future[V]":
        """The value of `key`.

        Shielded: the engine cancels the siblings of a failed non-null field, and
        without the shield that would cancel the future every other waiter shares.
        """
        if key in self.known:
            future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
            future.set_result(self.known[key])
            return future
        if self._collecting is None:
            # Made late: most requests find everything among the known.
            self._collecting = DataLoader(self._load_batch, max_batch_size=MAX_BATCH)
        return shielded(self._collecting.load(key))

    async def _load_batch(self, keys: list[K]) -> list[V]:
        """aiodataloader raises an exception among the values for its key alone."""
        return cast("list[V]", list(await self.load_batch(keys)))

    def load_all(self, keys: Sequence[K | None]) -> "Loaded[V | None]":
        """The values of many keys: None for None, a failed key's own exception.

        The call is put on its way at once, not when the answer is awaited.
        """
        known = self.known
        try:
            return [None if key is None else known[key] for key in keys]
        except KeyError:
            pass
        missing = {key for key in keys if key is not None and key not in known}
        return self._collect(keys, {key: self.load(key) for key in missing})

    def load_refs(self, refs: "Sequence[str | V | None]") -> "Loaded[V | None]":
        """The same for relations that hold the key, a text, or the row itself."""
        if str not in set(map(type, refs)):
            return cast("list[V | Exception | None]", list(refs))
        keys = [ref if isinstance(ref, str) else None for ref in refs]
        loaded = self.load_all(cast("Sequence[K | None]", keys))
        if isinstance(loaded, list):
            return _rows_beside(refs, loaded)
        return self._beside(refs, loaded)

    async def _beside(
        self,
        refs: "Sequence[str | V | None]",
        loaded: "Awaitable[list[V | Exception | None]]",
    ) -> "list[V | Exception | None]":
        return _rows_beside(refs, await loaded)

    async def _collect(
        self, keys: Sequence[K | None], loading: Mapping[K, "asyncio.Future[V]"]
    ) -> list[V | Exception | None]:
        found = dict(zip(loading, await each(loading.values()), strict=True))
        return [
            None if key is None else found[key] if key in found else self.known[key]
            for key in keys
        ]

    def prime_all(self, rows: Mapping[K, V]) -> None:
        """Keep rows that came by another way, so that they are not fetched again."""
        self.known = {**rows, **self.known}


class OnceLoader(ABC, Generic[K, V]):
    """One call for each distinct key, kept for the request; nothing is collected."""

    def __init__(self) -> None:
        self._loading: dict[K, asyncio.Task[V]] = {}

    @abstractmethod
    async def load_one(self, key: K) -> V:
        """The value of `key`."""

    def load(self, key: K) -> "asyncio.Future[V]":
        """The value of `key`; shielded as in `BatchLoader`. A failure is not kept."""
        task = self._loading.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._loading[key] = asyncio.create_task(self.load_one(key))
        return shielded(task)


def shielded(inner: "asyncio.Future[R]") -> "asyncio.Future[R]":
    """A future of one's own of what others wait for too.

    `asyncio.shield` in four calls instead of twenty: what is shielded here is always a
    future of the running loop.
    """
    outer: asyncio.Future[R] = asyncio.get_running_loop().create_future()

    def pass_on(done: "asyncio.Future[R]") -> None:
        # Asked for in any case, or asyncio says that an exception was never retrieved.
        error = None if done.cancelled() else done.exception()
        if outer.done():
            return
        if done.cancelled():
            outer.cancel()
        elif error is not None:
            outer.set_exception(error)
        else:
            outer.set_result(done.result())

    inner.add_done_callback(pass_on)
    return outer


async def each(calls: Iterable[Awaitable[R]]) -> list[R | Exception]:
    """Run side by side; a failed one is an exception in its place."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result  # a cancellation is not a value
    return cast("list[R | Exception]", results)


def _rows_beside(
    refs: Sequence[str | V | None], loaded: Sequence[V | Exception | None]
) -> list[V | Exception | None]:
    """What was loaded for the keys among the refs, and the rows among them."""
    return [
        found if isinstance(ref, str) else ref
        for ref, found in zip(refs, loaded, strict=True)
    ]


async def settled(loaded: Loaded[V]) -> list[V | Exception]:
    """What was loaded, as soon as it is there."""
    return loaded if isinstance(loaded, list) else await loaded


def align_one(
    keys: Sequence[K], rows: Iterable[R], key_of: Callable[[R], K]
) -> list[R | None]:
    """The row of each key, None where there is none; never by the rows' order."""
    by_key = {key_of(row): row for row in rows}
    return [by_key.get(key) for key in keys]


def align_many(keys: Sequence[K], groups: Mapping[K, list[R]]) -> list[list[R]]:
    """The rows of each key, an empty list where there are none."""
    return [groups.get(key, []) for key in keys]
