"""Accounts: what goes over the wire, and what each refusal becomes."""

import pytest
from clients_harness import Script, Upstream, answer, reset

from clients.conduit.client import ConduitClient
from clients.conduit.records import ConduitUser, ConduitViewer, TokenPair
from clients.errors import (
    ConflictError,
    InvalidCredentialsError,
    InvalidInputError,
    NotAuthenticatedError,
    PermissionDeniedError,
    UpstreamError,
    UpstreamMisconfiguredError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from clients.http import CallScope

ID = "ec166ec8-13c3-4719-a71f-e1a22fff5bc3"
USER = {
    "_id": ID,
    "email": "alice@example.com",
    "username": None,
    "google": {"id": "1", "token": "provider-secret"},
}
PAIR = {"accessToken": "new-access", "refreshToken": "new/refresh+=="}


def module_error(status: int, message: str, **more: str) -> Script:
    return answer(status, {"name": "X", "status": status, "message": message, **more})


async def test_sign_up_makes_an_account_and_no_session(
    upstream: Upstream, conduit: ConduitClient, scope: CallScope
) -> None:
    upstream.script(answer(200, {"user": USER}))
    user = await conduit.authentication.sign_up("alice@example.com", "pw", scope)
    assert user == ConduitUser(ID, None)
    seen = upstream.only
    assert (seen.method, seen.target) == ("POST", "/authentication/local/new")
    assert seen.json == {"email": "alice@example.com", "password": "pw"}
    assert "authorization" not in seen.headers


@pytest.mark.parametrize(
    ("script", "kind", "field"),
    [
        (
            module_error(500, "User already exists", conduitCode="USER_EXISTS"),
            ConflictError,
            "email",
        ),
        (
            module_error(400, "Invalid email address provided"),
            InvalidInputError,
            "email",
        ),
    ],
)
async def test_a_refused_sign_up_names_the_field(
    upstream: Upstream,
    conduit: ConduitClient,
    scope: CallScope,
    script: Script,
    kind: type[UpstreamError],
    field: str,
) -> None:
    upstream.script(script)
    with pytest.raises(kind) as caught:
        await conduit.authentication.sign_up("alice@example.com", "pw", scope)
    assert getattr(caught.value, "field", None) == field


async def test_sign_in_gives_a_pair_that_does_not_show_itself(
    upstream: Upstream, conduit: ConduitClient, scope: CallScope
) -> None:
    upstream.script(answer(200, PAIR))
    pair = await conduit.authentication.sign_in("a@b.c", "pw", scope)
    assert pair == TokenPair("new-access", "new/refresh+==")
    assert "new" not in repr(pair)
    assert "new" not in str(pair)
    assert upstream.only.target == "/authentication/local"


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (module_error(401, "Invalid login credentials"), InvalidCredentialsError),
        (module_error(403, "Inactive user"), PermissionDeniedError),
        (answer(200, {}), UpstreamMisconfiguredError),
        (answer(200, {"accessToken": 5, "refreshToken": "r"}), UpstreamResponseError),
    ],
)
async def test_a_refused_sign_in_is_told_and_quotes_no_token(
    upstream: Upstream,
    conduit: ConduitClient,
    scope: CallScope,
    script: Script,
    kind: type[UpstreamError],
) -> None:
    upstream.script(script)
    with pytest.raises(kind) as caught:
        await conduit.authentication.sign_in("a@b.c", "pw", scope)
    assert type(caught.value) is kind
    assert '"r"' not in caught.value.message


async def test_renew_sends_the_refresh_token_as_bearer(
    upstream: Upstream, conduit: ConduitClient, scope: CallScope
) -> None:
    upstream.script(answer(200, PAIR))
    pair = await conduit.authentication.renew("old/refresh+==", scope)
    assert pair.access_token == "new-access"
    seen = upstream.only
    assert (seen.method, seen.target) == ("POST", "/authentication/renew")
    assert seen.headers["authorization"] == "Bearer old/refresh+=="
    assert seen.body == b""


@pytest.mark.parametrize(
    "script",
    [
        module_error(400, "Refresh token not found"),
        module_error(400, "Token expired"),
        module_error(400, "Something new"),
        module_error(401, "No 'Authorization' header or 'refreshToken' cookie present"),
        module_error(403, "User is blocked"),
    ],
)
async def test_a_refused_renewal_means_signed_out(
    upstream: Upstream, conduit: ConduitClient, scope: CallScope, script: Script
) -> None:
    upstream.script(script)
    with pytest.raises(NotAuthenticatedError) as caught:
        await conduit.authentication.renew("old", scope)
    assert caught.value.operation == "renew"
    assert len(upstream.seen) == 1


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (module_error(500, "Operation timeout"), UpstreamTimeoutError),
        (module_error(500, "round_robin: No connection"), UpstreamUnavailableError),
        (module_error(404, "Not found"), UpstreamUnavailableError),
        (
            answer(401, b"Unauthorized", content_type="text/html"),
            UpstreamMisconfiguredError,
        ),
        (answer(502, b"<html>", content_type="text/html"), UpstreamUnavailableError),
        (reset, UpstreamUnavailableError),
    ],
)
async def test_a_renewal_that_failed_otherwise_keeps_its_own_failure(
    upstream: Upstream,
    conduit: ConduitClient,
    scope: CallScope,
    script: Script,
    kind: type[UpstreamError],
) -> None:
    upstream.script(script)
    with pytest.raises(UpstreamError) as caught:
        await conduit.authentication.renew("old", scope)
    assert type(caught.value) is kind
    assert len(upstream.seen) == 1


async def test_sign_out_sends_the_access_token(
    upstream: Upstream, conduit: ConduitClient, scope: CallScope
) -> None:
    upstream.script(answer(200, {"result": "LoggedOut"}))
    await conduit.authentication.sign_out("access", scope)
    seen = upstream.only
    assert (seen.method, seen.target) == ("POST", "/authentication/logout")
    assert seen.headers["authorization"] == "Bearer access"


async def test_sign_out_of_a_dead_session_is_told(
    upstream: Upstream, conduit: ConduitClient, scope: CallScope
) -> None:
    upstream.script(module_error(401, "Token has been revoked or there is a mismatch"))
    with pytest.raises(NotAuthenticatedError):
        await conduit.authentication.sign_out("access", scope)
    assert len(upstream.seen) == 1


async def test_the_viewer_is_three_fields_of_the_user(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, USER))
    viewer = await conduit.viewer()
    assert viewer == ConduitViewer(ID, "alice@example.com", None)
    seen = upstream.only
    assert seen.target == "/authentication/user"
    assert seen.headers["authorization"] == "Bearer token-1"


async def test_check_asks_the_router_whether_it_is_ready(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"result": "Conduit is online!"}))
    assert (await conduit.check()).status == 200
    assert upstream.only.target == "/ready"
