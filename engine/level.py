"""A level: all objects of one type that one place of the document answered with.

Levels form a tree that mirrors the response. They carry what an error needs to know
(the path of a row, and which ancestor turns null) without any work per object while
all goes well: two parallel sequences tell the parent row and the place in its list.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from graphql.pyutils import Path

from .plan import Field, Selection, Slot, Value

if TYPE_CHECKING:
    from .wait import Wait


class Level:
    """Rows of one selection. `outs[i]` is the response dict of row i, None once dead.

    A row is dead when it, or an ancestor, became null: nothing is started for it any
    more, what is pending for it is cancelled, its later errors are not reported.
    """

    __slots__ = (
        "children",
        "dead",
        "failed",
        "field",
        "late",
        "outs",
        "parents",
        "selection",
        "slots",
        "sources",
        "up",
        "waits",
    )

    def __init__(
        self,
        selection: Selection,
        sources: Sequence[Value],
        up: Level | None = None,
        field: Field | None = None,
        parents: Sequence[int] = (),
        slots: Sequence[int] | Sequence[Slot] | None = None,
    ) -> None:
        self.selection = selection
        self.sources = sources
        self.up = up
        self.field = field
        self.parents = parents  # ascending, so that a parent's rows are a span
        self.slots = slots
        self.outs: list[dict[str, Value] | None] = []
        self.dead = False  # whether any row is: spares looking at all of them
        self.children: list[Level] = []
        self.waits: list[Wait] = []
        # Filled by the generated function, emptied right after it:
        self.failed: list[tuple[int, Field, Exception]] | None = None
        self.late: dict[Field, list[tuple[int, Value]]] | None = None

    def slot(self, row: int) -> Slot:
        """The place of a row in the lists of its field."""
        if self.slots is None:
            return ()
        slot = self.slots[row]
        return slot if isinstance(slot, tuple) else (slot,)

    def rows_of(self, parent: int) -> range:
        """The rows that one row of the level above answered with."""
        lo = bisect_left(self.parents, parent)
        return range(lo, bisect_right(self.parents, parent, lo))

    def alive(self) -> Sequence[int]:
        """The rows that are not dead."""
        if self.dead:
            return [i for i, out in enumerate(self.outs) if out is not None]
        return range(len(self.outs))

    def path(self, row: int) -> Path | None:
        """The response path of a row; None for the root object."""
        if self.up is None or self.field is None:
            return None
        path = self.up.field_path(self.parents[row], self.field)
        for index in self.slot(row):
            path = path.add_key(index)
        return path

    def field_path(self, row: int, field: Field) -> Path:
        """The response path of a field of a row."""
        return Path(self.path(row), field.key, field.parent.name)

    def order(self, row: int, field: Field) -> tuple[int, ...]:
        """Sorts positions as they stand in the response."""
        if self.up is None or self.field is None:
            return (field.index,)
        above = self.up.order(self.parents[row], self.field)
        return (*above, *self.slot(row), field.index)

    def let_go(self) -> None:
        """Leave no reference cycle to the garbage collector."""
        levels = [self]
        while levels:
            level = levels.pop()
            levels += level.children
            level.children = []

    def holds(self, row: int, field: Field, slot: Slot) -> bool:
        """Whether a position exists: neither its row nor a list around it is null."""
        if (out := self.outs[row]) is None:
            return False
        if not slot:
            return True
        value = out[field.key]
        for index in slot[:-1]:
            if value is None:
                return False
            value = value[index]
        return value is not None

    def put(self, row: int, field: Field, slot: Slot, value: Value) -> None:
        """Set the value at a position that exists."""
        target: Value = self.outs[row]
        key: str | int = field.key
        for index in slot:
            target = target[key]
            key = index
        target[key] = value

    def below(self, row: int, field: Field, slot: Slot) -> Iterator[tuple[Level, int]]:
        """The living rows at or below a position, one level down."""
        for child in self.children:
            if child.field is field:
                for i in child.rows_of(row):
                    if child.outs[i] is not None and child.slot(i)[: len(slot)] == slot:
                        yield child, i
