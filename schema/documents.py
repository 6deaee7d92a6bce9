"""Documents: parsed, measured, validated and read once, then kept.

Used by `build.py` for every operation. Clients send the same few documents again and
again; a bounded cache keeps what was learnt of each (never of a document that does not
parse).
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
from strawberry.types.graphql import OperationType as StrawberryOperationType

from resolvers.context import RequestContext
from resolvers.selection import Selection

from .brackets import nesting_of
from .costs import CostTable, OperationCost, cost_table
from .limits import UNLIMITED, Limits, aliases_of, check, check_size, too_complex
from .selections import selection_of

# Ten equal mistakes tell no more than one, and twenty are enough to mend.
MAX_MISTAKES = 20

log = logging.getLogger("mainstem.limits")

# No honest document is longer; one full of comments must not be held in memory.
MAX_KEPT_CHARACTERS = 32_768
# graphql-core looks for the line of each mistake from the start of the text: a hundred
# in half a million empty lines take 15 s. In longer ones mistakes are told without.
MAX_PLACED_LINES = 2_000
# Objects of an answer times repetitions: a page of 100 posts with author and cover,
# told six times over, is below; 100 posts with 99 aliases of their bodies are not.
MOST_TEXTS = 2_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a document.

    `operations` by name, and by None if there is but one; `types` by name, and by None
    that of the first, known of invalid documents too. `passed`: the limits that are
    only measured and that it passes, in words.
    """

    document: DocumentNode
    mistakes: tuple[GraphQLError, ...]
    operations: Mapping[str | None, "Operation"]
    types: Mapping[str | None, StrawberryOperationType]
    passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document.

    `repeats`: how often an object may show one text, each key of a thousand characters
    counted like one.
    """

    selection: Selection
    cost: OperationCost
    only_reads: bool
    repeats: int


Prepare = Callable[[GraphQLSchema, str], Prepared]
Examine = Callable[[GraphQLSchema, DocumentNode], list[GraphQLError]]


def preparation(
    limits: Limits, *, reveals_schema: bool = True
) -> tuple[Prepare, Prepare]:
    """What prepares a document anew, and the same remembering the last ones."""
    examine = _examination(reveals_schema=reveals_schema)
    costs = lru_cache(maxsize=1)(cost_table)

    def prepare(schema: GraphQLSchema, text: str) -> Prepared:
        return _prepare(schema, text, limits, examine, costs(schema))

    return prepare, lru_cache(maxsize=limits.cached_documents)(prepare)


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
    types = {
        node.name.value if node.name else None: StrawberryOperationType(
            node.operation.value
        )
        for node in reversed(document.definitions)
        if isinstance(node, OperationDefinitionNode)
    }
    types = dict(reversed(types.items()))  # of two with one name the first counts
    if types:
        types[None] = next(iter(types.values()))
    if mistakes:
        return Prepared(document, mistakes, {}, types, passed)
    page_size = limits.page_size.enforced

    def operation(node: OperationDefinitionNode) -> Operation:
        root = cast("GraphQLObjectType", schema.get_root_type(node.operation))
        return Operation(
            selection_of(schema, document, node),
            OperationCost(costs, root.name, document, node, page_size=page_size),
            node.operation is OperationType.QUERY,
            1 + aliases_of(document, node) + len(text) // 1000,
        )

    operations = {
        node.name.value if node.name else None: operation(node)
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    }
    if len(operations) == 1:
        operations[None] = next(iter(operations.values()))
    return Prepared(document, (), operations, types, passed)


def _without_repetitions(mistakes: list[GraphQLError]) -> tuple[GraphQLError, ...]:
    by_message = {mistake.message: mistake for mistake in reversed(mistakes)}
    return tuple(reversed(by_message.values()))[:MAX_MISTAKES]


def _parse(text: str, limits: Limits) -> DocumentNode:
    try:
        document = parse(
            text,
            no_location=not _has_places(text),
            max_tokens=limits.tokens.enforced,
        )
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
    _unlink_tokens(document)
    return document


def _unlink_tokens(document: DocumentNode) -> None:
    """Take the list of tokens apart: nobody reads it any more.

    They hold each other both ways, so a document that is let go would wait for the
    garbage collector, and would hold all of them until then.
    """
    token = document.loc.start_token if document.loc else None
    while token is not None:
        following = token.next
        token.prev = token.next = None
        token = following


def _has_places(text: str) -> bool:
    """Whether mistakes are told with their line and column."""
    if len(text) > MAX_KEPT_CHARACTERS:
        return False
    return text.count("\n") + text.count("\r") <= MAX_PLACED_LINES


class Documents:
    """Prepares documents of one schema, and admits their operations."""

    def __init__(self, limits: Limits, *, reveals_schema: bool) -> None:
        self._limits = limits
        self._prepare = preparation(limits, reveals_schema=reveals_schema)
        self._prepare_trusted = preparation(UNLIMITED, reveals_schema=reveals_schema)

    def prepare(
        self, schema: GraphQLSchema, text: str, context: RequestContext
    ) -> Prepared:
        """What is known of a document.

        Raises: GraphQLError for one that is refused before it is validated.
        """
        trusted = context.trusted_document
        anew, remembered = self._prepare_trusted if trusted else self._prepare
        prepare = anew if len(text) > MAX_KEPT_CHARACTERS else remembered
        return prepare(schema, text)

    async def admit(
        self,
        prepared: Prepared,
        name: str | None,
        variables: Mapping[str, object] | None,
        context: RequestContext,
    ) -> None:
        """Tell the resolvers what is selected; refuse what costs too much.

        Raises: GraphQLError for a choice among operations or a limit,
        RateLimitedError for a budget that is used up.
        """
        operation = prepared.operations.get(name)
        if operation is None:
            raise GraphQLError(
                "operationName must name one of the operations in the document.",
                extensions={"code": "BAD_USER_INPUT"},
            )
        context.selection = operation.selection
        context.only_reads = operation.only_reads
        cost = operation.cost.of(variables)
        context.may_swell = cost * operation.repeats > MOST_TEXTS
        limit = UNLIMITED.cost if context.trusted_document else self._limits.cost
        for passed in prepared.passed + check("cost", cost, limit):
            log.warning("limit in request %s: %s", context.scope.request_id, passed)
        if context.charge is not None:
            await context.charge(cost)


class PreparedDocuments(SchemaExtension):
    """Does for subscriptions, which strawberry runs, what `Graph.execute` does."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._prepared: Prepared | None = None
        self._asked_name: str | None = None

    def on_operation(self) -> Iterator[None]:
        """Note the asked name: later strawberry puts the first operation's there."""
        self._asked_name = self.execution_context.operation_name
        yield

    def on_parse(self) -> Iterator[None]:
        """Raises: GraphQLError for a document that is refused before validation."""
        context = self.execution_context
        self._prepared = self._documents.prepare(
            context.schema._schema,
            context.query or "",
            cast("RequestContext", context.context),
        )
        context.graphql_document = self._prepared.document
        yield

    def on_validate(self) -> Iterator[None]:
        """The mistakes that were found; an empty list tells strawberry not to look."""
        prepared = cast("Prepared", self._prepared)
        self.execution_context.pre_execution_errors = list(prepared.mistakes)
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        """Raises: as `Documents.admit`."""
        context = self.execution_context
        await self._documents.admit(
            cast("Prepared", self._prepared),
            self._asked_name,
            context.variables,
            cast("RequestContext", context.context),
        )
        yield
