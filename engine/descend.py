"""From the objects of a field to the level below: which types they are, where they go.

The objects of one place are grouped by their runtime type; each group becomes a level
of its own, so that its resolvers are called once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from graphql import GraphQLObjectType
from graphql.pyutils import is_awaitable
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE

from .leaf import dispose
from .level import Level
from .plan import Field, Selection, Slot, Value
from .types import check_type, ensure_object_type, invalid_type, resolve_type
from .wait import Wait
from .whole import remember

if TYPE_CHECKING:
    from .run import Run


class Rows(NamedTuple):
    """Objects of one field, with their places.

    `spans` says that the lists around them are not made yet: (row, first, last + 1).
    Without it the places exist and hold null.
    """

    sources: Sequence[Value]
    parents: Sequence[int]
    slots: Sequence[int] | Sequence[Slot] | None
    spans: list[tuple[int, int, int]] | None

    def slot(self, n: int) -> Slot:
        """The place of an object in the lists of its field."""
        if self.slots is None:
            return ()
        slot = self.slots[n]
        return slot if isinstance(slot, tuple) else (slot,)

    def part(self, chosen: Sequence[int]) -> Rows:
        """Some of the objects."""
        return Rows(
            [self.sources[n] for n in chosen],
            [self.parents[n] for n in chosen],
            # A cast, since all of them are of one kind.
            cast(Any, self.slots and [self.slots[n] for n in chosen]),
            None,
        )


class Asked(NamedTuple):
    """An answer to be awaited: the name of a type, or whether it is `type_`."""

    answer: Value
    type_: GraphQLObjectType | None


Answers: TypeAlias = dict[int, GraphQLObjectType | Asked | None]


def descend(
    run: Run,
    field: Field,
    level: Level,
    rows: Rows,
    classes: set[type] | None = None,
) -> None:
    """Enter the level below with these objects.

    `classes` are those of all of them, if they are `regular`: one that tells the type
    is remembered.
    """
    type_ = field.object_type
    if type_ is not None and type_.is_type_of is None:
        selection = selection_of(field, type_)
        remember(field, classes or (), selection)
        enter(run, field, level, selection, *rows)
        return
    types = sure_types(field, rows.sources, classes or set(map(type, rows.sources)))
    if types is not None and classes:
        for class_, type_ in types.items():
            if not is_castable(class_):
                remember(field, [class_], selection_of(field, type_))
    if types is not None and len(types) == 1:
        (type_,) = types.values()
        enter(run, field, level, selection_of(field, type_), *rows)
        return
    rows = make_lists(field, level, rows)
    if types is not None:
        enter_groups(run, field, level, rows, grouped(rows.sources, types))
        return
    found: Answers = {}
    for n, source in enumerate(rows.sources):
        row, slot = rows.parents[n], rows.slot(n)
        found[n] = runtime_type(run, field, level, row, slot, source)
    go_on(run, field, level, rows, found)


def sure_types(
    field: Field, sources: Sequence[Value], classes: set[type]
) -> dict[type, GraphQLObjectType] | None:
    """The types of objects by their classes, if those tell: nobody has to be asked."""
    types: dict[type, GraphQLObjectType] = {}
    castable = False
    for class_ in classes:
        type_ = field.type_of_class(class_)
        if type_ is None:
            return None
        types[class_] = type_
        castable |= is_castable(class_)
    if castable:
        for source in sources:
            if getattr(source, TYPE_CAST_ATTRIBUTE, None) is not None:
                return None
    return types


def is_castable(class_: type) -> bool:
    """Whether objects of the class may be cast to another type: those with a dict."""
    return class_.__dictoffset__ != 0


def grouped(
    sources: Sequence[Value], types: dict[type, GraphQLObjectType]
) -> dict[GraphQLObjectType, list[int]]:
    """The numbers of the objects by their types."""
    groups: dict[GraphQLObjectType, list[int]] = {}
    for n, source in enumerate(sources):
        groups.setdefault(types[type(source)], []).append(n)
    return groups


def make_lists(field: Field, level: Level, rows: Rows) -> Rows:
    """Put lists of nulls where the objects will go."""
    for row, first, last in rows.spans or ():
        level.put(row, field, (), [None] * (last - first))
    return rows._replace(spans=None)


def runtime_type(
    run: Run, field: Field, level: Level, row: int, slot: Slot, source: Value
) -> GraphQLObjectType | Asked | None:
    """The type of one object: known, to be awaited, or None after an error."""
    if not level.holds(row, field, slot):
        return None
    if field.abstract_type is None:
        return checked_type(run, field, level, row, slot, source, field.object_type)
    try:
        answer = resolve_type(run, field, level, row, source)
    except Exception as error:
        run.fail(error, level, row, field, slot)
        return None
    if is_awaitable(answer):
        return Asked(answer, None)
    return checked_type(run, field, level, row, slot, source, answer)


def checked_type(
    run: Run,
    field: Field,
    level: Level,
    row: int,
    slot: Slot,
    source: Value,
    type_or_name: Value,
) -> GraphQLObjectType | Asked | None:
    """The type, if it may be here and its `is_type_of` agrees."""
    try:
        type_ = type_or_name
        if not isinstance(type_, GraphQLObjectType):
            type_ = ensure_object_type(run, field, type_or_name, source)
        answer = check_type(run, field, level, row, type_, source)
        return Asked(answer, type_) if is_awaitable(answer) else type_
    except Exception as error:
        run.fail(error, level, row, field, slot)
        return None


def go_on(run: Run, field: Field, level: Level, rows: Rows, found: Answers) -> None:
    """Enter the objects whose type is known, wait for the types of the others."""
    groups: dict[GraphQLObjectType, list[int]] = {}
    asked: dict[int, Asked] = {}
    for n, answer in found.items():
        held = level.holds(rows.parents[n], field, rows.slot(n))
        if isinstance(answer, Asked):
            if held:
                asked[n] = answer
            else:
                dispose(answer.answer)
        elif answer is not None and held:
            groups.setdefault(answer, []).append(n)
    if asked:
        wait_for_types(run, field, level, rows, asked)
    enter_groups(run, field, level, rows, groups)


def wait_for_types(
    run: Run, field: Field, level: Level, rows: Rows, asked: dict[int, Asked]
) -> None:
    """Go on with objects whose type has to be awaited when all of them are known."""
    numbers = {(rows.parents[n], rows.slot(n)): n for n in asked}
    Wait(
        run,
        level,
        field,
        [row for row, _ in numbers],
        [slot for _, slot in numbers],
        [asking.answer for asking in asked.values()],
        partial(hear, rows, numbers, asked),
    )


def hear(
    objects: Rows,
    numbers: dict[tuple[int, Slot], int],
    asked: dict[int, Asked],
    run: Run,
    field: Field,
    level: Level,
    rows: Sequence[int],
    slots: Sequence[Slot] | None,
    answers: list[Value],
) -> None:
    """What was asked about the types of objects has been answered."""
    found: Answers = {}
    for row, slot, answer in zip(rows, slots or (), answers, strict=True):
        n = numbers[row, slot]
        source, type_ = objects.sources[n], asked[n].type_
        if not level.holds(row, field, slot):
            continue
        if type_ is None:
            found[n] = checked_type(run, field, level, row, slot, source, answer)
        elif answer:
            found[n] = type_
        else:
            error = invalid_type(field, type_, source)
            run.fail(error, level, row, field, slot)
    go_on(run, field, level, objects, found)


def enter_groups(
    run: Run,
    field: Field,
    level: Level,
    rows: Rows,
    groups: dict[GraphQLObjectType, list[int]],
) -> None:
    """Enter one level for each runtime type."""
    for type_, chosen in groups.items():
        held = [n for n in chosen if level.holds(rows.parents[n], field, rows.slot(n))]
        if held:
            enter(run, field, level, selection_of(field, type_), *rows.part(held))


def selection_of(field: Field, type_: GraphQLObjectType) -> Selection:
    """What a field selects of objects of a type."""
    return field.selections.get(type_) or field.compile_for(type_)


def enter(
    run: Run,
    field: Field,
    level: Level,
    selection: Selection,
    sources: Sequence[Value],
    parents: Sequence[int],
    slots: Sequence[int] | Sequence[Slot] | None,
    spans: list[tuple[int, int, int]] | None,
) -> None:
    """Read the objects of one type (see `Rows`), store their dicts, go on with them."""
    child = Level(selection, sources, level, field, parents, slots)
    level.children.append(child)
    columns = selection.read(run, child, sources)
    outs, above, key = child.outs, level.outs, field.key
    if spans is not None:
        for row, first, last in spans:
            above[row][key] = outs[first:last]  # type: ignore[index]  # alive
    elif slots is None and len(outs) == len(above):  # one for each row above
        for parent, out in zip(above, outs, strict=True):
            parent[key] = out  # type: ignore[index]  # alive
    elif slots is None:
        for row, out in zip(parents, outs, strict=True):
            above[row][key] = out  # type: ignore[index]  # alive
    else:
        for n, out in enumerate(outs):
            slot = slots[n]
            if slot.__class__ is int:
                above[parents[n]][key][slot] = out  # type: ignore[index]  # alive
            else:
                level.put(parents[n], field, child.slot(n), out)
    if columns or selection.resolved or child.dead or child.late:
        run.proceed(child, columns)
