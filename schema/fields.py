"""The kinds of fields: decorators of strawberry and the engine with their types kept.

Strawberry's own are untyped as soon as they are given a description, and here every
field has one. `column` and `relation` are those that lists consist of: they cost no
call per object (engine/README.md).
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

import msgspec
import strawberry

from engine import Answers, attribute, batched, objects_of
from resolvers.batching import Loaded

from .costs import Cost

T = TypeVar("T")
C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])  # any signature: a field's arguments


def field(description: str, *directives: object) -> Callable[[F], F]:
    """A field that is answered by the decorated method; directives as in costs.py."""
    return cast(
        "Callable[[F], F]",
        strawberry.field(description=description, directives=directives),
    )


def relation(
    description: str, *directives: object, held: str | None = None
) -> Callable[[F], F]:
    """A field that is answered for all objects of a level at once.

    The decorated static method takes the list of them, and `info` if it wants; it gives
    a list of values, in their order, or an awaitable of one. An exception among the
    values is the error of its object's field. `held`: the attribute that may hold the
    value itself; where it does the method is not called.
    """
    return cast(
        "Callable[[F], F]",
        batched(description=description, directives=directives, held=held),
    )


def column(
    path: str, description: str, *, convert: Callable[[Any], Any] | None = None
) -> Any:
    """A field that is an attribute of the record, read without a call.

    `Any`, so that the class can annotate the type.
    """
    return attribute(path, convert=convert, description=description)


def record_type(record: type[msgspec.Struct], description: str) -> Callable[[C], C]:
    """A type of the graph whose objects are the upstream's records themselves.

    They are decoded strictly, so they hold what they declare.

    Nothing is made to show a row: the class declares how a record is read (`column`)
    and what belongs to it (`relation`, and static methods that take it as `Parent`).
    """

    def declare(kind: C) -> C:
        return strawberry.type(
            objects_of(record, checked=True)(kind), description=description
        )

    return declare


@overload
def shown(kind: type[T], record: None) -> None: ...
@overload
def shown(kind: type[T], record: msgspec.Struct) -> T: ...
@overload
def shown(kind: type[T], record: Loaded[Any]) -> Answers[T | None]: ...
def shown(kind: type[T], record: object) -> object:
    """A record as an object of the type that shows it: the same object.

    So also the records that a loader finds for a level; what failed or is not there
    stays as it is. Only the type checker learns something.
    """
    return record


def mutation(description: str) -> Callable[[F], F]:
    """The same, on the type Mutation."""
    return cast(
        "Callable[[F], F]",
        strawberry.mutation(description=description, directives=[Cost(weight="10")]),
    )


def subscription(description: str) -> Callable[[F], F]:
    """The same, on the type Subscription; the method gives an async generator."""
    return cast("Callable[[F], F]", strawberry.subscription(description=description))
