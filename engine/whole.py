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
from typing import NoReturn, cast

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
    """The function for all values of a field that has met a class of `stored`.

    It puts what they come to into the objects that they are of: all of it or nothing.
    """
    writer = Writer()
    lines = [
        "def whole(outs, values):",
        "    made = []",
        "    for v in values:",
        f"        made.append({writer.value(field, 'v')})",
        "    for out, value in zip(outs, made):",
        f"        out[{literal(field.key)}] = value",
    ]
    return cast(Whole, writer.function("whole", lines))


def make_one(selection: Selection) -> Callable[[Value], Value]:
    """The function for one object of a type that an abstract type stands for."""
    writer = Writer()
    lines = ["def one(v):", f"    return {writer.object(selection, 'v')}"]
    return cast(Callable[[Value], Value], writer.function("one", lines))


def unusual() -> NoReturn:
    """What an expression of the generated functions comes to otherwise."""
    raise Unusual


class Writer:
    """Writes the expression for one function; counts the names in it."""

    def __init__(self) -> None:
        self.constants: dict[str, Value] = {
            "unusual": unusual,
            "list": list,
            "map": map,
            "zip": zip,
            **BUILTINS,
        }
        self.count = 0

    def function(self, name: str, lines: Sequence[str]) -> Value:
        """The function of that name."""
        return made(bound(name, lines, self.constants), self.constants)

    def constant(self, kind: str, value: Value) -> str:
        """The name of something that comes in from outside."""
        name = self.new(kind)
        self.constants[name] = value
        return name

    def new(self, kind: str) -> str:
        """A name that nothing else has."""
        self.count += 1
        return f"{kind}{self.count}"

    def named(self, value: str) -> tuple[str, str]:
        """How to write a value where it is first used, and its name afterwards."""
        if value.isidentifier():
            return value, value
        name = self.new("v")
        return f"({name} := {value})", name

    def value(self, field: Field, value: str) -> str:
        """What a value comes to in its response form."""
        if is_exact(field):
            return self.leaf(field, value)
        if field.depth == 0:
            return self.item(field, value)
        first, items = self.named(value)
        item = self.new("i")
        test = f"type({items}) is list"
        if field.object_type is None or field.nullable[-1]:
            made_of = self.item(field, item)
        else:
            # All of them looked at in one go.
            classes = self.constant("classes", field.stored)
            test += f" and {classes}.issuperset(map(type, {items}))"
            made_of = self.object(field.selections[field.object_type], item)
        return if_usual(
            first, items, test, f"[{made_of} for {item} in {items}]", field.nullable[0]
        )

    def leaf(self, field: Field, value: str) -> str:
        """The same of a leaf; it is not looked at where its class vouches for it."""
        nullable = field.nullable[0]
        if field.exact in (str, bool):
            if field.declared == field.exact:
                return value
            if field.declared == field.exact | None and field.convert is None:
                if nullable:
                    return value
                first, name = self.named(value)
                return f"({name} if {first} is not None else unusual())"
        first, name = self.named(value)
        test = IS_EXACT[cast(type, field.exact)].format(v=name)
        return if_usual(first, name, test, name, nullable)

    def item(self, field: Field, value: str) -> str:
        """The same of one object."""
        first, name = self.named(value)
        nullable = field.nullable[-1]
        if field.object_type is None:
            makers = self.constant("makers", field.makers)
            # Of a class that was not met there is none, which ends it as well.
            if nullable:
                return f"(None if {first} is None else {makers}[type({name})]({name}))"
            return f"{makers}[type({first})]({name})"
        classes = self.constant("classes", field.stored)
        made_of = self.object(field.selections[field.object_type], name)
        return if_usual(first, name, f"type({name}) in {classes}", made_of, nullable)

    def object(self, selection: Selection, v: str) -> str:
        """The same of an object of a known type."""
        items = [
            f"{literal(entry[0])}: {literal(entry[1])}"
            if isinstance(entry, tuple)
            else f"{literal(entry.key)}: {self.value(entry, self.read(entry, v))}"
            for entry in selection.entries
        ]
        return f"{{{', '.join(items)}}}"

    def read(self, field: Field, v: str) -> str:
        """The value of a field of the object in `v`."""
        value = f"{v}.{path_of(field)}"
        if field.convert is None:
            return value
        return f"{self.constant('convert', field.convert)}({value})"


def if_usual(first: str, name: str, test: str, usual: str, nullable: bool) -> str:
    """An expression: the usual one if the test holds, null where that is allowed."""
    if nullable:
        return f"(None if {first} is None else {usual} if {test} else unusual())"
    return f"({usual} if {test.replace(name, first, 1)} else unusual())"
