"""Runtime types of objects behind interfaces and unions, and `is_type_of`.

The rules and the messages are those of graphql-core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql import (
    GraphQLError,
    GraphQLObjectType,
    default_type_resolver,
    is_object_type,
)
from graphql.pyutils import inspect

from .level import Level
from .plan import Field, Value

if TYPE_CHECKING:
    from .run import Run


def resolve_type(
    run: Run, field: Field, level: Level, row: int, source: Value
) -> Value:
    """The name of the runtime type of an object, or an awaitable of it."""
    abstract = field.abstract_type
    assert abstract is not None  # noqa: S101 (the caller looked)
    resolver = abstract.resolve_type or default_type_resolver
    return resolver(source, run.plan.info(run, field, level, row), abstract)


def check_type(
    run: Run,
    field: Field,
    level: Level,
    row: int,
    type_: GraphQLObjectType,
    source: Value,
) -> Value:
    """Ask the type's `is_type_of`, if it has one; its answer may be awaitable.

    Raises: GraphQLError if it says no.
    """
    if type_.is_type_of is None:
        return True
    answer = type_.is_type_of(source, run.plan.info(run, field, level, row))
    if not answer:
        raise invalid_type(field, type_, source)
    return answer


def invalid_type(field: Field, type_: GraphQLObjectType, source: Value) -> GraphQLError:
    """The object is not of the type that its field declares."""
    return GraphQLError(
        f"Expected value of type '{type_}' but got: {inspect(source)}.", field.nodes
    )


def ensure_object_type(
    run: Run, field: Field, name: Value, source: Value
) -> GraphQLObjectType:
    """The object type of that name.

    Raises: GraphQLError if it is no possible type of the field.
    """
    schema = run.plan.schema
    abstract = field.abstract_type
    assert abstract is not None  # noqa: S101 (the caller looked)
    must = f"Abstract type '{abstract}' must resolve to an Object type at runtime"
    if name is None:
        raise GraphQLError(
            f"{must} for field '{field.title}'. Either the '{abstract}' type should"
            " provide a 'resolve_type' function or each possible type should provide"
            " an 'is_type_of' function.",
            field.nodes,
        )
    if not isinstance(name, str):
        raise GraphQLError(
            f"{must} for field '{field.title}' with value {inspect(source)}, received"
            f" '{inspect(name)}', which is not a valid Object type name.",
            field.nodes,
        )
    type_ = schema.get_type(name)
    if type_ is None:
        raise GraphQLError(
            f"Abstract type '{abstract}' was resolved to a type '{name}' that does not"
            " exist inside the schema.",
            field.nodes,
        )
    if not is_object_type(type_):
        raise GraphQLError(
            f"Abstract type '{abstract}' was resolved to a non-object type '{name}'.",
            field.nodes,
        )
    if not schema.is_sub_type(abstract, type_):
        raise GraphQLError(
            f"Runtime Object type '{type_}' is not a possible type for '{abstract}'.",
            field.nodes,
        )
    return type_
