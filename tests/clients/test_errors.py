"""The exception tree keeps what it is told and nothing longer."""

import inspect

import pytest

from clients import errors
from clients.errors import (
    ConflictError,
    InvalidInputError,
    RateLimitedError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    VaultUnavailableError,
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, UpstreamError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_carries_its_origin(kind: type[UpstreamError]) -> None:
    error = kind("why", service="flux", operation="op", status=500, upstream_code="c")
    assert (error.message, str(error)) == ("why", "why")
    origin = (error.service, error.operation, error.status, error.upstream_code)
    assert origin == ("flux", "op", 500, "c")


def test_every_kind_is_in_the_picture() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in drawn] == []


def test_a_message_is_cut_at_300_characters() -> None:
    error = UpstreamError("x" * 1000)
    assert (len(error.message), len(str(error))) == (300, 300)


def test_what_some_kinds_add() -> None:
    assert InvalidInputError("m", field="f", public_message="p").public_message == "p"
    assert ConflictError("m", field="f").field == "f"
    assert RateLimitedError("m", retry_after_s=1.5).retry_after_s == 1.5
    assert UpstreamTimeoutError("m", outcome_unknown=True).outcome_unknown
    assert not VaultUnavailableError("m").outcome_unknown
    assert issubclass(UpstreamTimeoutError, UpstreamUnavailableError)
    assert issubclass(VaultUnavailableError, UpstreamUnavailableError)
