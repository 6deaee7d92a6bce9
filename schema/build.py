"""Query, Mutation and Subscription composed from the domains; the schema of them."""

from collections.abc import Iterable, Sequence
from copy import copy
from functools import cache
from typing import Any, Literal

import strawberry
from graphql import (
    ExecutionResult as CoreResult,
)
from graphql import (
    GraphQLArgument,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
)
from strawberry.exceptions import MissingQueryError
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import (
    CannotGetOperationTypeError,
    InvalidOperationTypeError,
)
from strawberry.types import ExecutionContext
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from engine import Engine, Reference
from resolvers.context import RequestContext

from .changes import Subscription
from .datetimes import DATE_TIME, DateTime
from .disclosure import translate_discreetly
from .documents import Documents, PreparedDocuments
from .errors import ErrorCodes, Translate, let_go, translate
from .events import EventExecutor
from .files import File, FileMutation, FileQuery
from .limits import Limits
from .nodes import NodeQuery
from .notes import Note, NoteMutation, NoteQuery
from .posts import Post, PostMutation, PostQuery
from .problems import HANDLERS, PROBLEMS
from .sessions import EndSessionMutation
from .uploads import UPLOAD, Upload
from .users import SessionMutation, User, Viewer, ViewerQuery

EngineName = Literal["compiled", "reference"]

DEFAULT_LIMITS = Limits()
# A tuple: its members are compared by identity, an enum's hash is a call.
ANY_OPERATION = (OperationType.QUERY, OperationType.MUTATION)


@strawberry.type(description="What can be read.")
class Query(FileQuery, PostQuery, NoteQuery, ViewerQuery, NodeQuery):
    """The read side."""


@strawberry.type(description="What can be changed.")
class Mutation(
    FileMutation, PostMutation, NoteMutation, EndSessionMutation, SessionMutation
):
    """The write side."""


class Graph(strawberry.Schema):
    """Strawberry's schema, with a way of its own for queries and mutations.

    Strawberry's `execute` asks extensions at every step, several hundred microseconds
    for each operation. What they would do here is the same for all operations and
    stands below in ten lines. Subscriptions go strawberry's way.
    """

    documents: Documents
    translate: Translate
    run: Engine | Reference

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """The answer to one operation, its errors translated. `context_value` is our
        RequestContext.

        Raises: InvalidOperationTypeError for the transport to answer; GraphQLError,
        translated, for a document without the operation that is asked for.
        """
        context: RequestContext = context_value
        allowed = allowed_operation_types or ANY_OPERATION
        try:
            if not query:
                raise MissingQueryError
            prepared = self.documents.prepare(self._schema, query, context)
            kind = prepared.types.get(operation_name)
            if kind is None or kind not in allowed:
                raise refused_kind(kind, operation_name)
            if prepared.mistakes:
                return self._refusal(prepared.mistakes, context, refused=True)
            await self.documents.admit(
                prepared, operation_name, variable_values, context
            )
            answer = self.run.execute(
                prepared.document, root_value, context, variable_values,
                operation_name, operation_extensions,
            )  # fmt: skip
            if not isinstance(answer, CoreResult):
                answer = await answer
        except InvalidOperationTypeError:
            raise
        except Exception as failure:
            return self._refusal([failure], context)
        failures: list[GraphQLError] | None = None
        if answer.errors:
            failures = self.translate(
                answer.errors, request_id=context.scope.request_id
            )
            let_go(answer.errors)
        return ExecutionResult(data=answer.data, errors=failures)

    def _refusal(
        self,
        failures: Sequence[Exception],
        context: RequestContext,
        *,
        refused: bool = False,
    ) -> PreExecutionError:
        """The answer to an operation that never ran."""
        errors = self.translate(
            failures, request_id=context.scope.request_id, refused=refused
        )
        return PreExecutionError(data=None, errors=errors)

    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,
    ) -> None:
        """Nothing: strawberry would log what people mistype, with a traceback."""

    def as_str(self) -> str:
        """The SDL."""
        return _sdl()


def refused_kind(kind: OperationType | None, name: str | None) -> Exception:
    """Why an operation is not run: none has this name, or not here."""
    if kind is None:
        return CannotGetOperationTypeError(name)
    return InvalidOperationTypeError(kind)


def build_schema(
    limits: Limits = DEFAULT_LIMITS,
    *,
    reveals_schema: bool = True,
    engine: EngineName = "reference",
) -> Graph:
    """The schema. Parsed documents are kept in a bounded cache of its own.

    `reveals_schema=False`: no introspection, and no names in refusals. `engine`: what
    executes operations.
    """
    documents = Documents(limits, reveals_schema=reveals_schema)
    told = translate if reveals_schema else translate_discreetly
    graph = copy(_types())
    # The first encloses the other: it also translates what that raises.
    graph.extensions = (lambda: ErrorCodes(told), lambda: PreparedDocuments(documents))
    graph.documents, graph.translate = documents, told
    core = graph._schema
    # A plan is found by its parsed document: more than those that are kept, trusted
    # ones beside the others, nobody asks for again.
    plans = 2 * limits.cached_documents
    compiled = engine == "compiled"
    graph.run = Engine(core, max_plans=plans) if compiled else Reference(core)
    return graph


@cache
def _types() -> Graph:
    """What all graphs of a process share: the types, which take 70 ms to convert."""
    graph = Graph(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Note, Post, File, User, Viewer, *PROBLEMS],
        config=StrawberryConfig(scalar_map={DateTime: DATE_TIME, Upload: UPLOAD}),
        exception_handlers=HANDLERS,
        execution_context_class=EventExecutor,
    )
    _leave_out_null_defaults(graph._schema)
    return graph


@cache
def _sdl() -> str:
    """Printed once: 25 ms."""
    return strawberry.Schema.as_str(_types())


def _leave_out_null_defaults(schema: GraphQLSchema) -> None:
    """Strawberry shows a Python default of None as `= null`; the contract has none.

    Both mean the same: the method's own default fills in for what is left out.
    """
    for kind in schema.type_map.values():
        inputs: list[GraphQLArgument | GraphQLInputField] = []
        if isinstance(kind, GraphQLInputObjectType):
            inputs += kind.fields.values()
        elif isinstance(kind, GraphQLObjectType):
            for field in kind.fields.values():
                inputs += field.args.values()
        for one in inputs:
            if one.default_value is None:
                one.default_value = Undefined
