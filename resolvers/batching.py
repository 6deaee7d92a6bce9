"""The two bases of loaders, and putting rows into the order of keys.

Used by `resolvers/loaders.py`. `BatchLoader` joins the keys of one turn of the event
loop into one call, by aiodataloader; `OnceLoader` is for what no call can join.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeAlias, TypeGuard, TypeVar, cast

import msgspec
from aiodataloader import DataLoader

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R")
Row = TypeVar("Row", bound="Identified")

# What many keys came to: at once when everything is known, else to be awaited.
Loaded: TypeAlias = list[V | Exception] | Awaitable[list[V | Exception]]

# Rows by their keys, put in order when somebody asks for one: most lists bring rows
# that nobody asks for by id.
Brought: TypeAlias = Callable[[], Mapping[K, V]]

# Flux's URL budget holds about 170 ids, Conduit's advice is 100 (conduit.md §12).
MAX_BATCH: Final = 100


class BatchLoader(ABC, Generic[K, V]):
    """Loads many keys by one call and keeps what it found for the request.

    Keys must have been checked: one malformed id fails the whole call upstream.

    aiodataloader collects what is asked for in one turn. It is asked for sets of keys
    and not for keys: a level of the answer then waits for one future, and not for one
    for each of its rows (measured: 100 keys, 900 µs against 60).
    """

    def __init__(self, brought: "list[Brought[K, V]] | None" = None) -> None:
        """`brought`: what comes by another way; whoever has such rows appends to it."""
        # Rows that were found here, or came by another way.
        self.known: dict[K, V] = {}
        self._brought = [] if brought is None else brought
        self._failed: dict[K, Exception] = {}
        self._on_the_way: dict[K, asyncio.Future[None]] = {}
        self._collecting: DataLoader[tuple[K, ...], None] | None = None

    @abstractmethod
    async def load_batch(self, keys: list[K]) -> Sequence[V | Exception]:
        """One value per key, in the order of keys; an exception is one key's own."""

    def load(self, key: K) -> Awaitable[V]:
        """The value of `key`; it is on its way when this returns."""
        return _first(cast("Loaded[V]", self.load_all([key])))

    def load_all(self, keys: Sequence[K | None]) -> "Loaded[V | None]":
        """The values of many keys: None for None, a failed key's own exception.

        The call is put on its way at once, not when the answer is awaited.
        """
        while self._brought:
            self.prime_all(self._brought.pop()())
        known = self.known
        try:
            return [None if key is None else known[key] for key in keys]
        except KeyError:
            pass
        missing = cast("dict[K, None]", dict.fromkeys(keys))
        missing.pop(cast("K", None), None)
        if known:
            missing = {key: None for key in missing if key not in known}
        new, on_the_way = tuple(missing), self._on_the_way
        if on_the_way:
            new = tuple([key for key in missing if key not in on_the_way])
        if new:
            on_the_way.update(dict.fromkeys(new, self._collected(new)))
        return self._gathered(keys, set(map(on_the_way.__getitem__, missing)))

    def load_refs(self, refs: "Sequence[str | V | None]") -> "Loaded[V | None]":
        """The same for relations that hold the key, a text, or the row itself."""
        keys = [ref if isinstance(ref, str) else None for ref in refs]
        loaded = self.load_all(cast("Sequence[K | None]", keys))
        if isinstance(loaded, list):
            return _rows_beside(refs, loaded)
        return self._beside(refs, loaded)

    def prime_all(self, rows: Mapping[K, V]) -> None:
        """Keep rows that came by another way, so that they are not fetched again."""
        self.known = {**rows, **self.known}

    def _collected(self, keys: tuple[K, ...]) -> "asyncio.Future[None]":
        if self._collecting is None:
            # Made late: most requests find everything among the known.
            self._collecting = self.collector()
        return self._collecting.load(keys)

    def collector(self) -> DataLoader[tuple[K, ...], None]:
        """Collects the sets of one turn of the loop; asked for once."""
        return DataLoader(self.load_sets, cache=False)

    async def load_sets(self, sets: list[tuple[K, ...]]) -> list[None]:
        """What aiodataloader calls: one turn's sets, which have no key in common."""
        keys = [key for one in sets for key in one]
        if len(keys) <= MAX_BATCH:
            try:
                values = await self.load_batch(keys)
            except Exception as failure:
                self.arrived(keys, [failure] * len(keys))
            else:
                self.arrived(keys, values)
        else:
            await self._load_parts(keys)
        return [None] * len(sets)

    def arrived(self, keys: Sequence[K], values: Sequence[V | Exception]) -> None:
        """Keep what was on its way: a value or a failure for each key."""
        on_the_way = self._on_the_way
        if len(keys) == len(on_the_way):
            on_the_way.clear()
        else:
            for key in keys:
                del on_the_way[key]
        if self._failed or _any_failed(values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(value, Exception):
                    self._failed[key] = value
                else:
                    self.known[key] = value
                    self._failed.pop(key, None)
        else:
            self.known.update(zip(keys, cast("Sequence[V]", values), strict=True))
        if not on_the_way:
            # The two hold each other, and so would everything that is known.
            self._collecting = None

    async def _load_parts(self, keys: list[K]) -> None:
        """A failed call is the failure of each of its keys."""
        parts = [keys[n : n + MAX_BATCH] for n in range(0, len(keys), MAX_BATCH)]
        answers = await each(self.load_batch(part) for part in parts)
        for part, answer in zip(parts, answers, strict=True):
            failed = isinstance(answer, Exception)
            values = [answer] * len(part) if failed else answer
            self.arrived(part, cast("Sequence[V | Exception]", values))

    async def _gathered(
        self, keys: Sequence[K | None], loading: "set[asyncio.Future[None]]"
    ) -> list[V | Exception | None]:
        for future in loading:
            # Shielded: the engine cancels the siblings of a failed non-null field, and
            # without the shield that would cancel what every other waiter shares.
            await shielded(future)
        found: Mapping[K, V | Exception] = self.known
        if self._failed:
            found = {**self._failed, **found}
        return [None if key is None else found[key] for key in keys]

    async def _beside(
        self,
        refs: "Sequence[str | V | None]",
        loaded: "Awaitable[list[V | Exception | None]]",
    ) -> "list[V | Exception | None]":
        return _rows_beside(refs, await loaded)


class _Load(msgspec.Struct, Generic[V]):
    """What became of one key; `others` is made when somebody else asks meanwhile."""

    done: bool = False
    value: V | None = None
    others: asyncio.Future[V] | None = None


class OnceLoader(msgspec.Struct, Generic[K, V]):
    """One call of `load_one` for each distinct key, kept for the request.

    Nothing is collected. Who asks first makes the call, in its own task: a task for it
    would cost as much as all else here. The others wait for its answer.
    """

    load_one: Callable[[K], Awaitable[V]]
    _loads: dict[K, _Load[V]] = msgspec.field(default_factory=dict)

    async def load(self, key: K) -> V:
        """The value of `key`. A failure is not kept."""
        mine: _Load[V] = _Load()
        load = self._loads.setdefault(key, mine)
        if load is not mine:
            return await self._load_of_another(key, load)
        try:
            value = await self.load_one(key)
        except BaseException as failure:
            # Not kept at hand: it holds this frame, and everything would wait for the
            # garbage collector.
            del mine, load
            _tell(self._loads.pop(key).others, failure)
            raise
        load.done, load.value = True, value
        if load.others is not None:
            load.others.set_result(value)
        return value

    async def _load_of_another(self, key: K, load: _Load[V]) -> V:
        if load.done:
            return cast("V", load.value)
        if load.others is None:
            load.others = asyncio.get_running_loop().create_future()
        try:
            return await shielded(load.others)
        except _GivenUpError:  # by whoever was first, and is not waited for any more
            return await self.load(key)


def _tell(others: "asyncio.Future[V] | None", failure: BaseException) -> None:
    """The first of those who asked has failed."""
    if others is None:
        return
    told = failure if isinstance(failure, Exception) else _GivenUpError()
    others.set_exception(told)
    others.exception()  # nobody may be waiting any more


class _GivenUpError(Exception):
    """The first of those who asked was cancelled."""


def shielded(inner: "asyncio.Future[R]") -> "asyncio.Future[R]":
    """A future of one's own of what others wait for too.

    `asyncio.shield` in four calls instead of twenty: what is shielded here is always a
    future of the running loop.
    """
    outer: asyncio.Future[R] = inner.get_loop().create_future()

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


def came_along(
    refs: Sequence[str | V | None],
) -> TypeGuard[list[V | Exception | None]]:
    """Whether relations hold the rows themselves: then no loader is needed."""
    return str not in set(map(type, refs))


def _any_failed(values: Sequence[object]) -> bool:
    """Whether there is an exception among them; rows are of few classes."""
    return any(issubclass(class_, Exception) for class_ in set(map(type, values)))


def _rows_beside(
    refs: Sequence[str | V | None], loaded: Sequence[V | Exception | None]
) -> list[V | Exception | None]:
    """What was loaded for the keys among the refs, and the rows among them."""
    return [
        found if isinstance(ref, str) else ref
        for ref, found in zip(refs, loaded, strict=True)
    ]


async def _first(loaded: Loaded[V]) -> V:
    (found,) = loaded if isinstance(loaded, list) else await loaded
    if isinstance(found, Exception):
        raise found
    return found


async def settled(loaded: Loaded[V]) -> list[V | Exception]:
    """What was loaded, as soon as it is there."""
    return loaded if isinstance(loaded, list) else await loaded


class Identified(Protocol):
    """A row with a key of its own."""

    @property
    def id(self) -> str: ...


def align_by_id(ids: Sequence[str], rows: Iterable[Row]) -> list[Row | None]:
    """The row of each id, None where there is none; never by the rows' order."""
    by_id = {row.id: row for row in rows}
    return list(map(by_id.get, ids))


def align_many(keys: Sequence[K], groups: Mapping[K, list[R]]) -> list[list[R]]:
    """The rows of each key, an empty list where there are none."""
    return [groups.get(key, []) for key in keys]
