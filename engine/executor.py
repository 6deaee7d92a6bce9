"""The engine behind graphql-core's and strawberry's own entry points.

`strawberry.Schema(…, execution_context_class=compiled_executor())` and
`graphql.execute(…, executor_class=…)` both make an executor for each operation, with
its variables coerced. The one made here follows the plan if there is one, and is the
executor that it extends for everything else.
"""

from __future__ import annotations

from typing import Any

from graphql import DocumentNode, GraphQLSchema
from graphql.execution import default_field_resolver, default_type_resolver
from graphql.execution.incremental import IncrementalExecutor
from graphql.pyutils.is_awaitable import is_async_iterable, is_awaitable
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from .engine import Engine
from .plan import Fallback, Plan
from .run import Run

# The two predicates that tell what Python can await; strawberry has one of its own.
AWAITABLE = (is_awaitable, optimized_is_awaitable)


def compiled_executor(
    base: type[IncrementalExecutor] = StrawberryGraphQLCoreExecutionContext,
    *,
    max_plans: int = 1000,
) -> Any:
    """An executor class with an engine for each schema that it is used with."""

    # The classes that it extends are not typed closely enough for `Self`.
    class CompiledExecutor(base):  # type: ignore[valid-type, misc]
        """Executes by a plan where there is one."""

        engines: dict[GraphQLSchema, Engine] = {}  # noqa: RUF012 (one for each class made)
        document: DocumentNode

        @classmethod
        def build(
            cls, schema: GraphQLSchema, document: DocumentNode, *args: Any, **more: Any
        ) -> Any:
            executor = super().build(schema, document, *args, **more)
            if isinstance(executor, cls):
                executor.document = document  # plans are kept by it
            return executor

        def execute_operation(self, serially: bool | None = None) -> Any:
            engine = self.engines.get(self.schema)
            if engine is None:
                engine = Engine(self.schema, max_plans=max_plans)
                self.engines[self.schema] = engine
            plan = plan_of(self, engine) if serially is None else Fallback("event")
            if not isinstance(plan, Plan):
                engine.count(plan)
                return super().execute_operation(serially)
            engine.counts.compiled += 1
            run = Run(
                plan,
                self.variable_values,
                {},
                self.root_value,
                self.context_value,
                getattr(self, "operation_extensions", None),
            )
            return run.execute()

    return CompiledExecutor


def plan_of(executor: Any, engine: Engine) -> Plan | Fallback:
    """The plan, unless the caller asks for what plans do not know."""
    manager = executor.middleware_manager
    if manager is not None and manager.middlewares:
        return Fallback("middleware")
    if executor.abort_signal is not None or executor.hooks is not None:
        return Fallback("abort signal or hooks")
    if (
        executor.field_resolver is not default_field_resolver
        or executor.type_resolver is not default_type_resolver
    ):
        return Fallback("other default resolver")
    if (
        executor.is_awaitable not in AWAITABLE
        or executor.is_async_iterable is not is_async_iterable
    ):
        return Fallback("other awaitables")
    name = executor.operation.name
    operation = engine.operation(executor.document, name.value if name else None)
    return engine.plan_for(operation, executor.variable_values)
