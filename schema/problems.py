"""Typed results: what the person in front of the form can mend.

One handler per exception turns it into a member of `Problem`, but only for a field
whose result union names that member; elsewhere it stays an error (`errors.py`).
"""

from collections.abc import Sequence
from typing import Any, Final

import strawberry
from strawberry.schema.exception_handlers import ExceptionHandler
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info as AnyInfo

from clients.errors import (
    ConflictError,
    InvalidCredentialsError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
)


@strawberry.interface(
    description="What the person in front of the form can mend. Everything else is a "
    "top-level error with extensions.code."
)
class Problem:
    """Common to all."""

    message: str = strawberry.field(description="For people to read.")


@strawberry.type(description="A value was not accepted.")
class InvalidInput(Problem):
    """Of InvalidInputError."""

    field: str | None = strawberry.field(
        default=None, description="The input field at fault, e.g. body."
    )


@strawberry.type(description="The e-mail address or the password is wrong.")
class InvalidCredentials(Problem):
    """Of InvalidCredentialsError."""


@strawberry.type(description="What was to be changed does not exist.")
class NotFound(Problem):
    """Of NotFoundError."""


@strawberry.type(description="The viewer may not do this.")
class Forbidden(Problem):
    """Of PermissionDeniedError."""


@strawberry.type(description="Something like it exists already.")
class Conflict(Problem):
    """Of ConflictError."""


class InvalidInputHandler(ExceptionHandler[InvalidInputError, InvalidInput]):
    """Shows our own words and names the field."""

    def handle(
        self, exception: InvalidInputError, *, field: StrawberryField, info: AnyInfo
    ) -> InvalidInput:
        return InvalidInput(message=exception.public_message, field=exception.field)


class InvalidCredentialsHandler(
    ExceptionHandler[InvalidCredentialsError, InvalidCredentials]
):
    """Does not tell which of the two was wrong."""

    def handle(
        self,
        exception: InvalidCredentialsError,
        *,
        field: StrawberryField,
        info: AnyInfo,
    ) -> InvalidCredentials:
        return InvalidCredentials(
            message="The e-mail address or the password is wrong."
        )


class NotFoundHandler(ExceptionHandler[NotFoundError, NotFound]):
    """Missing and hidden look the same."""

    def handle(
        self, exception: NotFoundError, *, field: StrawberryField, info: AnyInfo
    ) -> NotFound:
        return NotFound(message="This does not exist, or you may not see it.")


class ForbiddenHandler(ExceptionHandler[PermissionDeniedError, Forbidden]):
    """Says no more than no."""

    def handle(
        self,
        exception: PermissionDeniedError,
        *,
        field: StrawberryField,
        info: AnyInfo,
    ) -> Forbidden:
        return Forbidden(message="You may not do this.")


class ConflictHandler(ExceptionHandler[ConflictError, Conflict]):
    """Names the field when the upstream did."""

    def handle(
        self, exception: ConflictError, *, field: StrawberryField, info: AnyInfo
    ) -> Conflict:
        what = f"this {exception.field}" if exception.field else "these values"
        return Conflict(message=f"Something with {what} exists already.")


# Any: each handles an exception of its own.
HANDLERS: Final[Sequence[ExceptionHandler[Any]]] = (
    InvalidInputHandler(),
    InvalidCredentialsHandler(),
    NotFoundHandler(),
    ForbiddenHandler(),
    ConflictHandler(),
)

# Part of the graph even where no result names them: clients write fragments on them.
PROBLEMS: Final = (InvalidInput, InvalidCredentials, NotFound, Forbidden, Conflict)
