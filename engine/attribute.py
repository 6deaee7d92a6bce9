"""Fields that are read out of the object behind a strawberry type.

A type may stand for a record of another layer: its objects hold the record, and its
fields are the record's attributes. `attribute` makes such a field. Under graphql-core's
executor its resolver reads the attribute; a plan reads it in the generated code of the
level, without a call.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import strawberry

ATTRIBUTE = "engine.attribute"


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
        class Post:
            record: strawberry.Private[Record]
            title: str = attribute("record.title", description="What it is called.")

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
