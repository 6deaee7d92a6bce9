"""What a refusal of Flux means: the one table, and how it is read.

The shape of the body is looked at first (flux.md §6): `{"error"}` is the gateway's own,
`{"code", …}` is PostgREST's or PostgreSQL's, anything else (HTML, plain text, nothing)
is told by its status alone. Never matched on `message`: it differs by version.
"""

import re
from dataclasses import replace
from typing import Final

import msgspec

from clients.errors import (
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
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

_REFUSED_HINT: Final = "is FLUX_JWT_SECRET the secret of this project?"
_SCHEMA_HINT: Final = "is flux-init.sql applied, and FLUX_POSTGREST_SCHEMA right?"

# `key` begins the text of `error`.
GATEWAY: Final = (
    Failure("authorization required", NotAuthenticatedError, "16-gateway"),
    Failure("invalid or expired token", NotAuthenticatedError, "16-gateway"),
    Failure(
        "tenant not found",
        UpstreamUnavailableError,
        "16-gateway, 19-failures",
        hint="is FLUX_URL right? The catalogue's outage looks the same",
    ),
    Failure("not found", UpstreamMisconfiguredError, "16-gateway"),
    Failure("rate limit exceeded", RateLimitedError, "17-rate-limit"),
    Failure(
        "project mode",
        UpstreamMisconfiguredError,
        "16-gateway",
        hint="a dedicated project has another FLUX_URL",
    ),
    Failure("project jwt_secret missing", UpstreamMisconfiguredError, "16-gateway"),
    Failure("project is", UpstreamUnavailableError, "16-gateway"),
    Failure("gateway overloaded", UpstreamUnavailableError, "19-failures"),
    Failure("upstream error", UpstreamUnavailableError, "15, 19", unknown=True),
    # The statement goes on behind it: flux.md §5.
    Failure("upstream timeout", UpstreamTimeoutError, "16-gateway", unknown=True),
)

# `key` begins `code`; the first row that fits counts.
CODES: Final = (
    Failure("42501", NotAuthenticatedError, "09-auth, 18", status=401),
    Failure("42501", PermissionDeniedError, "10-permissions-rls, 19"),
    Failure("PGRST301", NotAuthenticatedError, "09-auth"),
    Failure("PGRST302", NotAuthenticatedError, "flux.md §6 (no recording)"),
    Failure("PGRST303", NotAuthenticatedError, "21-newer-postgrest"),
    Failure("22023", UpstreamMisconfiguredError, "09-auth", hint="FLUX_JWT_ROLE"),
    Failure(
        "22001",
        InvalidInputError,
        "flux.md §6 (no recording)",
        public_message="This text is too long.",
    ),
    Failure("22", InvalidInputError, "02-filters, 05-insert, 20-corners"),
    Failure(
        "23502",
        InvalidInputError,
        "05-insert",
        public_message="This field must have a value.",
    ),
    Failure("23514", InvalidInputError, "05-insert"),
    Failure("23503", ConflictError, "05-insert"),
    Failure("23505", ConflictError, "05-insert"),
    Failure("P0001", InvalidInputError, "12-rpc"),
    Failure("PGRST003", UpstreamTimeoutError, "18-v1-dedicated"),
    Failure("PGRST00", UpstreamUnavailableError, "19-failures"),
    Failure("08", UpstreamUnavailableError, "19-failures", unknown=True),
    Failure("53", UpstreamUnavailableError, "19-failures"),
    Failure("57P", UpstreamUnavailableError, "19-failures", unknown=True),
    # Rolled back, so the outcome of a write is known.
    Failure("57014", UpstreamTimeoutError, "19-failures"),
    Failure("PGRST106", UpstreamMisconfiguredError, "08, 18", hint=_SCHEMA_HINT),
    Failure("PGRST125", UpstreamMisconfiguredError, "21", hint=_SCHEMA_HINT),
    # Requests that we build: a mistake of ours.
    Failure("PGRST1", UpstreamError, "01, 02, 03, 04, 05, 06, 08, 11, 20"),
    Failure("PGRST2", UpstreamMisconfiguredError, "05, 08, 11", hint=_SCHEMA_HINT),
    Failure("42P01", UpstreamMisconfiguredError, "08, 16", hint=_SCHEMA_HINT),
    Failure("42703", UpstreamMisconfiguredError, "01, 02", hint=_SCHEMA_HINT),
    Failure("42883", UpstreamMisconfiguredError, "19", hint=_SCHEMA_HINT),
)

# No `error` and no known `code`: told by the status alone.
STATUSES: Final = {
    401: Failure("", NotAuthenticatedError, "HEAD has no body: 13-methods-headers"),
    403: Failure("", PermissionDeniedError, "19-failures (28000)"),
    404: Failure(
        "", UpstreamMisconfiguredError, "08-not-found-and-schemas", hint=_SCHEMA_HINT
    ),
    409: Failure("", ConflictError, "HEAD has no body"),
    429: Failure("", RateLimitedError, "17-rate-limit"),
    502: Failure("", UpstreamUnavailableError, "15-long-urls (nginx)", unknown=True),
    503: Failure("", UpstreamUnavailableError, "19-failures"),
    504: Failure("", UpstreamTimeoutError, "16-gateway", unknown=True),
}
_NONSENSE: Final = Failure("", UpstreamResponseError, "01, 15-long-urls, 20-corners")
_SERVER: Final = Failure("", UpstreamError, "07-upsert, 19-failures, 20-corners")

# A shorter one has got through everything that was recorded.
_LONG_TARGET_BYTES: Final = 3000

# Columns of ours, as a form knows them: no other name is ever passed on.
_FIELDS: Final = {"id": "id", "body": "body", "post_id": "postId"}
_COLUMN: Final = re.compile(r'column "(\w+)"|Key \((\w+)\)=')


class _Body(msgspec.Struct):
    """All shapes at once; what else is in a body is of no interest.

    `details` is a list where a relation is ambiguous (PGRST201).
    """

    error: str | None = None
    code: str | None = None
    message: object = None
    details: object = None


_BODY: Final = msgspec.json.Decoder(_Body)


def raise_for_failure(response: Response, *, token_is_ours: bool) -> None:
    """Raise what the answer means, unless it is a success.

    A refusal of a token that we made ourselves is our mistake (house rule): the
    person is signed in, and signing in again would not help.
    """
    if 200 <= response.status < 300:
        return
    body = _body(response)
    failure = _row(response, body)
    if failure.kind is NotAuthenticatedError and token_is_ours:
        failure = replace(failure, kind=UpstreamMisconfiguredError, hint=_REFUSED_HINT)
    raise raised_by(failure, response, upstream_code=body.code, field=_field(body))


def too_long(response: Response, target_bytes: int) -> bool:
    """Whether a GET was refused for its length, by whoever is in the way (§13.1).

    PostgREST says 400 in plain text, proxies 414 and 431, and a gateway whose room for
    response headers ends says 502: they repeat the query in Content-Location.
    """
    if response.status == 400:
        return response.media_type == "text/plain"
    if response.status == 502:
        return target_bytes > _LONG_TARGET_BYTES
    return response.status in (414, 431)


def token_refused(response: Response) -> bool:
    """Whether a call that carried a token was refused because of it."""
    return response.status == 401 and _row(response, _body(response)).kind is (
        NotAuthenticatedError
    )


def _body(response: Response) -> _Body:
    if response.media_type != JSON_TYPE:
        return _Body()
    try:
        return _BODY.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Body()


def _row(response: Response, body: _Body) -> Failure:
    for failure in GATEWAY:
        if body.error is not None and body.error.startswith(failure.key):
            return failure
    for failure in CODES:
        if (
            body.code is not None
            and body.code.startswith(failure.key)
            and failure.status in (None, response.status)
        ):
            return failure
    if response.media_type == "text/html" and response.status in (401, 403, 409):
        return _NONSENSE
    fallback = _SERVER if response.status >= 500 else _NONSENSE
    return STATUSES.get(response.status, fallback)


def _field(body: _Body) -> str | None:
    match = _COLUMN.search(f"{body.message} {body.details}")
    return _FIELDS.get(match[1] or match[2]) if match else None
