"""Completes the values of a field for all rows of a level, and enters the level below.

The usual shapes (leaves, objects, lists of objects, all of them there) have short
paths that work on whole columns. Whatever is unusual (nulls in lists, lists of lists,
exceptions and awaitables as values, async iterables) goes position by position through
`spread`, which is the "complete value" of the specification.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from contextlib import suppress
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from graphql import GraphQLError
from graphql.pyutils import Undefined, is_awaitable, is_iterable

from .descend import Rows, descend, enter
from .leaf import coerce_leaf, dispose
from .level import Level
from .plan import Field, Slot, Value
from .wait import Wait
from .whole import make_whole

if TYPE_CHECKING:
    from .run import Run

NUMBERS = (int, float)
Position: TypeAlias = tuple[int, Slot]


class Found(NamedTuple):
    """What `spread` came upon: objects to enter, awaitables to wait for."""

    objects: list[tuple[Position, Value]]
    awaited: list[tuple[Position, Value]]


def complete(
    run: Run,
    field: Field,
    level: Level,
    rows: Sequence[int],
    slots: Sequence[Slot] | None,
    values: Sequence[Value],
) -> None:
    """Complete the values of these rows, or of these slots in them; rows may have died
    since they were asked for.
    """
    if slots is None:
        if field.coerce is not None:
            if field.depth == 0:
                complete_leaves(run, field, level, rows, values)
                return
        elif len(rows) == len(level.outs) and not level.dead:
            if field.stored:
                whole = field.whole = field.whole or make_whole(field)
                try:
                    whole(level.outs, values)
                except Exception:  # noqa: S110 (met again, where it is reported)
                    pass
                else:
                    return
            if field.depth == 0 and complete_objects(run, field, level, values):
                return
            if field.depth == 1 and complete_lists(run, field, level, values):
                return
    found = Found([], [])
    for n, value in enumerate(values):
        slot = slots[n] if slots else ()
        spread(run, field, level, rows[n], slot, value, found)
    follow(run, field, level, found)


def regular(run: Run, classes: set[type]) -> bool:
    """Whether values of these classes are objects: neither null, nor exceptions, nor
    awaitable. Looks at a class once for each plan.
    """
    if classes <= run.plan.ordinary:
        return True
    for class_ in classes - run.plan.ordinary:
        if (
            class_ is type(None)
            or class_ is type(Undefined)
            or issubclass(class_, Exception)
            or hasattr(class_, "__await__")
            or hasattr(class_, "__getattr__")  # might make up an `__await__`
            or hasattr(class_, "gi_frame")  # coroutines of old are generators
        ):
            return False
        run.plan.ordinary.add(class_)
    return True


def complete_leaves(
    run: Run, field: Field, level: Level, rows: Sequence[int], values: Sequence[Value]
) -> None:
    """A column of leaves."""
    outs = level.outs
    key = field.key
    exact = field.exact
    found = Found([], [])
    for row, value in zip(rows, values, strict=True):
        if value is None and field.nullable[0]:
            continue
        if value.__class__ is exact and (exact not in NUMBERS or is_in_range(value)):
            if (out := outs[row]) is not None:
                out[key] = value
        else:
            spread(run, field, level, row, (), value, found)
    follow(run, field, level, found)


def is_in_range(value: Value) -> bool:
    """Whether a number is its own response form: 32 bits, and neither inf nor nan."""
    if value.__class__ is int:
        return -2147483649 < value < 2147483648
    return value.__class__ is float and isfinite(value)


def complete_objects(
    run: Run, field: Field, level: Level, values: Sequence[Value]
) -> bool:
    """A column of objects, one for each row; False if it is not as regular as that."""
    classes = set(map(type, values))
    parents: Sequence[int] = range(len(values))
    if type(None) in classes and field.nullable[0]:
        classes.discard(type(None))
        parents = [row for row in parents if values[row] is not None]
        values = [values[row] for row in parents]
    selection = field.by_class.get(next(iter(classes))) if len(classes) == 1 else None
    if selection is not None:
        enter(run, field, level, selection, values, parents, None, None)
        return True
    if not regular(run, classes):
        return False
    if values:
        descend(run, field, level, Rows(values, parents, None, None), classes)
    return True


def complete_lists(
    run: Run, field: Field, level: Level, values: Sequence[Value]
) -> bool:
    """A column of lists of objects; False if it is not as regular as that."""
    sources: list[Value] = []
    parents: list[int] = []
    slots: list[int] = []
    spans: list[tuple[int, int, int]] = []
    classes: set[type] = set()
    for row, value in enumerate(values):
        if value is None and field.nullable[0]:
            continue
        if value.__class__ is not list:
            return False
        classes.update(map(type, value))
        start, count = len(sources), len(value)
        sources += value
        parents += [row] * count
        slots += range(count)
        spans.append((row, start, start + count))
    selection = field.by_class.get(next(iter(classes))) if len(classes) == 1 else None
    if selection is not None:
        enter(run, field, level, selection, sources, parents, slots, spans)
        return True
    if not regular(run, classes):
        return False
    if sources:
        descend(run, field, level, Rows(sources, parents, slots, spans), classes)
    else:
        for row, _, _ in spans:
            level.put(row, field, (), [])
    return True


def spread(
    run: Run,
    field: Field,
    level: Level,
    row: int,
    slot: Slot,
    value: Value,
    found: Found,
) -> None:
    """Complete one value at one position; leave objects and awaitables in `found`."""
    if not level.holds(row, field, slot):
        dispose(value)
        return
    if is_awaitable(value):
        found.awaited.append(((row, slot), value))
        return
    try:
        if isinstance(value, Exception):
            raise value
        if value is None or value is Undefined:
            run.fail_null(level, row, field, slot)
        elif len(slot) < field.depth:
            spread_list(run, field, level, row, slot, value, found)
        elif field.coerce is None:
            found.objects.append(((row, slot), value))
        else:
            level.put(row, field, slot, coerce_leaf(field, value))
    except Exception as error:
        run.fail(error, level, row, field, slot)


def spread_list(
    run: Run,
    field: Field,
    level: Level,
    row: int,
    slot: Slot,
    value: Value,
    found: Found,
) -> None:
    """Complete a list at one position.

    Raises: GraphQLError if it is none; what its iteration raises.
    """
    if isinstance(value, AsyncIterable):
        items_nullable = field.nullable[len(slot) + 1]
        found.awaited.append(((row, slot), collect(value, items_nullable)))
        return
    if not is_iterable(value):
        raise GraphQLError(
            f"Expected Iterable, but did not find one for field '{field.title}'."
        )
    items: list[Value] = []
    try:
        items.extend(value)
    except Exception:
        for item in items:
            dispose(item)
        raise
    level.put(row, field, slot, [None] * len(items))
    for index, item in enumerate(items):
        spread(run, field, level, row, (*slot, index), item, found)


async def collect(values: AsyncIterable[Value], nullable: bool) -> list[Value]:
    """The items of an async iterable; no more than needed if one must not be null."""
    items: list[Value] = []
    iterator = aiter(values)
    try:
        async for item in iterator:
            items.append(item)
            if not nullable and (item is None or isinstance(item, Exception)):
                await aclose(iterator)
                break
    except Exception:
        for item in items:
            dispose(item)
        await aclose(iterator)
        raise
    return items


async def aclose(iterator: Value) -> None:
    """Close an async iterator that is not at its end, if it can be closed."""
    if (close := getattr(iterator, "aclose", None)) is not None:
        with suppress(Exception):
            await close()


def follow(run: Run, field: Field, level: Level, found: Found) -> None:
    """Wait for what has to be awaited; enter the objects that are there."""
    awaited = [(at, v) for at, v in found.awaited if level.holds(at[0], field, at[1])]
    if len(awaited) != len(found.awaited):
        kept = {id(value) for _, value in awaited}
        for _, value in found.awaited:
            if id(value) not in kept:
                dispose(value)
    if awaited:
        Wait(
            run,
            level,
            field,
            [row for (row, _), _ in awaited],
            [slot for (_, slot), _ in awaited] if field.depth else None,
            [value for _, value in awaited],
            complete,
        )
    objects = [
        ((row, slot), v)
        for (row, slot), v in found.objects
        if level.holds(row, field, slot)
    ]
    if objects:
        rows = Rows(
            [value for _, value in objects],
            [row for (row, _), _ in objects],
            [slot for (_, slot), _ in objects] if field.depth else None,
            None,
        )
        descend(run, field, level, rows)
