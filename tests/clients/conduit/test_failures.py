"""Every refusal that was recorded of Conduit's client API is one exception of ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.conduit import failures
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
from clients.http import Response

RECORDINGS = Path(__file__).parents[2] / "recordings" / "conduit"
# Another API (admin: tests/provision/), GraphQL (below), and the storage provider's own
# file server, told by status alone.
OTHERS = {"admin", "graphql", "graphql_aliases"}
FILE_SERVER = ("/posts/", "/conduit/")

INPUT, MISCONFIGURED = InvalidInputError, UpstreamMisconfiguredError
NONSENSE, UNAVAILABLE = UpstreamResponseError, UpstreamUnavailableError
# (status, how the module's message begins, or the content type) → what it means.
EXPECTED: dict[tuple[int, str], type[UpstreamError]] = {
    (301, "text/html"): NONSENSE,
    (302, "text/plain"): NONSENSE,
    (304, "none"): NONSENSE,
    (400, "Invalid email address provided"): INPUT,
    (400, "Refresh token not found"): NotAuthenticatedError,
    (400, "Token expired"): NotAuthenticatedError,
    (400, "text/html"): NONSENSE,
    (401, "'Authorization' header malformed"): NotAuthenticatedError,
    (401, "Invalid login credentials"): InvalidCredentialsError,
    (401, "No 'Authorization' header"): NotAuthenticatedError,
    (401, "The 'Authorization' header must"): NotAuthenticatedError,
    (401, "Token has been revoked"): NotAuthenticatedError,
    (401, "Token is expired or otherwise"): NotAuthenticatedError,
    (401, "text/html"): MISCONFIGURED,
    (403, "File access is not public"): PermissionDeniedError,
    (403, "Inactive user"): PermissionDeniedError,
    (403, "User is blocked"): PermissionDeniedError,
    (403, "You do not have access to file"): PermissionDeniedError,
    (404, "Document does not exist"): NotFoundError,
    (404, "File does not exist"): NotFoundError,
    (404, "Not found"): UNAVAILABLE,
    (404, "Schema post not defined yet"): MISCONFIGURED,
    (404, "text/html"): MISCONFIGURED,
    (413, "text/html"): NONSENSE,
    (429, "Too Many Requests"): RateLimitedError,
    (429, "text/html"): RateLimitedError,
    (431, "none"): NONSENSE,
    (500, "/database.DatabaseProvider/findOne INTERNAL: invalid input"): INPUT,
    (500, "Cannot create property 'author' on string"): UpstreamError,
    (500, "Cannot read properties of null (reading '_id')"): NotFoundError,
    (500, "Cannot read properties of undefined (reading"): MISCONFIGURED,
    (500, "Document doesn't exist or can't be"): PermissionDeniedError,
    (500, "File access is not public"): PermissionDeniedError,
    (500, "File already exists"): ConflictError,
    (500, "File does not exist"): NotFoundError,
    (500, "LIMIT must not be negative"): UpstreamError,
    (500, "OFFSET must not be negative"): UpstreamError,
    (500, "Object must be a valid resource identifier"): INPUT,
    (500, "Operation timeout"): UpstreamTimeoutError,
    (500, "User already exists"): ConflictError,
    (500, "User:"): PermissionDeniedError,
    (500, "Validation error"): ConflictError,
    (500, "You do not have access to file"): PermissionDeniedError,
    (500, "column cnd_Post.nope does not exist"): MISCONFIGURED,
    (500, "invalid input syntax for type uuid"): INPUT,
    (500, "notNull Violation: "): INPUT,
    (500, "null value in column "): INPUT,
    (500, "round_robin: No connection established"): UNAVAILABLE,
    (500, "value too long for type"): INPUT,
    (500, "values.map is not a function"): UpstreamError,
}


def recorded() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for file in sorted(RECORDINGS.glob("*.json")):
        if file.stem in OTHERS:
            continue
        content = json.loads(file.read_text())
        for n, exchange in enumerate(content.get("exchanges", [])):
            for key in ("response", "last_response"):
                answer = exchange.get(key, {})
                if answer.get("status", 0) >= 300:
                    request = exchange.get("request", {"method": "GET", "path": "/"})
                    yield f"{file.stem} {n}: {exchange['note']}", request, answer
        for n, run in enumerate(content.get("runs", [])):
            for m, seen in enumerate(run["seen"]):
                if (seen["status"] or 0) >= 300:
                    # The recording cuts long bodies off.
                    body = seen["body"].removesuffix('"}') + '"}'
                    answer = {"status": seen["status"], "body": json.loads(body)}
                    yield f"{file.stem} {n}.{m}", {"method": "GET"}, answer


def as_response(request: dict[str, Any], answer: dict[str, Any]) -> Response:
    body = answer.get("body", answer.get("body_text"))
    headers = {k.lower(): v for k, v in answer.get("headers", {}).items()}
    if isinstance(body, dict):
        headers.setdefault("content-type", "application/json; charset=utf-8")
    raw = (body or "").encode() if not isinstance(body, dict) else b""
    return Response(
        answer["status"],
        headers,
        raw or (json.dumps(body).encode() if body else b""),
        "conduit",
        "operation",
        request["method"] not in ("GET", "HEAD"),
    )


def is_file_server(request: dict[str, Any]) -> bool:
    address = request.get("path") or request.get("url", "")
    return str(address).startswith(FILE_SERVER)


REFUSALS = [
    pytest.param(as_response(request, answer), id=name)
    for name, request, answer in recorded()
    if not is_file_server(request)
]


def expected_key(response: Response) -> tuple[int, str]:
    try:
        seen = json.loads(response.body)["message"]
    except (ValueError, KeyError, TypeError):
        seen = response.media_type or "none"
    fits = [
        (status, key)
        for status, key in EXPECTED
        if status == response.status and seen.startswith(key)
    ]
    assert fits, (response.status, seen)
    return max(fits, key=lambda fit: len(fit[1]))


def raised(response: Response) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        failures.raise_for_failure(response)
    return caught.value


def test_there_are_refusals_to_look_at() -> None:
    assert len(REFUSALS) > 130


@pytest.mark.parametrize("response", REFUSALS)
def test_a_recorded_refusal_is_the_exception_expected(response: Response) -> None:
    error = raised(response)
    assert type(error) is EXPECTED[expected_key(response)]
    assert (error.service, error.operation) == ("conduit", "operation")
    assert error.status == response.status
    assert len(error.message) <= 300


def test_every_expectation_is_about_a_recording() -> None:
    responses = [param.values[0] for param in REFUSALS]
    seen = {expected_key(r) for r in responses if isinstance(r, Response)}
    assert set(EXPECTED) - seen == set()


def test_every_row_of_the_table_is_reached_by_a_recording() -> None:
    reached = set()
    for param in REFUSALS:
        response = param.values[0]
        assert isinstance(response, Response)
        error = failures._module_error(response)
        if error is not None:
            reached.add(id(failures._row(error)))
    rows = (*failures.MESSAGES, *failures.MESSAGE_PARTS)
    assert [row.key for row in rows if id(row) not in reached] == []
    assert all(row.recording for row in rows)


@pytest.mark.parametrize("response", REFUSALS)
def test_nothing_of_the_upstream_s_text_is_in_what_may_be_shown(
    response: Response,
) -> None:
    error = raised(response)
    if isinstance(error, InvalidInputError):
        assert error.public_message in {
            "This value is not accepted.",
            "This field must have a value.",
            "This is not an e-mail address.",
            "This is not a valid scope.",
            "This text is too long.",
        }
    fields = {None, "title", "body", "email", "name", "scope"}
    assert getattr(error, "field", None) in fields


@pytest.mark.parametrize("response", REFUSALS)
def test_a_token_is_refused_by_the_token_family_and_by_private_files(
    response: Response,
) -> None:
    _, key = expected_key(response)
    family = EXPECTED[response.status, key] is NotAuthenticatedError
    expected = (family and response.status == 401) or key == "File access is not public"
    assert failures.token_refused(response) == expected


# What is wrong with one field of Conduit's GraphQL, which answers 200 itself.
FIELD_ERRORS: dict[tuple[object, str], type[UpstreamError]] = {
    (401, "No 'Authorization' header"): NotAuthenticatedError,
    (404, "Document does not exist"): NotFoundError,
    (404, "File does not exist"): NotFoundError,
    (500, "Cannot read properties of undefined (reading 'operation')"): MISCONFIGURED,
    (500, "Cannot read properties of undefined (reading 'toLowerCase')"): UpstreamError,
    (500, "File access is not public"): PermissionDeniedError,
    (500, "invalid input syntax for type uuid"): INPUT,
}


def graphql_answers(*, refused: bool) -> list[Any]:
    """Those with errors in them; `refused` as a whole, or by field."""
    found = []
    for stem in ("graphql", "graphql_aliases"):
        exchanges = json.loads((RECORDINGS / f"{stem}.json").read_text())["exchanges"]
        for n, exchange in enumerate(exchanges):
            got = exchange["response"]
            if (got["status"] >= 300) == refused and "errors" in got["body"]:
                name = f"{stem} {n}: {exchange['note']}"
                found.append(
                    pytest.param(as_response(exchange["request"], got), id=name)
                )
    return found


@pytest.mark.parametrize("response", graphql_answers(refused=True))
def test_a_recorded_refusal_of_graphql_is_an_answer_without_sense(
    response: Response,
) -> None:
    """Not a module's: `lookups.py` takes it for a GraphQL that cannot be used."""
    error = raised(response)
    assert (type(error), error.status) == (UpstreamResponseError, 400)


@pytest.mark.parametrize("response", graphql_answers(refused=False))
def test_a_recorded_failure_of_a_field_is_the_exception_expected(
    response: Response,
) -> None:
    failures.raise_for_failure(response)
    errors = failures.field_errors(response)
    assert errors
    for error in errors:
        (kind,) = (
            kind
            for (status, start), kind in FIELD_ERRORS.items()
            if error.status == status and error.message.startswith(start)
        )
        assert type(failures.of_field(error, response)) is kind


def test_every_expectation_of_a_field_is_about_a_recording() -> None:
    seen = {
        key
        for (response,) in (each.values for each in graphql_answers(refused=False))
        for error in failures.field_errors(response)
        for key in FIELD_ERRORS
        if error.status == key[0] and error.message.startswith(key[1])
    }
    assert seen == set(FIELD_ERRORS)


def module(status: int, message: str, **more: str) -> Response:
    body = {"name": "X", "status": status, "message": message, **more}
    return Response(
        status,
        {"content-type": "application/json; charset=utf-8"},
        json.dumps(body).encode(),
        "conduit",
        "operation",
        writes=True,
    )


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("notNull Violation: cnd_Post.title cannot be null", "title"),
        ('null value in column "title" of relation "cnd_Post" violates', "title"),
        ("notNull Violation: cnd_Post.secret cannot be null", None),
        ("User already exists", "email"),
        ("Validation error", None),
    ],
)
def test_only_fields_of_ours_are_named(message: str, field: str | None) -> None:
    error = raised(module(500, message))
    assert isinstance(error, InvalidInputError | ConflictError)
    assert error.field == field


def test_the_upstream_s_code_is_kept() -> None:
    error = raised(module(500, "User already exists", conduitCode="USER_EXISTS"))
    assert error.upstream_code == "USER_EXISTS"


def test_a_used_up_pool_leaves_a_write_in_doubt() -> None:
    error = raised(module(500, "Operation timeout"))
    assert isinstance(error, UpstreamTimeoutError)
    assert error.outcome_unknown


def test_a_module_that_is_starting_is_not_a_missing_document() -> None:
    assert type(raised(module(404, "Not found"))) is UpstreamUnavailableError
    assert type(raised(module(404, "Document does not exist"))) is NotFoundError


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UpstreamMisconfiguredError),
        (403, UpstreamResponseError),
        (404, UpstreamMisconfiguredError),
        (429, RateLimitedError),
        (500, UpstreamError),
        (502, UpstreamUnavailableError),
        (503, UpstreamUnavailableError),
        (504, UpstreamTimeoutError),
    ],
)
@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("text/html", b"<html>nginx</html>"),
        ("text/plain", b"Unauthorized"),
        ("application/json", b'{"name": "UNAUTHORIZED", "stat'),
        ("application/json", b'{"error": "x"}'),
        ("application/json", b"[]"),
        ("", b""),
    ],
)
def test_what_is_no_module_s_error_is_told_by_its_status(
    status: int, kind: type[UpstreamError], media: str, body: bytes
) -> None:
    response = Response(status, {"content-type": media}, body, "conduit", "operation")
    assert type(raised(response)) is kind
    assert not failures.token_refused(response)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, UpstreamResponseError),
        (404, NotFoundError),
        (405, UpstreamResponseError),
        (429, RateLimitedError),
        (500, UpstreamError),
        (503, UpstreamUnavailableError),
        (504, UpstreamTimeoutError),
    ],
)
def test_the_storage_host_is_told_by_its_status(
    status: int, kind: type[UpstreamError]
) -> None:
    with pytest.raises(UpstreamError) as caught:
        failures.raise_for_storage(status, "file bytes")
    assert type(caught.value) is kind


@pytest.mark.parametrize("status", [200, 206, 304, 416])
def test_partial_and_conditional_answers_of_storage_pass(status: int) -> None:
    failures.raise_for_storage(status, "file bytes")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param(name, answer["status"], id=name)
        for name, request, answer in recorded()
        if is_file_server(request)
    ],
)
def test_a_recorded_refusal_of_the_file_server_is_told(name: str, status: int) -> None:
    with pytest.raises(UpstreamResponseError):
        failures.raise_for_storage(status, name)
