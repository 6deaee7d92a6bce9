"""The port to the network over real sockets: time-outs, breaks, bounds, tokens."""

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import replace
from types import TracebackType
from typing import cast

import pytest
from clients_harness import (
    LIMITS,
    Script,
    Seen,
    Tokens,
    Upstream,
    answer,
    background,
    close,
    hang,
    raw,
    reset,
)

from clients.errors import (
    InvalidInputError,
    UpstreamError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from clients.http import (
    LONGEST_PAUSE_S,
    CallScope,
    Response,
    TransportName,
    UpstreamHTTP,
)
from clients.transports import TRANSPORTS


@pytest.fixture(params=TRANSPORTS)
def transport_name(request: pytest.FixtureRequest) -> TransportName:
    """All that is claimed here holds over each transport."""
    return cast(TransportName, request.param)


async def get(http: UpstreamHTTP, scope: CallScope) -> Response:
    return await http.send("GET", "/things?x=1", operation="things", scope=scope)


async def post(http: UpstreamHTTP, scope: CallScope) -> Response:
    return await http.send(
        "POST", "/things", operation="make", scope=scope, json={"a": "ä"}
    )


async def test_sends_path_query_headers_and_json(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(201, {"ok": True}, {"Content-RANGE": "*/1 "}))
    http = upstream.http()
    response = await http.send(
        "POST",
        "/things?a=%2B",
        operation="make",
        scope=scope,
        headers={"Prefer": "p"},
        json={"a": "ä"},
    )
    assert (response.status, response.json()) == (201, {"ok": True})
    assert response.headers["content-range"] == "*/1"
    seen = upstream.only
    assert (seen.method, seen.target) == ("POST", "/things?a=%2B")
    assert seen.body == '{"a":"ä"}'.encode()
    assert seen.headers["prefer"] == "p"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept-encoding"] == "identity"
    assert "authorization" not in seen.headers


async def test_a_body_of_nothing_is_no_body(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(204))
    await upstream.http().send("DELETE", "/things", operation="drop", scope=scope)
    assert "content-type" not in upstream.only.headers


async def test_every_call_is_recorded_with_its_status(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(404), close)
    http = upstream.http()
    await get(http, scope)
    with pytest.raises(UpstreamUnavailableError):
        await post(http, scope)
    assert [(call.service, call.operation, call.status) for call in scope.calls] == [
        ("flux", "things", 404),
        ("flux", "make", None),
    ]
    assert all(call.ms > 0 for call in scope.calls)


async def test_keeps_one_connection_for_calls_in_turn(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer())
    http = upstream.http()
    for _ in range(5):
        await get(http, scope)
    assert upstream.connections == 1


async def test_opens_no_more_connections_than_allowed(
    upstream: Upstream, scope: CallScope
) -> None:
    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.01)
        return await answer()(seen, writer)

    upstream.script(slowly)
    http = upstream.http(replace(LIMITS, max_connections=3))
    await asyncio.gather(*(get(http, scope) for _ in range(30)))
    assert upstream.connections == 3


async def test_an_idle_connection_is_given_up_before_the_upstream_closes_it(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer())
    http = upstream.http(replace(LIMITS, keepalive_s=0.05))
    await get(http, scope)
    await asyncio.sleep(0.1)
    await get(http, scope)
    assert upstream.connections == 2


@pytest.mark.parametrize("breaks", [reset, close, raw(b"HTTP/1.1 200 OK\r\nContent-")])
async def test_a_read_is_repeated_once_when_its_connection_breaks(
    upstream: Upstream, scope: CallScope, breaks: object
) -> None:
    upstream.script(breaks, answer(200, [1]))  # type: ignore[arg-type]
    assert (await get(upstream.http(), scope)).json() == [1]
    assert len(upstream.seen) == len(scope.calls) == 2


async def test_a_failure_that_was_mended_leaves_no_frame_to_the_collector(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(reset, answer(200, [1]))
    http = upstream.http()
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await get(http, scope)
        gc.collect()
        left = [one for one in gc.garbage if isinstance(one, TracebackType)]
        assert [one.tb_frame.f_code.co_qualname for one in left] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize("status", [502, 503])
async def test_a_read_is_repeated_once_when_the_upstream_is_away_for_a_moment(
    upstream: Upstream, scope: CallScope, status: int
) -> None:
    upstream.script(answer(status, {}, {"Retry-After": "0"}), answer(200, [1]))
    assert (await get(upstream.http(), scope)).json() == [1]
    upstream.script(answer(status))
    assert (await get(upstream.http(), scope)).status == status
    assert len(upstream.seen) == len(scope.calls) == 4


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ([reset, answer(503), reset, answer(200)], 200),
        ([answer(503), reset, answer(200)], 200),
        ([answer(503), reset, answer(503)], 503),
    ],
)
async def test_it_may_break_before_each_answer_and_be_away_once(
    upstream: Upstream, scope: CallScope, script: list[Script], status: int
) -> None:
    upstream.script(*script)
    assert (await get(upstream.http(), scope)).status == status
    assert len(upstream.seen) == len(scope.calls) == len(script)


@pytest.mark.parametrize(
    ("method", "target", "answered"),
    [
        ("GET", "/things", answer(500)),
        ("GET", "/things", answer(504)),
        ("GET", "/things", answer(503, {}, {"Retry-After": "2"})),
        ("GET", "/things?ids=" + "x" * 3000, answer(502)),
        ("PATCH", "/things", answer(502)),
        ("POST", "/things", answer(503)),
    ],
)
async def test_what_is_a_write_or_will_not_pass_in_a_moment_is_not_repeated(
    upstream: Upstream, scope: CallScope, method: str, target: str, answered: Script
) -> None:
    upstream.script(answered)
    await upstream.http().send(method, target, operation="things", scope=scope)
    assert len(upstream.seen) == 1


async def test_repetitions_come_after_pauses_of_random_length_and_have_a_budget(
    upstream: Upstream, scope: CallScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noting(delay_s: float) -> None:
        pauses.append(delay_s)
        await sleep(delay_s)

    monkeypatch.setattr("clients.http.asyncio.sleep", noting)
    upstream.script(answer(503))
    http = upstream.http()
    await asyncio.gather(*(get(http, scope) for _ in range(30)))
    assert len(upstream.seen) == 30 + 10
    assert len(pauses) == 10
    assert 0 <= min(pauses) <= max(pauses) <= LONGEST_PAUSE_S
    assert max(pauses) - min(pauses) > LONGEST_PAUSE_S / 4


async def test_calls_earn_the_repetitions_that_were_used_up(
    upstream: Upstream, scope: CallScope
) -> None:
    http = upstream.http()
    http._retries.left = 0
    upstream.script(*[answer(200, [])] * 12, reset, answer(200, [1]))
    for _ in range(12):
        await get(http, scope)
    assert (await get(http, scope)).json() == [1]


async def test_a_read_is_repeated_when_its_body_breaks_off(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1"), answer(200, [1])
    )
    assert (await get(upstream.http(), scope)).json() == [1]


async def test_a_read_is_not_repeated_twice(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(reset)
    with pytest.raises(UpstreamUnavailableError) as caught:
        await get(upstream.http(), scope)
    assert len(upstream.seen) == 2
    assert (caught.value.service, caught.value.operation) == ("flux", "things")
    assert not caught.value.outcome_unknown


async def test_a_write_is_never_repeated_and_its_outcome_is_unknown(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(reset)
    with pytest.raises(UpstreamUnavailableError) as caught:
        await post(upstream.http(), scope)
    assert len(upstream.seen) == 1
    assert caught.value.outcome_unknown


async def test_a_post_that_only_reads_is_repeated(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(reset, answer(200, []))
    await upstream.http().send(
        "POST", "/rpc/f", operation="f", scope=scope, json={}, idempotent=True
    )
    assert len(upstream.seen) == 2


async def test_nobody_listening_is_unavailable_and_no_write_is_in_doubt(
    upstream: Upstream, scope: CallScope
) -> None:
    await upstream.stop()
    with pytest.raises(UpstreamUnavailableError) as caught:
        await post(upstream.http(), scope)
    assert not isinstance(caught.value, UpstreamTimeoutError)
    assert not caught.value.outcome_unknown
    await upstream.start()


async def test_silence_times_out_after_the_read_time_and_is_not_repeated(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(hang)
    started = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamTimeoutError) as caught:
        await get(upstream.http(), scope)
    assert 0.4 < asyncio.get_running_loop().time() - started < 1.5
    assert len(upstream.seen) == 1
    assert not caught.value.outcome_unknown


async def test_a_write_that_times_out_is_of_unknown_outcome(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(hang)
    with pytest.raises(UpstreamTimeoutError) as caught:
        await post(upstream.http(), scope)
    assert caught.value.outcome_unknown


async def drip(seen: Seen, writer: asyncio.StreamWriter) -> bool:
    """A byte now and then: no single read is slow, the whole is."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)
    return True


async def test_a_dripping_body_ends_with_the_whole_call_s_time(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(drip)
    http = upstream.http(replace(LIMITS, total_s=0.3))
    started = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamTimeoutError):
        await get(http, scope)
    assert asyncio.get_running_loop().time() - started < 1.0


async def test_the_deadline_of_the_request_counts_when_it_is_nearer(
    upstream: Upstream,
) -> None:
    upstream.script(drip)
    started = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamTimeoutError):
        await get(upstream.http(), background(0.2))
    assert asyncio.get_running_loop().time() - started < 1.0


async def test_no_call_is_made_after_the_deadline(upstream: Upstream) -> None:
    scope = background(0.0)
    with pytest.raises(UpstreamTimeoutError) as caught:
        await post(upstream.http(), scope)
    assert (upstream.seen, scope.calls) == ([], [])
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize(("deadline_s", "total_s"), [(0.6, 10.0), (10.0, 0.6)])
async def test_a_repetition_keeps_within_the_time_of_the_call_and_the_deadline(
    upstream: Upstream, deadline_s: float, total_s: float
) -> None:
    async def late_reset(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.4)
        return await reset(seen, writer)

    upstream.script(late_reset, hang)
    started = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamTimeoutError):
        await get(
            upstream.http(replace(LIMITS, total_s=total_s)), background(deadline_s)
        )
    assert asyncio.get_running_loop().time() - started < 0.9


async def test_waiting_for_a_connection_is_bounded_and_leaves_no_write_in_doubt(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(hang)
    limits = replace(LIMITS, max_connections=1, connect_s=0.1)
    http = upstream.http(limits)
    first = asyncio.ensure_future(get(http, scope))
    await asyncio.sleep(0.05)
    with pytest.raises(UpstreamTimeoutError) as caught:
        await post(http, scope)
    assert not caught.value.outcome_unknown
    with pytest.raises(UpstreamTimeoutError):
        await first


async def test_a_cancelled_call_frees_its_connection(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(hang, hang, answer(200, []))
    http = upstream.http(replace(LIMITS, max_connections=1))
    for _ in range(2):
        call = asyncio.ensure_future(get(http, scope))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert (await get(http, scope)).status == 200


@pytest.mark.parametrize("length", ["Content-Length: 200000", "X: y"])
async def test_reading_stops_at_the_largest_body_allowed(
    upstream: Upstream, scope: CallScope, length: str
) -> None:
    sent = 0

    async def flood(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        nonlocal sent
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
        while sent < 200_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536
        return False

    upstream.script(flood)
    with pytest.raises(UpstreamResponseError, match="larger than 100000"):
        await get(upstream.http(), scope)
    assert sent < 20_000_000


async def test_an_answer_given_up_frees_its_connection(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, b"x" * 200_000), drip, answer(200, []))
    http = upstream.http(replace(LIMITS, max_connections=1, total_s=0.3))
    with pytest.raises(UpstreamResponseError):
        await get(http, scope)
    with pytest.raises(UpstreamTimeoutError):
        await get(http, scope)
    assert (await get(http, scope)).status == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_not_http_is_a_bad_answer_and_is_not_repeated(
    upstream: Upstream, scope: CallScope, garbage: bytes
) -> None:
    upstream.script(raw(garbage))
    with pytest.raises(UpstreamResponseError):
        await get(upstream.http(), scope)
    assert len(upstream.seen) == 1


async def test_a_compressed_answer_is_refused(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(200, b"\x1f\x8b", {"Content-Encoding": "gzip"}))
    with pytest.raises(UpstreamResponseError, match="compressed"):
        await get(upstream.http(), scope)


async def test_redirects_are_not_followed_and_cookies_not_kept(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(302, b"", {"Location": "/else", "Set-Cookie": "a=b"}))
    http = upstream.http()
    assert (await get(http, scope)).status == 302
    await get(http, scope)
    assert [seen.path for seen in upstream.seen] == ["/things", "/things"]
    assert "cookie" not in upstream.seen[1].headers


async def test_the_environment_s_proxy_is_not_used(
    upstream: Upstream, scope: CallScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    upstream.script(answer())
    assert (await get(upstream.http(), scope)).status == 200


async def test_a_refused_token_is_replaced_and_the_call_repeated_once(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer(401))
    http = UpstreamHTTP(
        "conduit",
        upstream.url,
        upstream.transport(),
        LIMITS,
        token_refused=lambda response: response.status == 401,
    )
    tokens = Tokens()
    response = await http.send(
        "POST", "/x", operation="x", scope=scope, auth=tokens, json={"a": 1}
    )
    assert response.status == 401
    assert [seen.headers["authorization"] for seen in upstream.seen] == [
        "Bearer token-1",
        "Bearer token-2",
    ]
    assert [seen.body for seen in upstream.seen] == [b'{"a":1}', b'{"a":1}']
    assert tokens.refused == ["token-1"]


@pytest.mark.parametrize("tokens", [Tokens([None]), Tokens(["token-1", None])])
async def test_without_a_token_or_a_replacement_the_refusal_stands(
    upstream: Upstream, scope: CallScope, tokens: Tokens
) -> None:
    upstream.script(answer(401))
    http = UpstreamHTTP(
        "conduit",
        upstream.url,
        upstream.transport(),
        LIMITS,
        token_refused=lambda response: response.status == 401,
    )
    await http.send("GET", "/x", operation="x", scope=scope, auth=tokens)
    sent = upstream.only.headers.get("authorization")
    assert sent == (f"Bearer {tokens.tokens[0]}" if tokens.tokens[0] else None)


async def test_the_client_s_address_goes_only_where_it_is_wanted(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer())
    scope.forwarded_for = "203.0.113.7"
    transport = upstream.transport()
    for wanted in (True, False):
        http = UpstreamHTTP(
            "conduit", upstream.url, transport, LIMITS, forwards_address=wanted
        )
        await get(http, scope)
    addresses = [seen.headers.get("x-forwarded-for") for seen in upstream.seen]
    assert addresses == ["203.0.113.7", None]


async def test_a_lone_surrogate_in_a_body_is_the_caller_s_mistake(
    upstream: Upstream, scope: CallScope
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await upstream.http().send(
            "POST", "/x", operation="x", scope=scope, json={"a": "\ud800"}
        )
    assert (upstream.seen, caught.value.service) == ([], "flux")


async def test_a_header_that_cannot_be_sent_is_an_error_of_ours(
    upstream: Upstream, scope: CallScope
) -> None:
    for value in ("a\r\nX-Injected: 1", "日本"):
        with pytest.raises(UpstreamError):
            await upstream.http().send(
                "GET", "/x", operation="x", scope=scope, headers={"X": value}
            )
    assert upstream.seen == []


async def test_a_stream_gives_the_body_as_it_comes_beyond_the_bounds_of_a_call(
    upstream: Upstream, scope: CallScope
) -> None:
    body = b"0123456789" * 50_000

    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), 100_000):
            writer.write(body[start : start + 100_000])
            await writer.drain()
            await asyncio.sleep(0.1)
        return True

    upstream.script(slowly)
    http = upstream.http(replace(LIMITS, total_s=0.2))
    got = bytearray()
    async with http.stream("GET", "/f", operation="f", scope=scope) as answered:
        assert answered.status == 200
        async for chunk in answered.chunks():
            got += chunk
    assert bytes(got) == body
    assert [call.status for call in scope.calls] == [200]


async def test_a_stream_that_stalls_or_breaks_is_told(
    upstream: Upstream, scope: CallScope
) -> None:
    async def stall(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        return await hang(seen, writer)

    upstream.script(stall, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))
    http = upstream.http()
    for expected in (UpstreamTimeoutError, UpstreamUnavailableError):
        async with http.stream("GET", "/f", operation="f", scope=scope) as answered:
            with pytest.raises(expected):
                async for _ in answered.chunks():
                    pass


async def test_a_stream_left_early_frees_its_connection(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(drip, answer(200, []))
    http = upstream.http(replace(LIMITS, max_connections=1))
    async with http.stream("GET", "/f", operation="f", scope=scope) as answered:
        async for _ in answered.chunks():
            break
    assert (await get(http, scope)).status == 200


async def test_a_stream_that_is_never_read_frees_its_connection(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(drip, answer(200, []))
    http = upstream.http(replace(LIMITS, max_connections=1))
    async with http.stream("GET", "/f", operation="f", scope=scope) as answered:
        assert answered.status == 200
    assert (await get(http, scope)).status == 200


async def test_an_upload_is_sent_as_it_comes_and_never_twice(
    upstream: Upstream, scope: CallScope
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"abc"

    upstream.script(close)
    with pytest.raises(UpstreamUnavailableError) as caught:
        async with upstream.http().stream(
            "PUT",
            "/f",
            operation="f",
            scope=scope,
            headers={"Content-Length": "9"},
            content=parts(),
        ):
            pass
    assert upstream.only.body == b"abcabcabc"
    assert "transfer-encoding" not in upstream.only.headers
    assert caught.value.outcome_unknown


async def test_an_upload_may_last_longer_than_a_call(
    upstream: Upstream, scope: CallScope
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.1)
            yield b"abc"

    upstream.script(answer(200))
    async with upstream.http(replace(LIMITS, total_s=0.1)).stream(
        "PUT",
        "/f",
        operation="f",
        scope=scope,
        headers={"Content-Length": "9"},
        content=slowly(),
    ) as answered:
        assert answered.status == 200


def response(body: bytes, content_type: str = "application/json") -> Response:
    return Response(200, {"content-type": content_type}, body, "flux", "things")


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(UpstreamResponseError) as caught:
        response(body).json()
    assert (caught.value.service, caught.value.operation) == ("flux", "things")


def test_the_media_type_is_read_without_its_parameters() -> None:
    assert response(b"", "Text/HTML; charset=utf-8").media_type == "text/html"
