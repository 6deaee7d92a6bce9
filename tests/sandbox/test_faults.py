"""`sandbox.faults` over real sockets: what is recorded, and each way to fail."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
from serving import NO_TLS, served
from starlette.types import Receive, Scope, Send

from sandbox.faults import Fault, FaultyUpstream


class Counter:
    """An application that counts its work and answers with the count."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.calls += 1
        answer = b'{"calls": %d, "length": %d}' % (self.calls, len(body))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


@pytest.fixture(params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def work() -> Counter:
    return Counter()


@pytest.fixture
async def upstream(work: Counter, http: str) -> AsyncIterator[httpx.AsyncClient]:
    app = FaultyUpstream(work, recent=3)
    config = uvicorn.Config(app, http=http, lifespan="off", log_config=None)
    async with (
        served(app, config) as base_url,
        httpx.AsyncClient(base_url=base_url, timeout=5, verify=NO_TLS) as client,
    ):
        yield client
        app.faults.clear()


async def fail(client: httpx.AsyncClient, **fault: object) -> None:
    answer = await client.post("/_sandbox/faults", json={"path": "/work", **fault})
    assert answer.status_code == 201, answer.text


async def recorded(client: httpx.AsyncClient) -> list[dict[str, object]]:
    answer = await client.get("/_sandbox/requests")
    result: list[dict[str, object]] = answer.json()
    return result


async def test_records_requests_without_their_secrets(
    upstream: httpx.AsyncClient,
) -> None:
    await upstream.get(
        "/work?limit=5&sig=s3cret", headers={"Authorization": "Bearer s3cret"}
    )
    everything = (await upstream.get("/_sandbox/requests")).text
    (request,) = await recorded(upstream)
    assert "s3cret" not in everything
    assert (request["method"], request["path"], request["status"]) == (
        "GET",
        "/work",
        200,
    )
    assert request["query"] == "limit=5&sig=<hidden>"
    assert request["headers"]["authorization"] == "Bearer <hidden>"  # type: ignore[index]


async def test_keeps_only_the_recent_requests_and_forgets_on_demand(
    upstream: httpx.AsyncClient,
) -> None:
    for number in range(5):
        await upstream.get(f"/work/{number}")
    kept = [request["path"] for request in await recorded(upstream)]
    await upstream.delete("/_sandbox/requests")
    assert kept == ["/work/2", "/work/3", "/work/4"]
    assert await recorded(upstream) == []


async def test_answers_with_the_status_and_body_asked_for_as_often_as_asked(
    upstream: httpx.AsyncClient, work: Counter
) -> None:
    await fail(
        upstream, status=503, body={"no": 1}, headers={"Retry-After": "1"}, times=2
    )
    first, second, third = [await upstream.post("/work/1") for _ in range(3)]
    assert (first.status_code, first.json()) == (503, {"no": 1})
    assert first.headers["retry-after"] == "1"
    assert (second.status_code, third.status_code) == (503, 200)
    assert work.calls == 1


async def test_a_text_body_is_sent_as_html(upstream: httpx.AsyncClient) -> None:
    await fail(upstream, body="<html>")
    answer = await upstream.get("/work")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == "<html>"


async def test_matches_by_method_and_by_regular_expression(
    upstream: httpx.AsyncClient,
) -> None:
    await fail(upstream, path=r"^/work/\d+$", method="post", status=500)
    statuses = [
        (await upstream.post("/work/12")).status_code,
        (await upstream.get("/work/12")).status_code,
        (await upstream.post("/work/x")).status_code,
    ]
    assert statuses == [500, 200, 200]


async def test_reset_closes_without_an_answer(
    upstream: httpx.AsyncClient, work: Counter
) -> None:
    await fail(upstream, reset=True, times=1)
    with pytest.raises(httpx.ReadError):
        await upstream.post("/work", content=b"x" * 100_000)
    assert work.calls == 0
    assert (await recorded(upstream))[0]["status"] is None
    assert (await upstream.get("/work")).status_code == 200


async def test_after_the_work_the_write_is_done_but_its_answer_lost(
    upstream: httpx.AsyncClient, work: Counter
) -> None:
    await fail(upstream, reset=True, after="after")
    with pytest.raises(httpx.ReadError):
        await upstream.post("/work", json={})
    assert work.calls == 1


async def test_delay_holds_the_true_answer_back(upstream: httpx.AsyncClient) -> None:
    await fail(upstream, delay_s=0.2)
    started = time.monotonic()
    answer = await upstream.post("/work", content=b"abc")
    assert answer.json() == {"calls": 1, "length": 3}
    assert time.monotonic() - started >= 0.2


async def test_hang_lasts_until_the_client_gives_up(
    upstream: httpx.AsyncClient,
) -> None:
    await fail(upstream, hang=True)
    with pytest.raises(httpx.ReadTimeout):
        await upstream.get("/work", timeout=0.2)


async def test_clearing_the_faults_lets_go_of_what_hangs(
    upstream: httpx.AsyncClient,
) -> None:
    await fail(upstream, hang=True)
    hanging = asyncio.create_task(upstream.get("/work"))
    await asyncio.sleep(0.1)
    await upstream.delete("/_sandbox/faults")
    with pytest.raises(httpx.ReadError):
        await hanging
    assert (await upstream.get("/work")).status_code == 200


async def test_one_of_several_that_stand_together_clears_all(work: Counter) -> None:
    together: list[FaultyUpstream] = []
    apps = [FaultyUpstream(work, together=together) for _ in range(2)]
    async with (
        served(apps[0]) as asked,
        served(apps[1]) as other,
        httpx.AsyncClient(verify=NO_TLS) as client,
    ):
        apps[1].faults.add(Fault("/", status=503))
        first = await client.get(f"{other}/work")
        await client.delete(f"{asked}/_sandbox/all/requests")
        assert not apps[1].requests
        await client.delete(f"{asked}/_sandbox/all/faults")
        second = await client.get(f"{other}/work")
    assert (first.status_code, second.status_code) == (503, 200)


async def test_truncate_cuts_the_body_short(upstream: httpx.AsyncClient) -> None:
    await fail(upstream, truncate=5)
    async with upstream.stream("GET", "/work") as answer:
        parts = answer.aiter_raw()
        received = await anext(parts)
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(parts)
    assert (answer.status_code, received) == (200, b'{"cal')


@pytest.mark.parametrize(
    "fault",
    [
        {"pth": "/"},
        {"path": "["},
        {"path": "/", "after": "never"},
        {},
        [],
        {"times": 0},
    ],
)
async def test_refuses_a_fault_that_it_does_not_understand(
    upstream: httpx.AsyncClient, fault: object
) -> None:
    answer = await upstream.post("/_sandbox/faults", json=fault)
    assert answer.status_code == 400
    assert (await upstream.get("/_sandbox/faults")).json() == []


async def test_in_process_a_reset_is_a_connection_error(work: Counter) -> None:
    app = FaultyUpstream(work)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        await fail(client, reset=True)
        with pytest.raises(ConnectionResetError):
            await client.get("/work")
