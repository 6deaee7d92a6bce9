"""`field`, `mutation`, `subscription`: strawberry's decorators with their types kept.

Strawberry's own are untyped as soon as they are given a description, and here every
field has one.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

from .costs import Cost

F = TypeVar("F", bound=Callable[..., Any])  # any signature: a field's arguments


def field(description: str, *directives: object) -> Callable[[F], F]:
    """A field that is answered by the decorated method; directives as in costs.py."""
    return cast(
        "Callable[[F], F]",
        strawberry.field(description=description, directives=directives),
    )


def mutation(description: str) -> Callable[[F], F]:
    """The same, on the type Mutation."""
    return cast(
        "Callable[[F], F]",
        strawberry.mutation(description=description, directives=[Cost(weight="10")]),
    )


def subscription(description: str) -> Callable[[F], F]:
    """The same, on the type Subscription; the method gives an async generator."""
    return cast("Callable[[F], F]", strawberry.subscription(description=description))
