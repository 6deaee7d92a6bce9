"""What the generated functions call for a value that is not simply its response form.

A null, a value to be coerced, an exception, an awaitable: decided here, one value at
a time. `complete.py` does the same for whole columns that resolvers answered with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphql.pyutils import Undefined, inspect, is_awaitable

from .plan import Field, Value

if TYPE_CHECKING:
    from .level import Level
    from .run import Run


class Nulled(Exception):  # noqa: N818 (no error of its own: it ends the reading of a row)
    """A non-null field of the object failed; the error is noted at the level."""


def null_error(field: Field) -> TypeError:
    """What a null in a non-null position is reported as."""
    return TypeError(f"Cannot return null for non-nullable field {field.title}.")


def coerce_leaf(field: Field, value: Value) -> Value:
    """The response form of a leaf value that is not null.

    Raises: whatever the type's own coercion raises; TypeError if it gives null.
    """
    assert field.coerce is not None  # noqa: S101 (narrows the type)
    coerced = field.coerce(value)
    if coerced is None or coerced is Undefined:
        raise TypeError(
            f"Expected `{inspect(named_type(field))}.coerce_output_value("
            f"{inspect(value)})` to return non-nullable value, returned:"
            f" {inspect(coerced)}"
        )
    return coerced


def named_type(field: Field) -> Value:
    """The type of a field without its lists and non-nulls."""
    type_: Value = field.definition.type
    while hasattr(type_, "of_type"):
        type_ = type_.of_type
    return type_


def read_leaf(
    field: Field, run: Run, level: Level, source: Value, value: Value
) -> Value:
    """Complete a plain field of the row that is being read.

    Raises: `Nulled` when a non-null field has no value.
    """
    try:
        if isinstance(value, Exception):
            raise value
        if field.calls_value and callable(value):
            value = call_value(field, run, level, source, value)
            if isinstance(value, Exception):
                raise value
        if is_awaitable(value):
            late = level.late = level.late or {}
            late.setdefault(field, []).append((len(level.outs), value))
            return None
        if value is not None and value is not Undefined:
            return coerce_leaf(field, value)
        if field.nullable[0]:
            return None
        raise null_error(field)
    except Exception as error:
        row = len(level.outs)
        if field.nullable[0]:
            run.note(error, level, row, field, ())
            return None
        level.dead = True
        failed = level.failed = level.failed or []
        failed.append((row, field, error))
        raise Nulled from None


def read_property(name: str, source: Value) -> Value:
    """graphql-core's default resolver, as far as the reading goes."""
    try:
        if isinstance(source, Mapping):
            return source.get(name)
        return getattr(source, name, None)
    except Exception as error:
        return error


def call_value(
    field: Field, run: Run, level: Level, source: Value, value: Value
) -> Value:
    """graphql-core's default resolver calls what it finds if it can be called."""
    try:
        arguments = field.constants
        if arguments is None:
            arguments = run.arguments_of(field)
        return value(run.plan.info(run, field, level, len(level.outs)), **arguments)
    except Exception as error:
        return error


def dispose(value: Value) -> None:
    """A value that nobody needs any more: do not leave coroutines unawaited."""
    if isinstance(value, list | tuple):
        for item in value:
            dispose(item)
    elif is_awaitable(value) and (close := getattr(value, "close", None)) is not None:
        close()
