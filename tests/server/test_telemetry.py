"""One log line per request, a request id, and no secret in either."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from door_harness import COOKIE, behind_the_door
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from clients.http import CallRecord
from server.answer import Answer, CommonHeaders
from server.cookies import LateSession
from server.head import Head
from server.logs import JSONFormatter, Line, LineHandler, blot
from server.security_headers import SecurityHeaders
from server.telemetry import log_request
from server.trace import RequestTrace, current_request_id, trace_of
from session.cookie import SessionCookie

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


class Heard(logging.Handler):
    """Any handler of an operator's own."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def only_ours(path: Path) -> Iterator[LineHandler]:
    """Our handler, which writes to `path`, without those of pytest."""
    root, logger = logging.getLogger(), logging.getLogger(LOGGER)
    before, root.handlers = root.handlers, []
    logger.setLevel(logging.INFO)
    with path.open("wb") as file:
        handler = LineHandler(file.fileno())
        root.addHandler(handler)
        try:
            yield handler
        finally:
            root.handlers = before
            logger.setLevel(logging.NOTSET)


def told(path: Path) -> list[dict[str, object]]:
    written = [json.loads(line) for line in path.read_text().splitlines()]
    return [{**line, "time": len(line["time"])} for line in written]


def test_a_line_is_the_same_with_a_record_and_without(tmp_path: Path) -> None:
    line = Line(logging.getLogger(LOGGER), logging.INFO, "request", ["calls"])
    calls = [CallRecord("flux", "notes page", 200, 1.25)]
    heard = Heard()
    with only_ours(tmp_path / "log"):
        line.write(calls)
        logging.getLogger().addHandler(heard)
        line.write(calls)
    without, with_one = told(tmp_path / "log")
    assert without == with_one
    assert list(without) == ["time", "level", "logger", "message", "calls"]
    assert without["time"] == len("2026-01-01T00:00:00.000+00:00")
    assert [record.getMessage() for record in heard.records] == ["request"]


def test_a_line_is_whole_though_a_pipe_takes_it_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda to, text: write(to, text[:7]))
    with only_ours(tmp_path / "log"):
        Line(logging.getLogger(LOGGER), logging.INFO, "request", ["status"]).write(200)
    assert [each["status"] for each in told(tmp_path / "log")] == [200]


@pytest.mark.parametrize("of_logger", [True, False])
def test_filters_are_asked_for_lines_too(tmp_path: Path, *, of_logger: bool) -> None:
    logger = logging.getLogger(LOGGER)
    line = Line(logger, logging.INFO, "request", ["status"])
    with only_ours(tmp_path / "log") as handler:
        chooser = logger if of_logger else handler

        def refuses(record: logging.LogRecord) -> bool:
            return False

        chooser.addFilter(refuses)
        line.write(200)
        chooser.removeFilter(refuses)
        line.write(201)
    assert [each["status"] for each in told(tmp_path / "log")] == [201]


def test_a_line_without_a_record_holds_no_secret(tmp_path: Path) -> None:
    secret = "eyJhbGciOi.eyJzdWIi.c2ln"
    common = CommonHeaders(SecurityHeaders(production=False))
    late = LateSession(SessionCookie(COOKIE), Head([]))
    answer = Answer(nobody, None, common, late, None, RequestTrace(secret))
    with only_ours(tmp_path / "log"):
        token = current_request_id.set(secret)
        log_request({"path": f"/{secret}", "method": "GET"}, answer, 0.001)
        current_request_id.reset(token)
    (line,) = told(tmp_path / "log")
    assert (line["requestId"], line["path"]) == ("[removed]", "/[removed]")
    assert secret not in str(line)


async def nobody(message: Message) -> None:
    raise AssertionError(message)


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
        trace_of(scope).calls.append(CallRecord("flux", "notes page", 200, 12.3))
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
