"""graphql-core's executor behind the face of `Engine`: the reference for its answers.

Also what the engine hands those operations to that it does not compile.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeAlias

from graphql import DocumentNode, ExecutionResult, GraphQLSchema, execute
from strawberry.execution import optimized_is_awaitable
from strawberry.schema import Schema
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

Result: TypeAlias = ExecutionResult | Awaitable[ExecutionResult]


class Reference:
    """Executes operations of one schema as graphql-core does.

    Resolvers of a strawberry schema get the `info` that strawberry gives them.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self.by_strawberry = isinstance(
            getattr(schema, "_strawberry_schema", None), Schema
        )

    def execute(
        self,
        document: DocumentNode,
        root_value: Any = None,
        context_value: Any = None,
        variable_values: dict[str, Any] | None = None,
        operation_name: str | None = None,
        operation_extensions: Any = None,
    ) -> Result:
        """Execute an operation of a valid document."""
        options: dict[str, Any] = {}
        if self.by_strawberry:
            options = {
                "executor_class": StrawberryGraphQLCoreExecutionContext,
                "is_awaitable": optimized_is_awaitable,
                "operation_extensions": operation_extensions,
            }
        return execute(
            self.schema,
            document,
            root_value,
            context_value,
            variable_values,
            operation_name,
            **options,
        )
