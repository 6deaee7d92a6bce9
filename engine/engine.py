"""The engine: prepares operations, keeps their plans, executes them.

An engine belongs to one schema. Plans are kept by document and operation name, the
least recently used one goes first. A document is known by its identity, so whoever
parses should keep the parsed documents, by their text or its hash: a document that is
parsed anew is compiled anew. Documents have to be valid; the engine does not validate.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_variable_values,
)
from graphql.execution.values import VariableValues

from .collect import Measure, NotCompiledError, condition_names
from .compile import compile_operation
from .kept import EXACT_VALUES, MISSING, Kept, Key
from .plan import Counts, Fallback, Plan, Shared
from .reference import Reference, Result
from .run import Run
from .strawberry_fields import strawberry_fields

MAX_VARIANTS = 16  # of one operation, by the values of its conditional variables
MAX_DEPTH = 60  # of nested selections; deeper ones need graphql-core's guard
MAX_SIZE = 10_000  # selections, fragments written out: compiling takes as long
# Of all plans that are kept: some 3 kB each, whoever sent the documents.
MAX_KEPT_SIZE = 50_000
FALLBACK_SIZE = 500
MAX_COERCION_ERRORS = 50  # as graphql-core


class Ready(NamedTuple):
    """All that runs with equal variables share.

    `arguments` is what the variables came to; see `Run.arguments_of`.
    """

    plan: Plan
    variables: VariableValues
    arguments: Shared


class Operation:
    """One operation of a document, and its plans by the values of its conditions."""

    def __init__(self, document: DocumentNode, name: str | None) -> None:
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        self.node = self.find(document, name)
        depth, size = Measure(self.fragments).of(self.node.selection_set)
        if depth > MAX_DEPTH or size > MAX_SIZE:
            raise NotCompiledError("too deep" if depth > MAX_DEPTH else "too large")
        self.size = size
        self.conditions = condition_names([self.node.selection_set], self.fragments)
        self.variants: OrderedDict[tuple[bool, ...], Plan] = OrderedDict()
        self.names = [
            definition.variable.name.value
            for definition in self.node.variable_definitions or ()
        ]
        self.known: Kept[Ready] = Kept()

    def key(self, given: dict[str, Any]) -> Key | None:
        """What was given, if equal keys mean the same variables."""
        values: list[Any] = []
        for name in self.names:
            value = given.get(name, MISSING)
            if value.__class__ is list:  # of ids
                values += (LIST, len(value), *value)
            else:
                values.append(value)
        classes = tuple(map(type, values))
        return (tuple(values), classes) if EXACT_VALUES.issuperset(classes) else None

    def find(self, document: DocumentNode, name: str | None) -> OperationDefinitionNode:
        """The operation of that name.

        Raises: NotCompiledError for what only graphql-core executes or refuses.
        """
        found: list[OperationDefinitionNode] = []
        for node in document.definitions:
            if isinstance(node, FragmentDefinitionNode):
                self.fragments[node.name.value] = node
            elif isinstance(node, OperationDefinitionNode) and (
                name is None or (node.name and node.name.value == name)
            ):
                found.append(node)
        if len(found) != 1:
            raise NotCompiledError("operation name")
        if found[0].operation is OperationType.SUBSCRIPTION:
            raise NotCompiledError("subscription")
        if found[0].directives:
            raise NotCompiledError("operation directive")
        return found[0]


class Engine:
    """Executes operations of one schema."""

    def __init__(self, schema: GraphQLSchema, *, max_plans: int = 1000) -> None:
        self.schema = schema
        self.max_plans = max_plans
        self.counts = Counts()
        self.reference = Reference(schema)
        self.strawberry = strawberry_fields(schema)
        # The document is kept with it, so that its identity stays its own.
        self.known: OrderedDict[
            tuple[int, str | None], tuple[DocumentNode, Operation | Fallback]
        ] = OrderedDict()

    def prepare(
        self,
        document: DocumentNode,
        operation_name: str | None = None,
        conditions: dict[str, bool] | None = None,
    ) -> Plan | Fallback:
        """The plan of an operation, or why it has none.

        `conditions` are the values of the variables in `@skip` and `@include`.
        """
        operation = self.operation(document, operation_name)
        if isinstance(operation, Fallback):
            return operation
        values = conditions or {}
        return self.variant(
            operation, tuple(values.get(name, True) for name in operation.conditions)
        )

    def operation(
        self, document: DocumentNode, name: str | None
    ) -> Operation | Fallback:
        """The operation from the cache, or analysed now."""
        key = (id(document), name)
        known = self.known.get(key)
        if known is not None:
            self.known.move_to_end(key)
            return known[1]
        try:
            operation: Operation | Fallback = Operation(document, name)
        except NotCompiledError as reason:
            operation = Fallback(str(reason))
        except RecursionError:
            operation = Fallback("too deep")
        self.known[key] = document, operation
        self.let_go()
        return operation

    def let_go(self) -> None:
        """Forget what was not used for longest, down to the bounds."""
        size = sum(kept_size(operation) for _, operation in self.known.values())
        while len(self.known) > 1 and (
            len(self.known) > self.max_plans or size > MAX_KEPT_SIZE
        ):
            _, (_, operation) = self.known.popitem(last=False)
            size -= kept_size(operation)

    def variant(
        self, operation: Operation, conditions: tuple[bool, ...]
    ) -> Plan | Fallback:
        """The plan for these values of the conditional variables."""
        plan = operation.variants.get(conditions)
        if plan is not None:
            return plan
        try:
            plan = compile_operation(
                self.schema,
                operation.node,
                operation.fragments,
                dict(zip(operation.conditions, conditions, strict=True)),
                self.strawberry,
            )
        except NotCompiledError as reason:
            return Fallback(str(reason))
        self.counts.plans += 1
        operation.variants[conditions] = plan
        if len(operation.variants) > MAX_VARIANTS:
            operation.variants.popitem(last=False)
            operation.known.clear()  # it knows the fields of that plan
        if len(operation.variants) > 1:  # the first was counted with the operation
            self.let_go()
        return plan

    def execute(
        self,
        document: DocumentNode,
        root_value: Any = None,
        context_value: Any = None,
        variable_values: dict[str, Any] | None = None,
        operation_name: str | None = None,
        operation_extensions: Any = None,
    ) -> Result:
        """Execute an operation of a valid document, by its plan if it has one.

        The result is there at once if nothing has to be awaited.
        """
        operation = self.operation(document, operation_name)
        ready: Ready | Fallback | list[GraphQLError]
        if isinstance(operation, Fallback):
            ready = operation
        else:
            given = variable_values or {}
            key = operation.key(given)
            # Kept where equal values are the same: numbers of rows, ids.
            known = key and operation.known.get(key)
            ready = known or self.ready(operation, given, key)
        if isinstance(ready, Ready):
            self.counts.compiled += 1
            return Run(
                *ready, root_value, context_value, operation_extensions
            ).execute()
        if isinstance(ready, list):
            return ExecutionResult(None, errors=ready)
        self.count(ready)
        return self.reference.execute(
            document,
            root_value,
            context_value,
            variable_values,
            operation_name,
            operation_extensions,
        )

    def ready(
        self, operation: Operation, given: dict[str, Any], key: Key | None
    ) -> Ready | Fallback | list[GraphQLError]:
        """The plan and what these variables came to, or what is wrong with them.

        Kept by `key`, if what was given has one.
        """
        variables = get_variable_values(
            self.schema,
            operation.node.variable_definitions or (),
            given,
            max_errors=MAX_COERCION_ERRORS,
        )
        if isinstance(variables, list):
            return variables
        plan = self.plan_for(operation, variables)
        if isinstance(plan, Fallback):
            return plan
        ready = Ready(plan, variables, {})
        if key is not None:
            operation.known.keep(key, ready)
        return ready

    def plan_for(
        self, operation: Operation | Fallback, variables: VariableValues
    ) -> Plan | Fallback:
        """The plan for an operation with these variables."""
        if isinstance(operation, Fallback):
            return operation
        if not operation.conditions:
            return self.variant(operation, ())
        given = [variables.coerced.get(name) for name in operation.conditions]
        values = tuple(value for value in given if isinstance(value, bool))
        if len(values) != len(given):
            return Fallback("condition without value")
        return self.variant(operation, values)

    def count(self, fallback: Fallback) -> None:
        """Note that graphql-core executes an operation."""
        reasons = self.counts.fallbacks
        reasons[fallback.reason] = reasons.get(fallback.reason, 0) + 1


def kept_size(operation: Operation | Fallback) -> int:
    """Selections of its plans; what has none keeps its document."""
    if isinstance(operation, Fallback):
        return FALLBACK_SIZE
    return operation.size * max(1, len(operation.variants))


# Stands before the length and the items of a list, so that no two lists are alike.
LIST = object()
