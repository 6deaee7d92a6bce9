"""One upstream down, slow or talking nonsense costs only the fields that need it."""

from typing import Any

import pytest

from harness import Caller, Sandbox

BOTH = "{ notes(first: 2) { nodes { body } } posts(first: 2) { nodes { title } } }"

FAULTS = pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ({"reset": True}, {"UPSTREAM_UNAVAILABLE"}),
        ({"status": 502, "body": "<html>proxy 10.1.2.3</html>"}, None),
        ({"status": 503, "body": {"error": "secret-internal.example"}}, None),
        ({"status": 504, "body": {"error": "upstream timeout"}}, None),
        (
            {"status": 500, "body": {"message": "db-7.internal exploded"}},
            {"UPSTREAM_ERROR"},
        ),
        ({"status": 200, "body": "<h1>welcome to nginx</h1>"}, None),
        ({"status": 200, "body": {"surprise": 1}}, None),
        ({"status": 404, "body": "<html>no</html>"}, None),
        ({"truncate": 10}, None),
    ],
)
UPSTREAMS = pytest.mark.parametrize(
    ("upstream", "path", "lost", "kept"),
    [
        ("flux", "/notes", "notes", "posts"),
        ("conduit", "/database/Post", "posts", "notes"),
    ],
)


@UPSTREAMS
@FAULTS
async def test_a_failing_upstream_costs_only_its_own_field(
    first: Caller,
    sandbox: Sandbox,
    upstream: str,
    path: str,
    lost: str,
    kept: str,
    fault: dict[str, Any],
    codes: set[str] | None,
) -> None:
    sandbox.fail(upstream, path, **fault)
    response = await first.post({"query": BOTH})
    answer = response.json()
    assert response.status_code == 200
    assert answer["data"][lost] is None
    assert len(answer["data"][kept]["nodes"]) == 2
    (error,) = answer["errors"]
    assert error["path"] == [lost]
    assert error["extensions"]["service"] == upstream
    assert error["extensions"]["requestId"]
    code = error["extensions"]["code"]
    assert code.startswith("UPSTREAM_")
    assert codes is None or code in codes
    for word in ("10.1.2.3", "internal", "nginx", "surprise", "<", "127.0.0.1"):
        assert word not in response.text


@UPSTREAMS
async def test_a_hanging_upstream_is_given_up_within_its_time_out(
    sandbox: Sandbox, upstream: str, path: str, lost: str, kept: str
) -> None:
    from harness import caller_of, running_app

    environment = sandbox.environment | {"UPSTREAM_TIMEOUT_S": "1"}
    async with running_app(environment) as app, caller_of(app) as caller:
        await caller.sign_in()
        sandbox.fail(upstream, path, hang=True)
        answer = await caller(BOTH)
    assert answer["data"][lost] is None
    assert len(answer["data"][kept]["nodes"]) == 2
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_TIMEOUT"


@pytest.mark.parametrize(
    "message", ["Not found", "round_robin: No connection established. Last error: x"]
)
async def test_a_module_that_is_starting_or_down_is_not_a_missing_post(
    first: Caller, sandbox: Sandbox, message: str
) -> None:
    nodes = (await first.data("{ posts(first: 1) { nodes { id } } }"))["posts"]["nodes"]
    status = 404 if message == "Not found" else 500
    body = {"name": "X", "status": status, "message": message}
    sandbox.fail("conduit", "/database", status=status, body=body)
    answer = await first("query ($id: ID!) { post(id: $id) { id } }", **nodes[0])
    assert answer["data"] == {"post": None}
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"


async def test_a_read_is_repeated_once_after_a_reset(
    first: Caller, sandbox: Sandbox
) -> None:
    sandbox.fail("flux", "/notes", reset=True, times=1)
    data = await first.data("{ notes(first: 1) { nodes { body } } }")
    assert len(data["notes"]["nodes"]) == 1
    assert len(sandbox.calls()) == 2


async def test_a_rate_limit_is_told_with_its_code(
    first: Caller, sandbox: Sandbox
) -> None:
    sandbox.fail("flux", "/notes", status=429, body={"error": "rate limit exceeded"})
    answer = await first(BOTH)
    assert answer["data"]["notes"] is None
    assert answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


async def test_an_empty_redis_reads_as_signed_out(
    first: Caller, sandbox: Sandbox
) -> None:
    import redis

    redis.Redis.from_url(sandbox.redis).flushall()
    answer = await first("{ viewer { email } notes { nodes { body } } }")
    assert answer["data"] == {"viewer": None, "notes": None}
    assert [e["extensions"]["code"] for e in answer["errors"]] == ["UNAUTHENTICATED"]
    assert sandbox.calls() == []
