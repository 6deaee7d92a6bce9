"""Failures as the client sees them: one table, one function that applies it.

A failure is raised where it arises and translated here, once. Its class is looked up by
ancestry, so a new subclass has a code before anybody thinks of it; what is in no row is
masked. Whatever the upstream said stays in our log: messages are ours.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, cast

from graphql import ExecutionResult as CoreExecutionResult
from graphql import FieldNode, GraphQLError, GraphQLSyntaxError, ValueNode
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import (
    CannotGetOperationTypeError,
    InvalidOperationTypeError,
)
from strawberry.types import StreamExecutionResult
from strawberry.types.execution import ExecutionResult, PreExecutionError

from clients.errors import (
    ConflictError,
    InvalidCredentialsError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    TooManyCallsError,
    UpstreamError,
    UpstreamMisconfiguredError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from resolvers.change_feed import ChangesMissedError
from resolvers.context import RequestContext

# A page of 100 rows may fail in one field each; more of the same tell nothing.
MAX_EQUAL_ERRORS: Final = 100

log = logging.getLogger("mainstem.graph")


class Translate(Protocol):
    """`translate`, or one that tells less."""

    def __call__(
        self, errors: Iterable[Exception], *, request_id: str, refused: bool = False
    ) -> list[GraphQLError]: ...


class ErrorCode(StrEnum):
    """`extensions.code`; documented in docs/errors.md."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    RATE_LIMITED = "RATE_LIMITED"
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"
    UPSTREAM_MISCONFIGURED = "UPSTREAM_MISCONFIGURED"
    UPSTREAM_BAD_RESPONSE = "UPSTREAM_BAD_RESPONSE"
    UPSTREAM_ERROR = "UPSTREAM_ERROR"
    CHANGES_MISSED = "CHANGES_MISSED"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


@dataclass(frozen=True, slots=True)
class Row:
    """How a class of failures looks. `masked`: only we can mend it, so it is logged."""

    code: ErrorCode
    message: str
    masked: bool = False


_INTERNAL: Final = Row(
    ErrorCode.INTERNAL_SERVER_ERROR, "Something went wrong on our side.", masked=True
)

ROWS: Final[Mapping[type[BaseException], Row]] = {
    NotAuthenticatedError: Row(ErrorCode.UNAUTHENTICATED, "Sign in first."),
    InvalidCredentialsError: Row(
        ErrorCode.UNAUTHENTICATED, "The e-mail address or the password is wrong."
    ),
    PermissionDeniedError: Row(ErrorCode.FORBIDDEN, "You may not do this."),
    NotFoundError: Row(ErrorCode.NOT_FOUND, "This does not exist."),
    InvalidInputError: Row(ErrorCode.BAD_USER_INPUT, "The input is not valid."),
    ConflictError: Row(ErrorCode.CONFLICT, "Something like it exists already."),
    RateLimitedError: Row(
        ErrorCode.RATE_LIMITED, "Too many requests; try again a little later."
    ),
    TooManyCallsError: Row(
        ErrorCode.QUERY_TOO_COMPLEX,
        "This operation needs more calls to the services behind it than it may make.",
    ),
    UpstreamUnavailableError: Row(
        ErrorCode.UPSTREAM_UNAVAILABLE, "A service behind this field is unavailable."
    ),
    UpstreamTimeoutError: Row(
        ErrorCode.UPSTREAM_TIMEOUT,
        "A service behind this field did not answer in time.",
    ),
    UpstreamMisconfiguredError: Row(
        ErrorCode.UPSTREAM_MISCONFIGURED,
        "A service behind this field is not set up rightly.",
        masked=True,
    ),
    UpstreamResponseError: Row(
        ErrorCode.UPSTREAM_BAD_RESPONSE,
        "A service behind this field gave an answer that makes no sense.",
        masked=True,
    ),
    UpstreamError: Row(
        ErrorCode.UPSTREAM_ERROR, "A service behind this field failed.", masked=True
    ),
    ChangesMissedError: Row(
        ErrorCode.CHANGES_MISSED,
        "Changes came that you have not been told of; subscribe again and read anew.",
    ),
    InvalidOperationTypeError: Row(
        ErrorCode.BAD_USER_INPUT,
        "Only subscriptions run here; send queries and mutations by POST.",
    ),
    MissingQueryError: Row(ErrorCode.BAD_USER_INPUT, "There is no query."),
    CannotGetOperationTypeError: Row(
        ErrorCode.BAD_USER_INPUT,
        "operationName must name one of the operations in the document.",
    ),
}


def row_of(failure: BaseException) -> Row:
    """The row of the nearest ancestor; what has none is masked."""
    for ancestor in type(failure).__mro__:
        if ancestor in ROWS:
            return ROWS[ancestor]
    return _INTERNAL


def details_of(failure: UpstreamError) -> dict[str, object]:
    """What `extensions` tell beside the code; also on plain routes."""
    details: dict[str, object] = {}
    if failure.service is not None:
        details["service"] = failure.service
    if isinstance(failure, RateLimitedError) and failure.retry_after_s is not None:
        details["retryAfterS"] = failure.retry_after_s
    if failure.outcome_unknown:
        details["outcomeUnknown"] = True
    if isinstance(failure, InvalidInputError) and failure.field is not None:
        details["field"] = failure.field
    return details


def translate(
    errors: Iterable[Exception], *, request_id: str, refused: bool = False
) -> list[GraphQLError]:
    """Errors as the client sees them; `refused` by validation, before execution."""
    return _bounded([_coded(error, request_id, refused) for error in errors])


def let_go(errors: Iterable[Exception]) -> None:
    """Forget where failures arose, once they have been translated and logged.

    A traceback holds every frame on its way, and so does a frame that keeps the failure
    at hand: all that the operation made would wait for the garbage collector.
    """
    left: list[BaseException | None] = [*errors]
    while left:
        error = left.pop()
        if error is not None and error.__traceback__ is not None:
            error.__traceback__ = None
            left += (error.__cause__, error.__context__)
        if isinstance(error, GraphQLError):
            left.append(error.original_error)


class ErrorCodes(SchemaExtension):
    """Translates what subscriptions answer; strawberry runs those."""

    def __init__(self, translate: Translate = translate) -> None:
        self._translate = translate

    def on_operation(self) -> Iterator[None]:
        """Translate what the operation raised, or was refused with."""
        try:
            yield
        except Exception as failure:
            raise self._translated([failure])[0] from failure
        result = self.execution_context.result
        if isinstance(result, ExecutionResult | CoreExecutionResult):
            self._apply(result)

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        """Translate one event of a subscription, before it is sent."""
        if isinstance(result, ExecutionResult):
            self._apply(result)
            # It is done; `on_operation` must not do the last one again.
            self.execution_context.result = None
        yield

    def _apply(self, result: ExecutionResult | CoreExecutionResult) -> None:
        if result.errors:
            refused = isinstance(result, PreExecutionError)
            failures = result.errors
            result.errors = self._translated(failures, refused=refused)
            let_go(failures)

    def _translated(
        self, errors: Iterable[Exception], *, refused: bool = False
    ) -> list[GraphQLError]:
        context = cast("RequestContext", self.execution_context.context)
        return self._translate(
            errors, request_id=context.scope.request_id, refused=refused
        )


def _coded(failure: Exception, request_id: str, refused: bool) -> GraphQLError:
    if not isinstance(failure, GraphQLError):
        failure = GraphQLError(str(failure), original_error=failure)
    if refused and _is_unread_literal(failure):
        code = ErrorCode.GRAPHQL_VALIDATION_FAILED
        return _error(failure, "This value cannot be read.", {"code": code}, request_id)
    cause = _cause(failure)
    if cause is not None:
        return _of_cause(failure, cause, request_id)
    code = (failure.extensions or {}).get("code") or _code_of_graphql(failure, refused)
    if code == ErrorCode.INTERNAL_SERVER_ERROR:
        return _of_cause(failure, failure, request_id)
    return _error(failure, failure.message, {"code": str(code)}, request_id)


def _is_unread_literal(error: GraphQLError) -> bool:
    """Python reads no number of more than 4300 digits; the document is at fault."""
    node = error.nodes[0] if error.nodes else None
    return isinstance(node, ValueNode) and isinstance(error.original_error, ValueError)


def _of_cause(error: GraphQLError, cause: Exception, request_id: str) -> GraphQLError:
    row = row_of(cause)
    message = row.message
    extensions: dict[str, object] = {"code": str(row.code)}
    if isinstance(cause, UpstreamError):
        extensions |= details_of(cause)
    if isinstance(cause, InvalidInputError):
        message = cause.public_message
    if row.masked:
        path = ".".join(str(key) for key in error.path or ())
        log.error(
            "field %s failed in request %s",
            path or "(none)",
            request_id,
            exc_info=cause,
        )
    return _error(error, message, extensions, request_id)


def _error(
    error: GraphQLError,
    message: str,
    extensions: Mapping[str, object],
    request_id: str,
) -> GraphQLError:
    """A new error: the one in hand may be kept with its document, for others."""
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={**extensions, "requestId": request_id},
    )


def _cause(error: GraphQLError) -> Exception | None:
    """What was raised beneath graphql-core's own errors; None when it was one."""
    cause: Exception | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _code_of_graphql(error: GraphQLError, refused: bool) -> ErrorCode:
    """The code of an error that graphql-core itself found.

    While executing: without a path it is a variable, with a node that is no field an
    argument. What is left is an answer that does not fit its type: ours to mend.
    """
    if isinstance(error, GraphQLSyntaxError):
        return ErrorCode.GRAPHQL_PARSE_FAILED
    if refused:
        return ErrorCode.GRAPHQL_VALIDATION_FAILED
    node = error.nodes[0] if error.nodes else None
    if error.path is None or not isinstance(node, FieldNode):
        return ErrorCode.BAD_USER_INPUT
    return ErrorCode.INTERNAL_SERVER_ERROR


def _bounded(errors: Iterable[GraphQLError]) -> list[GraphQLError]:
    """At most a page's worth of failures that differ only in the row."""
    seen: Counter[object] = Counter()
    kept = []
    for error in errors:
        where = tuple(key for key in error.path or () if isinstance(key, str))
        likeness = (error.message, where)
        seen[likeness] += 1
        if seen[likeness] <= MAX_EQUAL_ERRORS:
            kept.append(error)
    return kept
