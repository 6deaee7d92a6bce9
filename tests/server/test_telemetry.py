"""One log line per request, a request id, and no secret in either."""

import json
import logging

import httpx
import pytest
from door_harness import behind_the_door
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from clients.http import CallRecord
from server.logs import JSONFormatter, Line, blot
from server.trace import trace_of

LOGGER = "mainstem.request"


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    formatter = JSONFormatter()
    return [
        json.loads(formatter.format(record))
        for record in caplog.records
        if record.name == LOGGER
    ]


async def test_the_line_tells_what_happened_and_holds_no_secret(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await http.post(
        "/graphql?key=private-1",
        json={
            "query": "query Home { notes { nodes { id } } }",
            "operationName": "Home",
            "variables": {"a": "private-2"},
        },
        headers={"cookie": "conduit_session=private-3"},
    )
    (line,) = lines(caplog)
    assert line["method"] == "POST"
    assert line["path"] == "/graphql"
    assert line["status"] == 200
    assert line["operation"] == "Home"
    assert line["errorCodes"] == ["UNAUTHENTICATED"]
    assert line["upstreamCalls"] == []
    assert float(str(line["durationMs"])) > 0
    assert "private" not in json.dumps(line)


async def test_an_id_is_made_or_taken_if_it_is_sound(http: httpx.AsyncClient) -> None:
    given = "trace-0123456789"
    for sent, taken in ((given, True), ("a\tb" * 5, False), ("x" * 65, False)):
        response = await http.get("/health/live", headers={"x-request-id": sent})
        assert (response.headers["x-request-id"] == sent) is taken
    answer = await http.post(
        "/graphql", json={"query": "{"}, headers={"x-request-id": given}
    )
    assert answer.json()["errors"][0]["extensions"]["requestId"] == given


def test_a_record_has_all_that_logging_puts_into_one() -> None:
    line = Line(logging.getLogger(LOGGER), logging.INFO, "request")
    ours = line.record({"status": 200})
    theirs = logging.getLogger(LOGGER).makeRecord(
        LOGGER, logging.INFO, "", 0, "request", (), None, extra={"fields": {}}
    )
    assert set(vars(ours)) == set(vars(theirs))
    assert abs(ours.created - theirs.created) < 1
    assert logging.Formatter("%(levelname)s %(asctime)s %(message)s").format(ours)
    told = json.loads(JSONFormatter().format(ours))
    assert (told["level"], told["logger"]) == ("INFO", LOGGER)
    assert (told["message"], told["status"]) == ("request", 200)


async def test_an_operation_name_that_is_none_is_not_logged(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await http.post(
        "/graphql", json={"query": "{ __typename }", "operationName": "x\n{evil}"}
    )
    assert lines(caplog)[0]["operation"] is None


async def test_probes_are_not_in_the_log(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await http.get("/health/live")
    assert lines(caplog) == []


class Failing:
    def __init__(self, *, after_start: bool) -> None:
        self._after_start = after_start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trace_of(scope).calls.append(CallRecord("flux", "notes page", 200, 0.0123))
        if self._after_start:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("private: http://10.0.0.1/?token=eyJhbGciOi.eyJzdWIi.sig")


def failing_app(*, after_start: bool) -> Starlette:
    return behind_the_door(Route("/", Failing(after_start=after_start)))


async def test_an_unexpected_failure_is_a_masked_500_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    transport = httpx.ASGITransport(failing_app(after_start=False))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        response = await client.get("/")
    assert response.status_code == 500
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert error["extensions"]["requestId"] == response.headers["x-request-id"]
    assert "private" not in response.text
    failure, request = lines(caplog)
    assert request["status"] == 500
    assert "RuntimeError" in str(failure["exception"])
    assert "eyJzdWIi" not in str(failure)


async def test_a_failure_after_the_start_cuts_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = httpx.ASGITransport(failing_app(after_start=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        with pytest.raises(RuntimeError):
            await client.get("/")


@pytest.mark.parametrize(
    "text",
    [
        "Fe26.2*1*aa*bb*cc**dd*ee~2",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "Authorization: Bearer c2VjcmV0c2VjcmV0",
        "http://files/a?expires=1&sig=c2VjcmV0",
        "https://s3/a?X-Amz-Signature=c2VjcmV0&b=1",
        "redis://user:c2VjcmV0@host:6379",
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(text: str) -> None:
    assert "[removed]" in blot(text)
    assert not any(each in blot(text) for each in ("c2Vjcm", "eyJz", "*1*", "c2ln"))
