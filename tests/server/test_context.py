"""Whose address counts when proxies stand in front."""

from unittest.mock import MagicMock

import pytest
from starlette.types import Scope

from server.context import client_address, request_context
from server.head import HEAD, Head
from server.trace import start_trace
from session.session import Session


def scope(*forwarded: str, peer: str = "10.0.0.9") -> Scope:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    return {"type": "http", "client": (peer, 1), HEAD: Head(headers)}


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, ("1.1.1.1",), "10.0.0.9"),
        (1, (), "10.0.0.9"),
        (1, ("1.1.1.1",), "1.1.1.1"),
        (1, ("6.6.6.6, 1.1.1.1",), "1.1.1.1"),
        (1, ("6.6.6.6", "1.1.1.1"), "1.1.1.1"),
        (2, ("6.6.6.6, 1.1.1.1, 10.0.0.8",), "1.1.1.1"),
        (2, ("1.1.1.1",), "10.0.0.9"),
    ],
)
def test_only_what_our_own_proxies_appended_is_believed(
    hops: int, forwarded: tuple[str, ...], expected: str
) -> None:
    assert client_address(scope(*forwarded), hops) == expected


def test_a_connection_without_an_address_has_none() -> None:
    assert client_address({"type": "http", "client": None}, 0) is None


@pytest.mark.parametrize("forged", ["nonsense", "1.1.1.1\r\nX: y", "", "unknown"])
def test_what_is_no_address_is_not_passed_on(forged: str) -> None:
    assert client_address(scope(f"{forged}"), 1) == "10.0.0.9"


def test_a_context_shows_no_header_of_its_request() -> None:
    """Tried with the scope in the place of its head: the cookie was shown."""
    headers = [(b"cookie", b"secret"), (b"authorization", b"secret")]
    headers.append((b"user-agent", b"Firefox"))
    resources = MagicMock(cost_budget=None)
    resources.settings = MagicMock(deadline_s=1.0)
    resources.settings.guard.trusted_proxy_hops = 0
    resources.loop.time.return_value = 0.0
    asked: Scope = {"app": MagicMock(resources=resources), "headers": headers}
    asked[HEAD] = Head(headers)
    start_trace(asked, asked[HEAD])
    context = request_context(asked, Session())
    assert "secret" not in repr(context)
    assert context.user_agent() == "Firefox"
