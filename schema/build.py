"""Query, Mutation and Subscription composed from the domains; the schema of them."""

from typing import Any

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
)
from graphql.execution import Executor
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from .changes import Subscription
from .datetimes import DATE_TIME, DateTime
from .disclosure import Discretion
from .documents import PreparedDocuments, document_cache
from .errors import ErrorCodes
from .files import File, FileMutation, FileQuery
from .limits import UNLIMITED, Limits
from .nodes import NodeQuery
from .notes import Note, NoteMutation, NoteQuery
from .posts import Post, PostMutation, PostQuery
from .problems import HANDLERS, PROBLEMS
from .sessions import EndSessionMutation
from .uploads import UPLOAD, Upload
from .users import SessionMutation, User, Viewer, ViewerQuery

DEFAULT_LIMITS = Limits()


@strawberry.type(description="What can be read.")
class Query(FileQuery, PostQuery, NoteQuery, ViewerQuery, NodeQuery):
    """The read side."""


@strawberry.type(description="What can be changed.")
class Mutation(
    FileMutation, PostMutation, NoteMutation, EndSessionMutation, SessionMutation
):
    """The write side."""


class Graph(strawberry.Schema):
    """Strawberry's schema, with the logging of failures left to `ErrorCodes`."""

    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,
    ) -> None:
        """Nothing: strawberry would log what people mistype, with a traceback."""


def build_schema(
    limits: Limits = DEFAULT_LIMITS,
    *,
    reveals_schema: bool = True,
    executor: type[Executor[Any]] | None = None,
) -> Graph:
    """The schema. Parsed documents are kept in a bounded cache of its own.

    `reveals_schema=False`: no introspection, and no names in refusals. `executor`:
    what executes operations; graphql-core's own if None.
    """
    prepared = document_cache(limits, reveals_schema=reveals_schema)
    trusted = document_cache(UNLIMITED, reveals_schema=reveals_schema)
    graph = Graph(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Note, Post, File, User, Viewer, *PROBLEMS],
        config=StrawberryConfig(scalar_map={DateTime: DATE_TIME, Upload: UPLOAD}),
        # The first encloses the others: it also translates what they raise.
        extensions=[
            ErrorCodes if reveals_schema else Discretion,
            lambda: PreparedDocuments(prepared, limits, trusted),
        ],
        exception_handlers=HANDLERS,
        execution_context_class=executor,
    )
    _leave_out_null_defaults(graph._schema)
    return graph


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
