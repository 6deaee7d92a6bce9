"""The arguments of a field: constant, or made of the variables of a run.

What is written in the document is looked at once. `written` makes a function that puts
the variables where they stand; whatever is unusual (a variable that was left out, a
null where none may be) goes through graphql-core, which also knows what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_argument_values,
    get_named_type,
    is_input_object_type,
    is_non_null_type,
    is_specified_scalar_type,
)
from graphql.utilities import coerce_input_literal

from .plan import Arguments, Value
from .run import Run

NOTHING = (Undefined, None)
HARMLESS_VALUES = (str, int, float, bool, type(None), Enum)

# Makes a value of the coerced variables. Raises: LookupError for what is unusual.
Make: TypeAlias = Callable[[Mapping[str, Value]], Value]


def arguments(
    definition: GraphQLField, node: FieldNode
) -> tuple[Arguments | None, Callable[[Run], Arguments], bool]:
    """The arguments if they are constant, how else to have them, and whether calls
    may share them.
    """

    def coerce(run: Run) -> Arguments:
        return get_argument_values(definition, node, run.lent_variables())

    if not definition.args and not node.arguments:
        return {}, coerce, True
    share = may_share(definition, node)
    if share and not any(
        isinstance(argument.value, VariableNode) for argument in node.arguments or ()
    ):
        with suppress(Exception):  # else it is the error of each row
            return get_argument_values(definition, node), coerce, True
    make = written(definition, node)
    return None, coerce if make is None else quickly(make, coerce), share


def quickly(
    make: Make, coerce: Callable[[Run], Arguments]
) -> Callable[[Run], Arguments]:
    """The usual way, and the one for what is unusual."""

    def arguments(run: Run) -> Arguments:
        try:
            made: Arguments = make(run.lent_variables().coerced)
        except LookupError:
            return coerce(run)
        return made

    return arguments


def written(definition: GraphQLField, node: FieldNode) -> Make | None:
    """Makes the arguments as they are written; None if graphql-core has to do it."""
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    return filled(definition.args, given)


def filled(fields: Mapping[str, Any], given: Mapping[str, ValueNode]) -> Make | None:
    """Makes a dict of arguments or of input fields, by their names in Python."""
    made: list[tuple[str, Make]] = []
    for name, field in fields.items():
        if name in given:
            make = value_of(field.type, given[name])
        elif is_left_out(field):
            continue
        else:
            make = default_of(field)
        if make is None:
            return None
        made.append((field.out_name or name, make))
    return lambda variables: {name: make(variables) for name, make in made}


def is_left_out(field: Any) -> bool:
    """Whether an argument or input field is nothing where it is not given."""
    return (
        field.default is None
        and field.default_value is Undefined
        and not is_non_null_type(field.type)
    )


def default_of(field: Any) -> Make | None:
    """The value of an argument or input field that is not given."""
    default = field.default_value
    if default is Undefined or not (default is None or is_harmless(field.type)):
        return None
    return lambda _variables: default


def value_of(type_: Any, node: ValueNode) -> Make | None:
    """Makes a value of a type as it is written."""
    bare = type_.of_type if is_non_null_type(type_) else type_
    if isinstance(node, VariableNode):
        name = node.name.value
        if bare is type_:
            return lambda variables: variables[name]
        return lambda variables: not_null(variables[name])
    if is_input_object_type(bare):
        return object_of(bare, node)
    if not is_harmless(type_):
        return None
    constant = coerce_input_literal(node, type_)
    return None if constant is Undefined else lambda _variables: constant


def object_of(type_: GraphQLInputObjectType, node: ValueNode) -> Make | None:
    """The same of an input object."""
    if not isinstance(node, ObjectValueNode) or type_.is_one_of:
        return None
    given = {field.name.value: field.value for field in node.fields}
    if not given.keys() <= type_.fields.keys():
        return None
    make = filled(type_.fields, given)
    if make is None or type_.out_type is GraphQLInputObjectType.out_type:
        return make
    out_type = type_.out_type
    return lambda variables: out_type(make(variables))


def not_null(value: Value) -> Value:
    """Raises: LookupError for a null."""
    if value is None:
        raise LookupError
    return value


def may_share(definition: GraphQLField, node: FieldNode) -> bool:
    """Whether calls may share the arguments: none can change what another gets."""
    given = {argument.name.value for argument in node.arguments or ()}
    return all(
        is_harmless(argument.type)
        or (name not in given and argument.default_value in NOTHING)
        for name, argument in definition.args.items()
    )


def is_harmless(type_: Value) -> bool:
    """A type whose values no resolver can change: built-in scalars and enums."""
    named = get_named_type(type_)
    bare = type_.of_type if is_non_null_type(type_) else type_
    if bare is not named:
        return False
    if isinstance(named, GraphQLEnumType):
        return all(isinstance(v.value, HARMLESS_VALUES) for v in named.values.values())
    return is_specified_scalar_type(named)
