"""`field` and `mutation`: strawberry's decorators with their types kept.

Strawberry's own are untyped as soon as they are given a description, and here every
field has one.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

F = TypeVar("F", bound=Callable[..., Any])  # any signature: a field's arguments


def field(description: str) -> Callable[[F], F]:
    """A field that is answered by the decorated method."""
    return cast("Callable[[F], F]", strawberry.field(description=description))


def mutation(description: str) -> Callable[[F], F]:
    """The same, on the type Mutation."""
    return cast("Callable[[F], F]", strawberry.mutation(description=description))
