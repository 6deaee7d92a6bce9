"""Types whose objects are the records of another layer.

`objects_of` says of which class the objects of a strawberry type are, and `attribute`
makes a field that is an attribute of theirs. No object is made to show a record: under
graphql-core's executor a resolver reads the attribute; a plan reads it in the generated
code of the level, without a call.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar, get_type_hints

import strawberry

ATTRIBUTE = "engine.attribute"
OBJECTS = "__engine_objects__"
DECLARED = "__engine_declared__"

C = TypeVar("C", bound=type)


@dataclass(frozen=True, slots=True)
class Attribute:
    """Where the value is, and what makes it the field's; `convert` must not fail."""

    path: str
    convert: Callable[[Any], Any] | None = None


def attribute(
    path: str, *, convert: Callable[[Any], Any] | None = None, **options: Any
) -> Any:
    """Make a strawberry field of an attribute, or of an attribute of an attribute.

        @strawberry.type
        @objects_of(Record)
        class Post:
            title: str = attribute("title", description="What it is called.")

    The class annotates the field's type. The options are those of `strawberry.field`.

    Raises: ValueError for what is no path.
    """
    names = path.split(".")
    if not all(name.isidentifier() and not keyword.iskeyword(name) for name in names):
        raise ValueError(f"not a path of attributes: {path!r}")
    read = attrgetter(path)

    # `self` is how strawberry is told that the object itself is wanted.
    def resolve(self):  # type: ignore[no-untyped-def]
        return read(self) if convert is None else convert(read(self))

    return strawberry.field(
        resolver=resolve,
        metadata={**options.pop("metadata", {}), ATTRIBUTE: Attribute(path, convert)},
        **options,
    )


def objects_of(record: type, *, checked: bool = False) -> Callable[[C], C]:
    """Say that a type's objects are the instances of `record`, and of nothing else.

    `checked`: whoever makes them sees to it that they hold what the class declares, as
    a decoder does; then the engine need not look at each value again, nor at what is
    made of it by a `convert` of texts.

    Stands under `strawberry.type`, which gets its `is_type_of` so. The methods of the
    type take what they are about as `strawberry.Parent`.
    """

    def declare(kind: C) -> C:
        def is_type_of(_: type, value: Any, _info: Any) -> bool:
            return isinstance(value, record)

        setattr(kind, OBJECTS, record)
        setattr(kind, DECLARED, get_type_hints(record) if checked else {})
        kind.is_type_of = classmethod(is_type_of)  # type: ignore[attr-defined]
        return kind

    return declare
