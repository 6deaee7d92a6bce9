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
from collections.abc import Callable, Iterable, Mapping, Sequence
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
        if class_ in field.by_class:
            continue
        field.by_class[class_] = selection
        if field.depth < 2 and is_flat(selection) and is_stored(class_, selection):
            field.stored.add(class_)
            if field.object_type is None:
                field.makers[class_] = make_one(selection)


def is_flat(selection: Selection, depth: int = 1) -> bool:
    """Whether all that is selected of an object are attributes, and so on below."""
    return depth <= MAX_WHOLE_DEPTH and all(
        isinstance(entry, tuple)
        or (
            is_name(path_of(entry))
            and (
                is_exact(entry)
                or (
                    entry.depth < 2
                    and entry.object_type is not None
                    and is_flat(entry.selections[entry.object_type], depth + 1)
                )
            )
        )
        for entry in selection.entries
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
    """The function for all values of a field that has met a class of `stored`."""
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
    return cast(Whole, writer.function("whole", lines))


def make_one(selection: Selection) -> Callable[[Value], Value]:
    """The function for one object of a type that an abstract type stands for."""
    writer = Writer()
    lines = ["def one(v):", *indented(writer.object(selection, "v")), "    return v"]
    return cast(Callable[[Value], Value], writer.function("one", lines))


def indented(lines: Iterable[str], times: int = 1) -> list[str]:
    """The lines within so many blocks."""
    return ["    " * times + line for line in lines]


class Writer:
    """Writes the lines for one function; counts the names in it."""

    def __init__(self) -> None:
        self.constants: dict[str, Value] = {"Unusual": Unusual, **BUILTINS}
        self.count = 0

    def function(self, name: str, lines: Sequence[str]) -> Value:
        """The function of that name."""
        return made(bound(name, lines, self.constants), self.constants)

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
        """The lines that look at a leaf; none where its class vouches for it."""
        if field.exact in (str, bool):
            if field.declared == field.exact:
                return []
            if field.declared == field.exact | None and field.convert is None:
                return [] if field.nullable[0] else [f"if {v} is None: raise Unusual"]
        exact = IS_EXACT[cast(type, field.exact)].format(v=v)
        null = f" and {v} is not None" if field.nullable[0] else ""
        return [f"if not ({exact}){null}: raise Unusual"]

    def item(self, field: Field, v: str) -> list[str]:
        """The same of one object."""
        if field.object_type is None:
            lines = [f"{v} = {self.constant('makers', field.makers)}[type({v})]({v})"]
        else:
            classes = self.constant("classes", field.stored)
            lines = [
                f"if type({v}) not in {classes}: raise Unusual",
                *self.object(field.selections[field.object_type], v),
            ]
        return unless_null(v, lines, nullable=field.nullable[-1])

    def object(self, selection: Selection, v: str) -> list[str]:
        """The same of an object of a known type."""
        lines: list[str] = []
        items: list[str] = []
        for entry in selection.entries:
            if isinstance(entry, tuple):
                items.append(f"{literal(entry[0])}: {literal(entry[1])}")
                continue
            self.count += 1
            name, value = f"v{self.count}", self.read(entry, v)
            made_of = self.value(entry, name)
            if made_of:
                lines += [f"{name} = {value}", *made_of]
                value = name
            items.append(f"{literal(entry.key)}: {value}")
        return [*lines, f"{v} = {{{', '.join(items)}}}"]

    def read(self, field: Field, v: str) -> str:
        """The value of a field of the object in `v`."""
        value = f"{v}.{path_of(field)}"
        if field.convert is None:
            return value
        return f"{self.constant('convert', field.convert)}({value})"


def unless_null(v: str, lines: list[str], *, nullable: bool) -> list[str]:
    """The lines, where null is let alone if it is allowed."""
    return [f"if {v} is not None:", *indented(lines)] if nullable else lines
