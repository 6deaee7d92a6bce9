"""`BatchLoader`, the only base of loaders, and putting rows into the order of keys.

Used by `resolvers/loaders.py`. Relies on aiodataloader for collecting the keys of one
turn of the event loop into one call.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final, TypeVar, cast

from aiodataloader import DataLoader

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R")

# Flux's URL budget holds about 170 ids, Conduit's advice is 100 (conduit.md §12).
MAX_BATCH: Final = 100


class BatchLoader(DataLoader[K, V], ABC):
    """Loads many keys by one call and keeps what it found for the request.

    Keys must have been checked: one malformed id fails the whole call upstream.
    """

    def __init__(self) -> None:
        super().__init__(max_batch_size=MAX_BATCH)

    @abstractmethod
    async def load_batch(self, keys: list[K]) -> Sequence[V | Exception]:
        """One value per key, in the order of keys; an exception is one key's own."""

    async def batch_load_fn(self, keys: list[K]) -> list[V]:
        """What aiodataloader calls; it raises an exception among the values by key."""
        return cast("list[V]", list(await self.load_batch(keys)))

    def load(self, key: K) -> "asyncio.Future[V]":
        """The value of `key`.

        Shielded: the engine cancels the siblings of a failed non-null field, and
        without the shield that would cancel the future every other waiter shares.
        """
        return asyncio.shield(super().load(key))

    def load_if(self, key: K | None) -> Awaitable[V | None]:
        """The value of `key`, or None for a relation that is not set."""
        return _nothing() if key is None else self.load(key)

    def prime_all(self, rows: Mapping[K, V]) -> None:
        """Keep rows that came by another way, so that they are not fetched again."""
        for key, row in rows.items():
            self.prime(key, row)


async def _nothing() -> None:
    return None


async def each(calls: Iterable[Awaitable[R]]) -> list[R | Exception]:
    """Run side by side; a failed one is an exception in its place."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result  # a cancellation is not a value
    return cast("list[R | Exception]", results)


def align_one(
    keys: Sequence[K], rows: Iterable[R], key_of: Callable[[R], K]
) -> list[R | None]:
    """The row of each key, None where there is none; never by the rows' order."""
    by_key = {key_of(row): row for row in rows}
    return [by_key.get(key) for key in keys]


def align_many(keys: Sequence[K], groups: Mapping[K, list[R]]) -> list[list[R]]:
    """The rows of each key, an empty list where there are none."""
    return [groups.get(key, []) for key in keys]
