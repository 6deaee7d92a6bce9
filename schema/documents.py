"""Documents: parsed, measured, validated and read once, then kept.

An extension of the schema. Clients send the same few documents again and again; a
bounded cache keeps what was learnt of each (never of a document that does not parse).
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from strawberry.extensions import SchemaExtension

from resolvers.context import RequestContext
from resolvers.selection import Selection

from .brackets import nesting_of
from .costs import CostTable, OperationCost, cost_table
from .limits import UNLIMITED, Limits, check, check_size, too_complex
from .selections import selection_of

# Ten equal mistakes tell no more than one, and twenty are enough to mend.
MAX_MISTAKES = 20

log = logging.getLogger("mainstem.limits")

# No honest document is longer; one full of comments must not be held in memory.
MAX_KEPT_CHARACTERS = 32_768


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a document; `operations` by name.

    `passed`: the limits that are only measured and that it passes, in words.
    """

    document: DocumentNode
    mistakes: tuple[GraphQLError, ...]
    operations: Mapping[str | None, "Operation"]
    passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document."""

    selection: Selection
    cost: OperationCost
    only_reads: bool


Prepare = Callable[[GraphQLSchema, str], Prepared]
Examine = Callable[[GraphQLSchema, DocumentNode], list[GraphQLError]]


def document_cache(limits: Limits, *, reveals_schema: bool = True) -> Prepare:
    """A function that prepares a document, remembering the last ones."""
    examine = _examination(reveals_schema=reveals_schema)
    costs = lru_cache(maxsize=1)(cost_table)

    @lru_cache(maxsize=limits.cached_documents)
    def remembered(schema: GraphQLSchema, text: str) -> Prepared:
        return _prepare(schema, text, limits, examine, costs(schema))

    def prepare(schema: GraphQLSchema, text: str) -> Prepared:
        if len(text) > MAX_KEPT_CHARACTERS:
            return _prepare(schema, text, limits, examine, costs(schema))
        return remembered(schema, text)

    return prepare


def _examination(*, reveals_schema: bool) -> Examine:
    """What finds the mistakes of a document; suggestions cost time and tell names."""
    rules = [*specified_rules]
    if not reveals_schema:
        rules.append(NoSchemaIntrospectionCustomRule)

    def examine(schema: GraphQLSchema, document: DocumentNode) -> list[GraphQLError]:
        return validate(
            schema, document, rules=rules, hide_suggestions=not reveals_schema
        )

    return examine


def _prepare(
    schema: GraphQLSchema,
    text: str,
    limits: Limits,
    examine: Examine,
    costs: CostTable,
) -> Prepared:
    passed = check("nesting", nesting_of(text), limits.nesting)
    document = _parse(text, limits)
    passed += check("number of tokens", document.token_count, limits.tokens)
    passed += check_size(document, limits)
    mistakes = _without_repetitions(examine(schema, document))
    if mistakes:
        return Prepared(document, mistakes, {}, passed)
    page_size = limits.page_size.enforced

    def operation(node: OperationDefinitionNode) -> Operation:
        root = cast("GraphQLObjectType", schema.get_root_type(node.operation))
        return Operation(
            selection_of(schema, document, node),
            OperationCost(costs, root.name, document, node, page_size=page_size),
            node.operation is OperationType.QUERY,
        )

    operations = {
        node.name.value if node.name else None: operation(node)
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    }
    return Prepared(document, (), operations, passed)


def _without_repetitions(mistakes: list[GraphQLError]) -> tuple[GraphQLError, ...]:
    by_message = {mistake.message: mistake for mistake in reversed(mistakes)}
    return tuple(reversed(by_message.values()))[:MAX_MISTAKES]


def _parse(text: str, limits: Limits) -> DocumentNode:
    try:
        return parse(text, max_tokens=limits.tokens.enforced)
    except GraphQLSyntaxError as error:
        # graphql-core has no class of its own for its bounds on tokens and nesting.
        if "Parsing aborted" in error.message:
            raise too_complex(
                f"The document must not exceed {limits.tokens.most} tokens, nor be "
                "nested too deeply."
            ) from error
        raise
    except RecursionError as error:
        raise too_complex("The document is nested too deeply.") from error


class PreparedDocuments(SchemaExtension):
    """Puts what is known of the document where strawberry and resolvers look."""

    def __init__(
        self, prepare: Prepare, limits: Limits, prepare_trusted: Prepare
    ) -> None:
        self._prepare = prepare
        self._prepare_trusted = prepare_trusted
        self._limits = limits
        self._prepared: Prepared | None = None
        self._asked_name: str | None = None

    def on_operation(self) -> Iterator[None]:
        """Note the asked name: later strawberry puts the first operation's there."""
        self._asked_name = self.execution_context.operation_name
        yield

    def on_parse(self) -> Iterator[None]:
        """Raises: GraphQLError for a document that is refused before validation."""
        context = self.execution_context
        prepare = self._prepare_trusted if self._trusted() else self._prepare
        prepared = prepare(context.schema._schema, context.query or "")
        context.graphql_document = prepared.document
        self._prepared = prepared
        yield

    def on_validate(self) -> Iterator[None]:
        """The mistakes that were found; an empty list tells strawberry not to look."""
        prepared = cast("Prepared", self._prepared)
        self.execution_context.pre_execution_errors = list(prepared.mistakes)
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        """Tell the resolvers what is selected; refuse what costs too much.

        Raises: GraphQLError for a choice among operations or a limit,
        RateLimitedError for a budget that is used up.
        """
        prepared = cast("Prepared", self._prepared)
        if self._asked_name is None and len(prepared.operations) > 1:
            raise GraphQLError(
                "operationName must name one of the operations in the document.",
                extensions={"code": "BAD_USER_INPUT"},
            )
        context = cast("RequestContext", self.execution_context.context)
        name = self.execution_context.operation_name
        operation = prepared.operations[name]
        context.selection = operation.selection
        context.only_reads = operation.only_reads
        cost = operation.cost.of(self.execution_context.variables)
        limit = UNLIMITED.cost if self._trusted() else self._limits.cost
        passed = prepared.passed + check("cost", cost, limit)
        for each in passed:
            log.warning("limit in request %s: %s", context.scope.request_id, each)
        if context.charge is not None:
            await context.charge(cost)
        yield

    def _trusted(self) -> bool:
        context = cast("RequestContext", self.execution_context.context)
        return context.trusted_document
