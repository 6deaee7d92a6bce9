"""Makes everything below a field in one go, where nobody has to be asked about it.

Most objects are records: what is selected of them, and of the objects that they hold,
are attributes. Once their classes have been met (`descend.py`), one generated function
makes the response of all of it, without levels. It knows the usual only. Whatever else
it meets (a null that may not be, a value to be coerced, an exception, an awaitable, a
class that was not met) ends it, and the general way does everything anew and finds out
what is wrong. So attributes are read twice then, which is why they must be stored.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from types import MemberDescriptorType
from typing import cast

from .plan import Field, Selection, Value, Whole
from .source import BUILTINS, IS_EXACT, bound, is_plain, literal, made

# With these an attribute may be anything; what can be called, graphql-core calls.
COMPUTING = frozenset(("__getattr__", "__getattribute__", "__call__"))
# Of selections within each other: every one of them may have a function of its own.
MAX_WHOLE_DEPTH = 4


class Unusual(Exception):  # noqa: N818 (no error: the general way takes over)
    """There is something that the generated function does not know."""


def remember(field: Field, classes: Iterable[type], selection: Selection) -> None:
    """Note what is selected of objects of these classes, each always of one type."""
    for class_ in classes:
        if class_ not in field.by_class:
            field.by_class[class_] = selection
            if may_be_whole(field) and is_stored(class_, selection):
                field.stored.add(class_)


def may_be_whole(field: Field, depth: int = 0) -> bool:
    """Whether the values of a field, if they are as usual, tell all below it."""
    if field.object_type is None or field.depth > 1 or depth == MAX_WHOLE_DEPTH:
        return False
    return all(
        isinstance(entry, tuple)
        or (
            is_name(path_of(entry))
            and (is_exact(entry) or may_be_whole(entry, depth + 1))
        )
        for entry in field.selections[field.object_type].entries
    )


def path_of(field: Field) -> str:
    """The attribute that holds the value of a field, or may hold it; empty if none."""
    return field.attribute or field.held or ""


def is_name(path: str) -> bool:
    """One attribute, that can stand in the text."""
    return path.isidentifier() and not keyword.iskeyword(path)


def is_exact(field: Field) -> bool:
    """A leaf whose usual value is its own response form."""
    return is_plain(field) and field.exact is not None


def is_stored(class_: type, selection: Selection) -> bool:
    """Whether objects of a class hold what is selected: nothing computes it."""
    own: dict[str, Value] = {}
    for base in reversed(class_.__mro__[:-1]):
        own |= vars(base)
    if not own.keys().isdisjoint(COMPUTING) or issubclass(class_, Mapping):
        return False
    names = [path_of(entry) for entry in selection.entries if isinstance(entry, Field)]
    return all(
        isinstance(found, MemberDescriptorType) or not hasattr(type(found), "__get__")
        for found in map(own.get, names)
    )


def make_whole(field: Field) -> Whole:
    """The function for a field that may be whole; raises for what it does not know."""
    writer = Writer()
    lines = [
        "def whole(values):",
        "    outs = []",
        "    add = outs.append",
        "    for v in values:",
        *indented(writer.value(field, "v"), 2),
        "        add(v)",
        "    return outs",
    ]
    known = writer.constants
    return cast(Whole, made(bound("whole", lines, known), known))


def indented(lines: Iterable[str], times: int = 1) -> list[str]:
    """The lines within so many blocks."""
    return ["    " * times + line for line in lines]


class Writer:
    """Writes the lines for one function; counts the names in it."""

    def __init__(self) -> None:
        self.constants: dict[str, Value] = {"Unusual": Unusual, **BUILTINS}
        self.count = 0

    def constant(self, kind: str, value: Value) -> str:
        """The name of something that comes in from outside."""
        self.count += 1
        name = f"{kind}{self.count}"
        self.constants[name] = value
        return name

    def value(self, field: Field, v: str) -> list[str]:
        """The lines that make of the value in `v` its response form."""
        if is_exact(field):
            return self.leaf(field, v)
        if field.depth == 0:
            return self.item(field, v)
        self.count += 1
        items, add, item = (f"{name}{self.count}" for name in ("l", "a", "i"))
        lines = [
            f"if type({v}) is not list: raise Unusual",
            f"{items} = []",
            f"{add} = {items}.append",
            f"for {item} in {v}:",
            *indented(self.item(field, item)),
            f"    {add}({item})",
            f"{v} = {items}",
        ]
        return unless_null(v, lines, nullable=field.nullable[0])

    def leaf(self, field: Field, v: str) -> list[str]:
        exact = IS_EXACT[cast(type, field.exact)].format(v=v)
        null = f" and {v} is not None" if field.nullable[0] else ""
        return [f"if not ({exact}){null}: raise Unusual"]

    def item(self, field: Field, v: str) -> list[str]:
        """The same of one object."""
        classes = self.constant("classes", field.stored)
        lines = [f"if type({v}) not in {classes}: raise Unusual"]
        items: list[str] = []
        for entry in field.selections[cast(Value, field.object_type)].entries:
            if isinstance(entry, tuple):
                items.append(f"{literal(entry[0])}: {literal(entry[1])}")
                continue
            self.count += 1
            name = f"v{self.count}"
            lines += [f"{name} = {self.read(entry, v)}", *self.value(entry, name)]
            items.append(f"{literal(entry.key)}: {name}")
        lines.append(f"{v} = {{{', '.join(items)}}}")
        return unless_null(v, lines, nullable=field.nullable[-1])

    def read(self, field: Field, v: str) -> str:
        """The value of a field of the object in `v`."""
        value = f"{v}.{path_of(field)}"
        if field.convert is None:
            return value
        return f"{self.constant('convert', field.convert)}({value})"


def unless_null(v: str, lines: list[str], *, nullable: bool) -> list[str]:
    """The lines, where null is let alone if it is allowed."""
    return [f"if {v} is not None:", *indented(lines)] if nullable else lines
