"""The contract of a transport, over each of them: sockets, TLS, time-outs, bodies.

What `UpstreamHTTP` makes of it, retries and tokens, is in `test_http.py`, which runs
over each transport as well.
"""

import asyncio
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from clients_harness import LIMITS, Seen, Upstream, answer, close, hang, raw
from clients_tls import Authority, tls_server

from clients.errors import (
    UpstreamMisconfiguredError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from clients.http import (
    CallScope,
    HTTPLimits,
    Response,
    TransportName,
    UpstreamHTTP,
)
from clients.transport import Outgoing
from clients.transports import TRANSPORTS, open_transport

SIGNED = "/f?signature=abc123"
LARGE = replace(LIMITS, max_response_bytes=20_000_000, read_s=5.0, total_s=9.0)


@pytest.fixture(params=TRANSPORTS)
def transport_name(request: pytest.FixtureRequest) -> TransportName:
    """All that is claimed here holds over each transport, where no name is given."""
    return cast(TransportName, request.param)


async def get(http: UpstreamHTTP, scope: CallScope) -> Response:
    return await http.send("GET", "/things?x=1", operation="things", scope=scope)


async def post(http: UpstreamHTTP, scope: CallScope) -> Response:
    return await http.send("POST", "/things", operation="make", scope=scope, json={})


async def get_from(
    name: TransportName, url: str, scope: CallScope, ca_bundle: Path | None = None
) -> Response:
    """One call through a pool of its own."""
    bundle = None if ca_bundle is None else str(ca_bundle)
    transport = open_transport(name, LARGE, ca_bundle=bundle)
    http = UpstreamHTTP("flux", url, transport, LARGE)
    try:
        return await get(http, scope)
    finally:
        await http.aclose()


# ---------------------------------------------------------------- connections


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full: connecting to it hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


async def test_connecting_in_vain_times_out_and_leaves_no_write_in_doubt(
    transport_name: TransportName, deaf_port: int, scope: CallScope
) -> None:
    limits = replace(LIMITS, connect_s=0.3, read_s=5.0, total_s=9.0)
    transport = open_transport(transport_name, limits)
    http = UpstreamHTTP("flux", f"http://127.0.0.1:{deaf_port}", transport, limits)
    started = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamTimeoutError) as caught:
        await post(http, scope)
    assert asyncio.get_running_loop().time() - started < 2.0
    assert not caught.value.outcome_unknown
    await http.aclose()


async def test_a_call_cancelled_while_it_connects_leaves_its_room(
    upstream: Upstream, deaf_port: int
) -> None:
    upstream.script(answer())
    pool = upstream.transport(replace(LIMITS, max_connections=1))
    deaf = Outgoing("GET", f"http://127.0.0.1:{deaf_port}/", {})
    for _ in range(2):
        call = asyncio.ensure_future(pool.exchange(deaf, timeout_s=1.0, max_bytes=99))
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    good = Outgoing("GET", upstream.url + "/", {})
    assert (await pool.exchange(good, timeout_s=2.0, max_bytes=99)).status == 200


async def test_a_host_that_does_not_exist_is_unavailable(
    transport_name: TransportName, scope: CallScope
) -> None:
    with pytest.raises(UpstreamUnavailableError) as caught:
        await get_from(transport_name, "http://nowhere.invalid", scope)
    assert not isinstance(caught.value, UpstreamTimeoutError)


async def test_a_write_goes_out_once_when_its_idle_connection_was_closed(
    upstream: Upstream, scope: CallScope
) -> None:
    async def answer_and_close(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await answer(200, [])(seen, writer)
        return False

    upstream.script(answer_and_close)
    http = upstream.http()
    for _ in range(3):
        assert (await post(http, scope)).status == 200
        await asyncio.sleep(0.05)
    assert (upstream.connections, len(upstream.seen)) == (3, 3)


async def test_a_connection_is_free_again_by_the_end_of_a_cancelled_call_s_time(
    upstream: Upstream, scope: CallScope
) -> None:
    """pyreqwest lets a cancelled call run on; httpx closes its connection at once."""
    upstream.script(hang, hang, answer(200, []))
    limits = replace(LIMITS, max_connections=2, total_s=0.4, connect_s=2.0)
    http = upstream.http(limits)
    calls = [asyncio.ensure_future(get(http, scope)) for _ in range(2)]
    await asyncio.sleep(0.05)
    for call in calls:
        call.cancel()
    started = asyncio.get_running_loop().time()
    assert (await get(http, scope)).status == 200
    assert asyncio.get_running_loop().time() - started < 1.0


# ---------------------------------------------------------------- protocols and TLS


async def test_plain_http_is_http_1_1(upstream: Upstream, scope: CallScope) -> None:
    async def version(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        return await answer(200, seen.version)(seen, writer)

    upstream.script(version)
    assert (await get(upstream.http(), scope)).json() == "HTTP/1.1"


FRAME_HEAD = 9
SETTINGS, HEADERS = 4, 1


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    size = len(payload).to_bytes(3, "big")
    return size + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


async def answer_http_2(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One request, answered by 204 (entry 9 of HPACK's static table) and no body."""
    await reader.readexactly(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    writer.write(frame(SETTINGS, 0, 0))
    kind, stream = SETTINGS, 0
    while kind != HEADERS:
        head = await reader.readexactly(FRAME_HEAD)
        kind, stream = head[3], int.from_bytes(head[5:], "big")
        await reader.readexactly(int.from_bytes(head[:3], "big"))
    end_of_headers_and_stream = 0x5
    writer.write(frame(HEADERS, end_of_headers_and_stream, stream, b"\x89"))
    await writer.drain()
    await reader.read()
    writer.close()


async def test_pyreqwest_speaks_http_2_where_tls_offers_it(
    system_authority: Authority, scope: CallScope
) -> None:
    context = system_authority.server_context(protocols=["h2", "http/1.1"])
    async with tls_server(context, answer_http_2) as url:
        assert (await get_from("pyreqwest", url, scope)).status == 204


async def test_an_untrusted_certificate_is_a_misconfiguration_and_is_not_retried(
    transport_name: TransportName, tmp_path: Path, scope: CallScope
) -> None:
    context = Authority("private", tmp_path).server_context()
    async with tls_server(context) as url:
        with pytest.raises(UpstreamMisconfiguredError, match="CA_BUNDLE"):
            await get_from(transport_name, url, scope)
    assert len(scope.calls) == 1


async def test_a_certificate_for_another_host_is_a_misconfiguration(
    transport_name: TransportName, system_authority: Authority, scope: CallScope
) -> None:
    async with tls_server(system_authority.server_context("127.0.0.9")) as url:
        with pytest.raises(UpstreamMisconfiguredError):
            await get_from(transport_name, url, scope)


async def test_every_authority_of_our_bundle_is_added_to_the_system_s(
    transport_name: TransportName,
    system_authority: Authority,
    tmp_path: Path,
    scope: CallScope,
) -> None:
    private = [Authority("one", tmp_path), Authority("two", tmp_path)]
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"# ours\n".join(a.file.read_bytes() for a in private))
    for authority in (system_authority, *private):
        async with tls_server(authority.server_context()) as url:
            assert (await get_from(transport_name, url, scope, bundle)).status == 200


async def test_a_server_that_does_not_speak_tls_is_unavailable(
    transport_name: TransportName, upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(answer())
    url = upstream.url.replace("http:", "https:")
    with pytest.raises(UpstreamUnavailableError):
        await get_from(transport_name, url, scope)


def test_a_bundle_without_a_certificate_is_refused_at_once(
    transport_name: TransportName, tmp_path: Path
) -> None:
    bundle = tmp_path / "empty.pem"
    bundle.write_text("nothing")
    with pytest.raises((ValueError, ssl.SSLError)):
        open_transport(transport_name, LIMITS, ca_bundle=str(bundle))


def test_a_system_without_certificates_is_told_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="SSL_CERT_FILE"):
        open_transport("pyreqwest", LIMITS)


# ---------------------------------------------------------------- heads and bodies


async def test_long_headers_go_out_whole(upstream: Upstream, scope: CallScope) -> None:
    """A token and a long target; where it is too much, the upstream says 431."""
    upstream.script(answer(431, b"", content_type=""))
    token, target = "x" * 30_000, f"/things?id=in.({'y' * 30_000})"
    response = await upstream.http().send(
        "GET", target, operation="x", scope=scope, headers={"Authorization": token}
    )
    assert response.status == 431
    assert upstream.only.target == target
    assert upstream.only.headers["authorization"] == token


@pytest.mark.parametrize("header", [b"X: " + b"y" * 8_000_000, b"X: y\r\n" * 200_000])
async def test_a_head_without_end_is_a_bad_answer(
    upstream: Upstream, scope: CallScope, header: bytes
) -> None:
    upstream.script(raw(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n"))
    with pytest.raises(UpstreamResponseError):
        await get(upstream.http(), scope)
    assert len(upstream.seen) == 1


def chunked(body: bytes) -> bytes:
    """An answer without a length, in chunks of 100 kB."""
    parts = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        + b"0\r\n\r\n"
    )


async def test_big_bodies_arrive_whole_both_ways(
    upstream: Upstream, scope: CallScope
) -> None:
    body = bytes(range(256)) * 40_000
    upstream.script(
        answer(200, body),
        raw(chunked(body)),
        raw(b"HTTP/1.1 200 OK\r\n\r\n" + body),
        answer(),
    )
    http = upstream.http(LARGE)
    for _ in range(3):
        assert (await get(http, scope)).body == body
    text = "ä" * 3_000_000
    await http.send("POST", "/", operation="x", scope=scope, json=text)
    assert upstream.seen[-1].json == text


async def test_a_body_in_chunks_is_bounded_too(
    upstream: Upstream, scope: CallScope
) -> None:
    upstream.script(raw(chunked(b"x" * 100_000)), raw(chunked(b"x" * 100_001)))
    http = upstream.http()
    assert len((await get(http, scope)).body) == 100_000
    with pytest.raises(UpstreamResponseError, match="larger than 100000"):
        await get(http, scope)


async def test_a_head_request_has_no_body_whatever_its_length_says(
    upstream: Upstream, scope: CallScope
) -> None:
    async def long(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        return True

    upstream.script(long)
    http = upstream.http()
    for _ in range(2):
        response = await http.send("HEAD", "/", operation="x", scope=scope)
        assert (response.status, response.body) == (200, b"")
    assert upstream.connections == 1


async def test_a_failure_never_quotes_the_address(
    upstream: Upstream, scope: CallScope
) -> None:
    """It may be signed, and then it is a permission."""
    upstream.script(close)
    for base in (upstream.url, "http://127.0.0.1:1", "ftp://127.0.0.1"):
        http = UpstreamHTTP("conduit", base, upstream.transport(), LIMITS)
        with pytest.raises((UpstreamUnavailableError, UpstreamResponseError)) as caught:
            await http.send("POST", SIGNED, operation="x", scope=scope)
        assert "abc123" not in "".join(traceback.format_exception(caught.value))


# ---------------------------------------------------------------- streams


async def test_a_stream_s_head_does_not_wait_for_its_body(
    upstream: Upstream, scope: CallScope
) -> None:
    async def trickle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 206 OK\r\nContent-Length: 99\r\n\r\nabc")
        return await hang(seen, writer)

    upstream.script(trickle)
    http = upstream.http(LARGE)
    async with (
        asyncio.timeout(2.0),
        http.stream("GET", "/f", operation="f", scope=scope) as answered,
    ):
        assert answered.status == 206
        async for chunk in answered.chunks():
            assert chunk == b"abc"
            break


async def upload(
    http: UpstreamHTTP, scope: CallScope, content: AsyncIterator[bytes], size: int
) -> int:
    async with http.stream(
        "PUT",
        SIGNED,
        operation="f",
        scope=scope,
        headers={"Content-Length": str(size)},
        content=content,
    ) as answered:
        return answered.status


async def test_an_upload_waits_for_its_source_as_long_as_that_takes(
    upstream: Upstream, scope: CallScope
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(2):
            await asyncio.sleep(LIMITS.read_s * 1.5)
            yield b"abc"

    upstream.script(answer(201))
    assert await upload(upstream.http(), scope, slowly(), 6) == 201
    assert upstream.only.body == b"abcabc"


async def test_what_the_source_of_an_upload_raises_comes_out(
    upstream: Upstream, scope: CallScope
) -> None:
    class GoneError(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"abc"
        raise GoneError

    upstream.script(answer(201))
    with pytest.raises(GoneError):
        await upload(upstream.http(), scope, broken(), 6)
    assert upstream.seen == []


async def test_an_upload_that_nobody_takes_or_answers_times_out(
    upstream: Upstream, scope: CallScope
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    async def three() -> AsyncIterator[bytes]:
        yield b"abc"

    upstream.script(hang)
    with pytest.raises(UpstreamTimeoutError) as caught:
        await upload(upstream.http(), scope, three(), 3)
    assert caught.value.outcome_unknown
    upstream.reads_bodies = False
    with pytest.raises(UpstreamTimeoutError):
        await upload(upstream.http(), scope, endless(), 10**12)


def test_the_limits_keep_idle_connections_for_less_than_the_upstreams_do() -> None:
    assert HTTPLimits().keepalive_s < 5
