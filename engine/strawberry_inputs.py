"""Turns arguments into what strawberry would hand to a resolver, prepared once.

strawberry looks at types, names and defaults anew for each call, which takes as long
as all else of a mutation. Whatever is not recognised beyond doubt is left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import Any, TypeAlias

from strawberry.relay.types import GlobalID
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import StrawberryArgument, _is_leaf_type
from strawberry.types.base import (
    StrawberryMaybe,
    StrawberryOptional,
    has_object_definition,
)
from strawberry.types.enum import has_enum_definition
from strawberry.types.unset import UNSET

from .plan import Arguments, Value

# What makes Python's value of a coerced one; None if it is that value.
Convert: TypeAlias = Callable[[Value], Value] | None
# Makes the arguments of a resolver, new ones for each call.
Prepared: TypeAlias = Callable[[Arguments], Arguments]


class NotRecognisedError(Exception):
    """A type of which strawberry has to make the values."""


class Inputs:
    """Prepares conversions, by the names and the scalars of one schema."""

    def __init__(self, config: StrawberryConfig, scalars: Mapping[Any, Any]) -> None:
        self.names = config.name_converter
        self.scalars = scalars

    def arguments(self, declared: Sequence[StrawberryArgument]) -> Prepared | None:
        """For a resolver with these; None if strawberry has to make them."""
        try:
            parts = [
                (
                    self.names.from_argument(argument),
                    argument.python_name,
                    self.value(argument.type, ()),
                )
                for argument in declared
            ]
        except NotRecognisedError:
            return None
        return lambda given: put(given, {}, parts)

    def value(self, type_: Any, within: tuple[Any, ...]) -> Convert:
        """The conversion of the values of a type.

        Raises: NotRecognisedError.
        """
        if isinstance(type_, StrawberryOptional) and not isinstance(
            type_, StrawberryMaybe
        ):
            return self.value(type_.of_type, within)
        if type_ is not GlobalID and (
            _is_leaf_type(type_, self.scalars) or has_enum_definition(type_)
        ):
            return None
        if not has_object_definition(type_) or type_ in within:
            raise NotRecognisedError
        return self.input(type_, (*within, type_))

    def input(self, type_: Any, within: tuple[Any, ...]) -> Convert:
        """The same of an input type, whose values are made by its class.

        Raises: NotRecognisedError.
        """
        definition = type_.__strawberry_definition__
        if (
            not definition.is_input
            or definition.from_input is not None
            or hasattr(type_, "__post_init__")  # may raise what a handler handles
        ):
            raise NotRecognisedError
        nulls = {
            field.python_name: None
            for field in definition.fields
            if field.default_value is MISSING and field.default_factory is MISSING
        }
        parts = [
            (
                self.names.from_field(field),
                field.python_name,
                self.value(field.resolve_type(type_definition=definition), within),
            )
            for field in definition.fields
        ]

        def make(value: Value) -> Value:
            if value is None or value is UNSET:
                return value
            return type_(**put(value, nulls.copy(), parts))

        return make


def put(
    given: Mapping[str, Value],
    made: dict[str, Value],
    parts: Sequence[tuple[str, str, Convert]],
) -> dict[str, Value]:
    """What of the parts is given, converted, by the names in Python."""
    for name, python_name, convert in parts:
        if name in given:
            value = given[name]
            made[python_name] = value if convert is None else convert(value)
    return made
