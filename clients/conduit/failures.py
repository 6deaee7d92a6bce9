"""What a refusal of Conduit means: the one table, and how it is read.

The family is told first, by content type and shape (conduit.md §1): a module's error
is JSON with `name`, `status`, `message`; HTML comes from the router's validation or
its lack of a route; plain text from its middleware. Conduit says 500 for conflicts,
refusals and missing things, so a module's *text* must be matched: here and nowhere
else.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from clients.errors import (
    ConflictError,
    InvalidCredentialsError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    UpstreamError,
    UpstreamMisconfiguredError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from clients.failures import JSON_TYPE, Failure, raised_by
from clients.http import Response
from clients.transport import Answer

_INIT_HINT: Final = "is conduit-init.json applied to this Conduit?"
_REQUIRED: Final = "This field must have a value."
_NO_ACCESS: Final = "File access is not public"

# `key` begins the module's message; the first row that fits counts.
MESSAGES: Final = (
    Failure("Invalid login credentials", InvalidCredentialsError, "auth"),
    Failure(
        "Invalid email address provided",
        InvalidInputError,
        "auth",
        public_message="This is not an e-mail address.",
    ),
    Failure("Refresh token not found", NotAuthenticatedError, "auth"),
    Failure("Token expired", NotAuthenticatedError, "auth_settings"),
    # A module that is starting; a real miss has other words (conduit.md §9).
    Failure("Not found", UpstreamUnavailableError, "failures", status=404),
    Failure("Document does not exist", NotFoundError, "authorization, database_read"),
    Failure("File does not exist", NotFoundError, "storage"),
    # An update of an unknown id, without row-level authorization.
    Failure(
        "Cannot read properties of null (reading '_id')",
        NotFoundError,
        "custom_endpoints",
    ),
    Failure("User already exists", ConflictError, "auth"),
    Failure("File already exists", ConflictError, "storage"),
    Failure("Validation error", ConflictError, "database_write"),
    Failure("Document doesn't exist or can't", PermissionDeniedError, "authorization"),
    Failure(_NO_ACCESS, PermissionDeniedError, "storage"),
    Failure("You do not have access", PermissionDeniedError, "storage_authorization"),
    Failure(
        "Object must be a valid resource identifier",
        InvalidInputError,
        "authorization",
        public_message="This is not a valid scope.",
    ),
    Failure("notNull Violation", InvalidInputError, "database_write", None, _REQUIRED),
    Failure(
        "null value in column", InvalidInputError, "database_write", None, _REQUIRED
    ),
    Failure(
        "value too long for type",
        InvalidInputError,
        "cache, router",
        public_message="This text is too long.",
    ),
    Failure("round_robin: No connection", UpstreamUnavailableError, "failures"),
    # The pool of the database module is used up; the statement may have been done.
    Failure("Operation timeout", UpstreamTimeoutError, "database_stall", unknown=True),
    Failure("Schema ", UpstreamMisconfiguredError, "database_read", status=404),
    Failure(
        "Cannot read properties of undefined (reading 'operation')",
        UpstreamMisconfiguredError,
        "custom_endpoints",
        hint=_INIT_HINT,
    ),
    Failure("column ", UpstreamMisconfiguredError, "database_read", hint=_INIT_HINT),
)

# `key` is somewhere in the module's message.
MESSAGE_PARTS: Final = (
    # Storage puts the name of the inner call in front.
    Failure("invalid input syntax for type uuid", InvalidInputError, "storage"),
    Failure(" is not allowed to ", PermissionDeniedError, "authorization"),
)

# A module's error with no known text: told by its status.
MODULE: Final = {
    400: Failure("", InvalidInputError, "auth"),
    401: Failure("", NotAuthenticatedError, "auth"),
    403: Failure("", PermissionDeniedError, "auth_settings"),
    429: Failure("", RateLimitedError, "router"),
}
_MODULE_SERVER: Final = Failure("", UpstreamError, "database_read")

# Not a module's error: the router's own word, a proxy's, or nothing.
ROUTER: Final = {
    # The client id check, never the person's token: renewing would not help.
    401: Failure(
        "",
        UpstreamMisconfiguredError,
        "auth_settings",
        hint="are the client id and secret of Conduit right?",
    ),
    404: Failure("", UpstreamMisconfiguredError, "router", hint=_INIT_HINT),
    429: Failure("", RateLimitedError, "router"),
    502: Failure("", UpstreamUnavailableError, "a proxy (none recorded)", unknown=True),
    503: Failure("", UpstreamUnavailableError, "a proxy (none recorded)"),
    504: Failure("", UpstreamTimeoutError, "a proxy (none recorded)", unknown=True),
}
_NONSENSE: Final = Failure("", UpstreamResponseError, "auth, router, storage")
_SERVER: Final = Failure("", UpstreamError, "a proxy (none recorded)")

# Fields of ours, as a form knows them: no other name is ever passed on.
_FIELDS: Final = {
    "title": "title",
    "body": "body",
    "Invalid email address provided": "email",
    "User already exists": "email",
    "File already exists": "name",
    "Object must be a valid resource identifier": "scope",
}
_COLUMN: Final = re.compile(r'notNull Violation: \w+\.(\w+)|column "(\w+)"')


class _ModuleError(msgspec.Struct):
    name: str
    status: int
    message: str
    code: str | None = msgspec.field(name="conduitCode", default=None)


_MODULE_ERROR: Final = msgspec.json.Decoder(_ModuleError)


class _FieldCode(msgspec.Struct):
    code: int | str | None = None


class _FieldError(msgspec.Struct):
    message: str = ""
    extensions: _FieldCode = msgspec.field(default_factory=_FieldCode)


class _GraphQLAnswer(msgspec.Struct):
    errors: list[_FieldError] = msgspec.field(default_factory=list)


_GRAPHQL_ANSWER: Final = msgspec.json.Decoder(_GraphQLAnswer)


def budget_spent(answer: Answer) -> bool:
    """Whether the router refuses this address for everything (conduit.md §8).

    It says so in plain text; the limit of a single route is told in JSON.
    """
    return answer.status == 429 and JSON_TYPE not in answer.headers.get(
        "content-type", ""
    )


def raise_for_failure(response: Response) -> None:
    """Raise what the answer means, unless it is a success."""
    if 200 <= response.status < 300:
        return
    error = _module_error(response)
    if error is None:
        fallback = _SERVER if response.status >= 500 else _NONSENSE
        raise raised_by(ROUTER.get(response.status, fallback), response)
    raise raised_by(
        _row(error),
        response,
        upstream_code=error.code or error.name,
        field=_field(error.message),
    )


def token_refused(response: Response) -> bool:
    """Whether a call that carried a token was refused because of it.

    An expired token is no 401 on a private file (conduit.md §6): 403 on its metadata,
    500 on its address, with the same words as for no token at all.
    """
    if response.status == 200:
        return any(
            error.status == 401 or error.message == _NO_ACCESS
            for error in field_errors(response)
        )
    if response.status not in (401, 403, 500):
        return False
    error = _module_error(response)
    if error is None:
        return False
    return _row(error).kind is NotAuthenticatedError or error.message == _NO_ACCESS


@dataclass(frozen=True, slots=True)
class FieldError:
    """The failure of one field of Conduit's GraphQL: `status` is that of REST."""

    message: str
    status: int


def field_errors(response: Response) -> list[FieldError]:
    """The failures in a GraphQL answer, which itself is a 200 (conduit.md §5)."""
    try:
        answer = _GRAPHQL_ANSWER.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [
        FieldError(error.message, code if isinstance(code, int) else 500)
        for error in answer.errors
        for code in (error.extensions.code,)
    ]


def of_field(error: FieldError, response: Response) -> UpstreamError:
    """The exception for the failure of one field."""
    module_error = _ModuleError("GRAPHQL", error.status, error.message)
    return raised_by(_row(module_error), response, upstream_code="GRAPHQL")


def raise_for_storage(status: int, operation: str) -> None:
    """The storage host's answer, by its status: its texts differ by provider.

    304 and 416 belong to conditional and partial reads, and are the caller's.
    """
    if 200 <= status < 300 or status in (304, 416):
        return
    kinds: dict[int, type[UpstreamError]] = {
        404: NotFoundError,
        429: RateLimitedError,
        502: UpstreamUnavailableError,
        503: UpstreamUnavailableError,
        504: UpstreamTimeoutError,
    }
    kind = kinds.get(status, UpstreamError if status >= 500 else UpstreamResponseError)
    raise kind(
        f"{operation}: the storage host answered {status}",
        service="conduit",
        operation=operation,
        status=status,
    )


def _module_error(response: Response) -> _ModuleError | None:
    if response.media_type != JSON_TYPE:
        return None
    try:
        return _MODULE_ERROR.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _row(error: _ModuleError) -> Failure:
    for failure in MESSAGES:
        if error.message.startswith(failure.key) and failure.status in (
            None,
            error.status,
        ):
            return failure
    for failure in MESSAGE_PARTS:
        if failure.key in error.message:
            return failure
    if error.status >= 500:
        return _MODULE_SERVER
    return MODULE.get(error.status, _NONSENSE)


def _field(message: str) -> str | None:
    match = _COLUMN.search(message)
    return _FIELDS.get((match[1] or match[2]) if match else message)
