"""The `info` that resolvers get.

strawberry hands its resolvers an `Info` of its own and reads the raw one attribute by
attribute, so there the raw one may compute them when asked. Resolvers written for
graphql-core directly get the real named tuple.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
)
from graphql.pyutils import Path, gather_with_cancel, is_awaitable
from graphql.type import GraphQLResolveInfoHelpers

from .level import Level
from .plan import Field
from .wait import retrieve

if TYPE_CHECKING:
    from .run import Run


def gather(values: Sequence[Awaitable[Any]]) -> Awaitable[list[Any]]:
    """Await values together; the first failure cancels the others."""
    return gather_with_cancel(*values)


def helpers(run: Run) -> GraphQLResolveInfoHelpers:
    """graphql-core's helpers for resolvers with asynchronous work of their own."""

    def track(values: Sequence[Any]) -> None:
        pending = [value for value in values if is_awaitable(value)]
        if pending:
            settled = asyncio.gather(*pending, return_exceptions=True)
            run.background.add(settled)
            settled.add_done_callback(run.background.discard)
            settled.add_done_callback(retrieve)

    return GraphQLResolveInfoHelpers(gather=gather, track=track)


class LazyInfo(NamedTuple):
    """Answers like `GraphQLResolveInfo`; computes an attribute when it is read."""

    run: Run
    field: Field
    level: Level
    row: int
    context: Any
    field_nodes: list[FieldNode]

    @property
    def field_name(self) -> str:
        return self.field_nodes[0].name.value

    @property
    def return_type(self) -> GraphQLOutputType:
        return self.field.definition.type

    @property
    def parent_type(self) -> GraphQLObjectType:
        return self.field.parent

    @property
    def path(self) -> Path:
        return self.level.field_path(self.row, self.field)

    @property
    def schema(self) -> GraphQLSchema:
        return self.run.plan.schema

    @property
    def fragments(self) -> dict[str, FragmentDefinitionNode]:
        return self.run.plan.fragments

    @property
    def root_value(self) -> Any:
        return self.run.root.sources[0]

    @property
    def operation(self) -> OperationDefinitionNode:
        return self.run.plan.operation

    @property
    def variable_values(self) -> dict[str, Any]:
        # strawberry hands its resolvers the coerced values as a plain dict
        return self.run.lent_variables().coerced

    @property
    def operation_extensions(self) -> Any:
        return self.run.operation_extensions

    @property
    def is_awaitable(self) -> Any:
        return is_awaitable

    @property
    def abort_signal(self) -> None:
        return None  # an operation with a signal is graphql-core's

    @property
    def async_helpers(self) -> GraphQLResolveInfoHelpers:
        return helpers(self.run)


def lazy_info(run: Run, field: Field, level: Level, row: int) -> LazyInfo:
    """What strawberry reads."""
    return LazyInfo(run, field, level, row, run.context, field.nodes)


def full_info(
    run: Run, field: Field, level: Level, row: int
) -> GraphQLResolveInfo[Any]:
    """The real thing, for resolvers written for graphql-core."""
    return GraphQLResolveInfo(
        field.nodes[0].name.value,
        field.nodes,
        field.definition.type,
        field.parent,
        level.field_path(row, field),
        run.plan.schema,
        run.plan.fragments,
        run.root.sources[0],
        run.plan.operation,
        run.lent_variables(),
        run.context,
        is_awaitable,
        None,
        helpers(run),
    )
