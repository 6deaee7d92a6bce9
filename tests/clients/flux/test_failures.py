"""Every refusal that was recorded of Flux is one exception of ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
from clients.flux import failures
from clients.http import Response

RECORDINGS = Path(__file__).parents[2] / "recordings" / "flux"

UNAVAILABLE, TIMEOUT = UpstreamUnavailableError, UpstreamTimeoutError
MISCONFIGURED, NONSENSE = UpstreamMisconfiguredError, UpstreamResponseError
# (status, code or text of the gateway, or how the body looks) → what it means.
EXPECTED: dict[tuple[int, str], type[UpstreamError]] = {
    (400, "22003"): InvalidInputError,
    (400, "22007"): InvalidInputError,
    (400, "22012"): InvalidInputError,
    (400, "22P02"): InvalidInputError,
    (400, "22P05"): InvalidInputError,
    (400, "22023"): MISCONFIGURED,
    (401, "22023"): MISCONFIGURED,
    (400, "23502"): InvalidInputError,
    (400, "23514"): InvalidInputError,
    (400, "2F004"): NONSENSE,
    (400, "42703"): MISCONFIGURED,
    (400, "42P10"): NONSENSE,
    (400, "application/json"): NONSENSE,
    (400, "P0001"): InvalidInputError,
    (400, "PGRST200"): MISCONFIGURED,
    (400, "PGRST204"): MISCONFIGURED,
    (400, "text/plain"): NONSENSE,
    (401, "42501"): NotAuthenticatedError,
    (401, "PGRST301"): NotAuthenticatedError,
    (401, "PGRST303"): NotAuthenticatedError,
    (401, "authorization required"): NotAuthenticatedError,
    (401, "invalid or expired token"): NotAuthenticatedError,
    (402, "PT402"): NONSENSE,
    (403, "28000"): PermissionDeniedError,
    (403, "42501"): PermissionDeniedError,
    (404, "42883"): MISCONFIGURED,
    (404, "42P01"): MISCONFIGURED,
    (404, "PGRST125"): MISCONFIGURED,
    (404, "PGRST202"): MISCONFIGURED,
    (404, "PGRST205"): MISCONFIGURED,
    (404, "application/json"): MISCONFIGURED,
    (404, "not found"): MISCONFIGURED,
    (404, "tenant not found"): UNAVAILABLE,
    (405, "25006"): NONSENSE,
    (406, "PGRST106"): MISCONFIGURED,
    (409, "23503"): ConflictError,
    (409, "23505"): ConflictError,
    (414, "text/html"): NONSENSE,
    (429, "rate limit exceeded"): RateLimitedError,
    (431, "none"): NONSENSE,
    (500, "21000"): UpstreamError,
    (500, "42P17"): UpstreamError,
    (500, "53400"): UNAVAILABLE,
    (500, "55000"): UpstreamError,
    (500, "55P03"): UpstreamError,
    (500, "57014"): TIMEOUT,
    (500, "P0002"): UpstreamError,
    (500, "XX000"): UpstreamError,
    (500, "text/plain"): UpstreamError,
    (502, "project mode"): MISCONFIGURED,
    (502, "text/html"): UNAVAILABLE,
    (502, "upstream error"): UNAVAILABLE,
    (503, "08006"): UNAVAILABLE,
    (503, "53300"): UNAVAILABLE,
    (503, "57P01"): UNAVAILABLE,
    (503, "PGRST002"): UNAVAILABLE,
    (503, "application/json"): UNAVAILABLE,
    (503, "gateway overloaded"): UNAVAILABLE,
    (503, "project is dormant"): UNAVAILABLE,
    (503, "project is migrating"): UNAVAILABLE,
    (503, "project jwt_secret missing"): MISCONFIGURED,
    (504, "PGRST003"): TIMEOUT,
    (504, "upstream timeout"): TIMEOUT,
}


def exchanges() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for file in sorted(RECORDINGS.glob("*.json")):
        for exchange in json.loads(file.read_text())["exchanges"]:
            for key in ("response", "response_12", "response_14"):
                if key in exchange:
                    name = f"{file.stem}: {exchange['name']} {key}"
                    yield name, exchange["request"], exchange[key]


def as_response(request: dict[str, Any], recorded: dict[str, Any]) -> Response:
    headers = {k.lower(): str(v) for k, v in (recorded.get("headers") or {}).items()}
    if recorded.get("body") is not None:
        body = json.dumps(recorded["body"]).encode()
    else:
        body = (recorded.get("body_text") or "").encode()
    writes = request["method"] not in ("GET", "HEAD")
    return Response(recorded["status"], headers, body, "flux", "operation", writes)


REFUSALS = [
    pytest.param(as_response(request, recorded), id=name)
    for name, request, recorded in exchanges()
    if recorded["status"] >= 300
]


def expected_key(response: Response) -> str:
    """The longest key of the table above that fits; else the request's own fault."""
    try:
        body = json.loads(response.body)
    except ValueError:
        body = {}
    seen: str = body.get("code") or body.get("error") or response.media_type or "none"
    keys = [
        key
        for status, key in EXPECTED
        if status == response.status and seen.startswith(key)
    ]
    return max(keys, key=len, default=seen)


def expected_for(response: Response) -> type[UpstreamError]:
    """By the table above; requests that we would never build are plain mistakes."""
    key = expected_key(response)
    if key.startswith("PGRST1") and (response.status, key) not in EXPECTED:
        return UpstreamError
    return EXPECTED[response.status, key]


def test_every_expectation_is_about_a_recording() -> None:
    seen = {
        (response.status, key)
        for (response,) in (param.values for param in REFUSALS)
        if isinstance(response, Response)
        for key in (expected_key(response),)
    }
    assert set(EXPECTED) - seen == set()


def raised(response: Response, *, token_is_ours: bool = False) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        failures.raise_for_failure(response, token_is_ours=token_is_ours)
    return caught.value


def test_there_are_refusals_to_look_at() -> None:
    assert len(REFUSALS) > 200


@pytest.mark.parametrize("response", REFUSALS)
def test_a_recorded_refusal_is_the_exception_expected(response: Response) -> None:
    error = raised(response)
    assert type(error) is expected_for(response)
    assert (error.service, error.operation) == ("flux", "operation")
    assert error.status == response.status
    assert len(error.message) <= 300


@pytest.mark.parametrize("response", REFUSALS)
def test_nothing_of_the_upstream_s_text_is_in_what_may_be_shown(
    response: Response,
) -> None:
    error = raised(response)
    if isinstance(error, InvalidInputError):
        assert error.public_message in {
            "This value is not accepted.",
            "This field must have a value.",
            "This text is too long.",
        }
    assert getattr(error, "field", None) in {None, "id", "body", "postId"}


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(as_response(request, recorded), id=name)
        for name, request, recorded in exchanges()
        if 200 <= recorded["status"] < 300
    ],
)
def test_a_recorded_success_is_none(response: Response) -> None:
    failures.raise_for_failure(response, token_is_ours=True)
    assert not failures.token_refused(response)


@pytest.mark.parametrize("response", REFUSALS)
def test_a_token_is_refused_exactly_when_nobody_is_authenticated(
    response: Response,
) -> None:
    refused = failures.token_refused(response)
    assert refused == (expected_for(response) is NotAuthenticatedError)
    if refused:
        ours = raised(response, token_is_ours=True)
        assert type(ours) is UpstreamMisconfiguredError
        assert "FLUX_JWT_SECRET" in ours.message


def refusal(
    status: int,
    body: object = None,
    *,
    writes: bool = False,
    media: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    all_headers = {"content-type": media, **(headers or {})}
    return Response(status, all_headers, raw, "flux", "operation", writes)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"code": "23502", "message": 'null value in column "body" of x'}, "body"),
        ({"code": "23503", "details": "Key (post_id)=(1) is not there"}, "postId"),
        ({"code": "23502", "message": 'null value in column "secret" of x'}, None),
        ({"code": "22P02", "message": "invalid input"}, None),
    ],
)
def test_only_columns_of_ours_are_named(body: object, field: str | None) -> None:
    error = raised(refusal(400, body))
    assert isinstance(error, InvalidInputError | ConflictError)
    assert error.field == field


def test_details_that_are_a_list_do_not_hide_the_code() -> None:
    """PGRST201: which relation is meant is ambiguous."""
    error = raised(refusal(300, {"code": "PGRST201", "details": [{"a": 1}]}))
    assert (type(error), error.upstream_code) == (MISCONFIGURED, "PGRST201")


@pytest.mark.parametrize(
    ("status", "body", "unknown"),
    [
        (504, {"error": "upstream timeout"}, True),
        (502, {"error": "upstream error"}, True),
        (502, b"<html>", True),
        (503, {"code": "08006"}, True),
        (500, {"code": "57014"}, False),
        (504, {"code": "PGRST003"}, False),
        (503, {"code": "PGRST001"}, False),
        (503, {"error": "gateway overloaded, retry later"}, False),
    ],
)
def test_which_writes_are_in_doubt(status: int, body: object, unknown: bool) -> None:
    media = "text/html" if isinstance(body, bytes) else "application/json"
    write = raised(refusal(status, body, writes=True, media=media))
    read = raised(refusal(status, body, media=media))
    assert isinstance(write, UpstreamUnavailableError)
    assert isinstance(read, UpstreamUnavailableError)
    assert (write.outcome_unknown, read.outcome_unknown) == (unknown, False)


@pytest.mark.parametrize(
    ("value", "expected"), [("7", 7.0), ("0", 0.0), ("soon", None), ("", None)]
)
def test_the_wait_asked_for_is_told(value: str, expected: float | None) -> None:
    error = raised(refusal(429, {"error": "x"}, headers={"retry-after": value}))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == expected


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, NotAuthenticatedError),
        (403, PermissionDeniedError),
        (404, UpstreamMisconfiguredError),
        (429, RateLimitedError),
        (500, UpstreamError),
        (503, UpstreamUnavailableError),
        (504, UpstreamTimeoutError),
    ],
)
def test_a_head_without_a_body_is_told_by_its_status(
    status: int, kind: type[UpstreamError]
) -> None:
    assert type(raised(refusal(status, b"", media=""))) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, UpstreamResponseError),
        (400, UpstreamResponseError),
        (401, UpstreamResponseError),
        (403, UpstreamResponseError),
        (404, UpstreamMisconfiguredError),
        (500, UpstreamError),
    ],
)
def test_a_page_of_html_is_told_by_its_status(
    status: int, kind: type[UpstreamError]
) -> None:
    assert type(raised(refusal(status, b"<html>x", media="text/html"))) is kind


@pytest.mark.parametrize("body", [b'{"code": "42501', b"[]", b'{"code": 5}', b"\xff"])
def test_a_broken_body_is_told_by_its_status(body: bytes) -> None:
    assert type(raised(refusal(503, body))) is UpstreamUnavailableError


@pytest.mark.parametrize("table", [failures.GATEWAY, failures.CODES])
def test_every_row_names_its_source(table: tuple[failures.Failure, ...]) -> None:
    assert all(row.key and row.recording for row in table)


def test_every_row_is_reached_by_a_recording() -> None:
    """Rows without a recording say so, and are listed here."""
    reached = {
        id(failures._row(response, failures._body(response)))
        for (response,) in (param.values for param in REFUSALS)
        if isinstance(response, Response)
    }
    rows = (*failures.GATEWAY, *failures.CODES)
    unreached = {row.key for row in rows if id(row) not in reached}
    assert unreached == {"22001", "PGRST302"}
