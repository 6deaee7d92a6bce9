"""Documents: parsed, measured, validated and read once, then kept.

An extension of the schema. Clients send the same few documents again and again; a
bounded cache keeps what was learnt of each (never of a document that does not parse).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    parse,
    validate,
)
from strawberry.extensions import SchemaExtension

from resolvers.context import RequestContext
from resolvers.selection import Selection

from .limits import Limits, check_size, too_complex
from .selections import selection_of

# Ten equal mistakes tell no more than one, and twenty are enough to mend.
MAX_MISTAKES = 20

# No honest document is longer; one full of comments must not be held in memory.
MAX_KEPT_CHARACTERS = 32_768


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a document; `selections` by operation name."""

    document: DocumentNode
    mistakes: tuple[GraphQLError, ...]
    selections: Mapping[str | None, Selection]


Prepare = Callable[[GraphQLSchema, str], Prepared]


def document_cache(limits: Limits) -> Prepare:
    """A function that prepares a document, remembering the last ones."""

    @lru_cache(maxsize=limits.cached_documents)
    def remembered(schema: GraphQLSchema, text: str) -> Prepared:
        return _prepare(schema, text, limits)

    def prepare(schema: GraphQLSchema, text: str) -> Prepared:
        if len(text) > MAX_KEPT_CHARACTERS:
            return _prepare(schema, text, limits)
        return remembered(schema, text)

    return prepare


def _prepare(schema: GraphQLSchema, text: str, limits: Limits) -> Prepared:
    document = _parse(text, limits)
    check_size(document, limits)
    mistakes = _without_repetitions(validate(schema, document))
    if mistakes:
        return Prepared(document, mistakes, {})
    selections = {
        node.name.value if node.name else None: selection_of(schema, document, node)
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    }
    return Prepared(document, (), selections)


def _without_repetitions(mistakes: list[GraphQLError]) -> tuple[GraphQLError, ...]:
    by_message = {mistake.message: mistake for mistake in reversed(mistakes)}
    return tuple(reversed(by_message.values()))[:MAX_MISTAKES]


def _parse(text: str, limits: Limits) -> DocumentNode:
    try:
        return parse(text, max_tokens=limits.max_tokens)
    except GraphQLSyntaxError as error:
        # graphql-core has no class of its own for its bounds on tokens and nesting.
        if "Parsing aborted" in error.message:
            raise too_complex(
                f"The document must not exceed {limits.max_tokens} tokens, nor be "
                "nested too deeply."
            ) from error
        raise
    except RecursionError as error:
        raise too_complex("The document is nested too deeply.") from error


class PreparedDocuments(SchemaExtension):
    """Puts what is known of the document where strawberry and resolvers look."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._prepared: Prepared | None = None
        self._asked_name: str | None = None

    def on_operation(self) -> Iterator[None]:
        """Note the asked name: later strawberry puts the first operation's there."""
        self._asked_name = self.execution_context.operation_name
        yield

    def on_parse(self) -> Iterator[None]:
        """Raises: GraphQLError for a document that is refused before validation."""
        context = self.execution_context
        prepared = self._prepare(context.schema._schema, context.query or "")
        context.graphql_document = prepared.document
        self._prepared = prepared
        yield

    def on_validate(self) -> Iterator[None]:
        """The mistakes that were found; an empty list tells strawberry not to look."""
        prepared = cast("Prepared", self._prepared)
        self.execution_context.pre_execution_errors = list(prepared.mistakes)
        yield

    def on_execute(self) -> Iterator[None]:
        """Tell the resolvers what is selected; refuse a choice among operations."""
        prepared = cast("Prepared", self._prepared)
        if self._asked_name is None and len(prepared.selections) > 1:
            raise GraphQLError(
                "operationName must name one of the operations in the document.",
                extensions={"code": "BAD_USER_INPUT"},
            )
        context = cast("RequestContext", self.execution_context.context)
        name = self.execution_context.operation_name
        context.selection = prepared.selections[name]
        yield
