"""The rules of HTTP/1.1 and of a pool, over each transport that keeps them itself.

`OURS` are those of our own client alone: the others do otherwise, or cannot be told.
"""

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec
import pytest
import uvloop
from clients_harness import (
    LIMITS,
    Script,
    Seen,
    Upstream,
    answer,
    close,
    hang,
    raw,
    reset,
)
from clients_tls import Authority, tls_server

from clients.exchange import Response
from clients.http import TransportName
from clients.http1.requests import message
from clients.transport import Answer, Outgoing, Standing, Transport, TransportError
from clients.transport_asyncio import AsyncioTransport
from clients.transport_pinned import AddressPolicy, open_pinned
from clients.transports import TRANSPORTS, open_transport

OURS = pytest.mark.parametrize("transport_name", ["asyncio"])
STOPPING = pytest.mark.parametrize("transport_name", ["asyncio", "httpx"])
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(params=TRANSPORTS)
def transport_name(request: pytest.FixtureRequest) -> TransportName:
    """All that is claimed here holds over each transport, where no name is given."""
    return cast(TransportName, request.param)


async def get(
    pool: Transport, url: str, *, method: str = "GET", timeout_s: float = 2.0
) -> Answer:
    request = Outgoing(method, f"{url}/things?x=1", {"Accept": "*/*"})
    return await pool.exchange(request, timeout_s=timeout_s, max_bytes=1_000_000)


async def trouble_of(pool: Transport, url: str, **how: Any) -> str:
    with pytest.raises(TransportError) as caught:
        await get(pool, url, **how)
    return caught.value.trouble


def kept(data: bytes) -> Script:
    """These bytes, and the connection stays."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        return True

    return script


# ---------------------------------------------------------------- answers


async def test_interim_answers_are_passed_over(upstream: Upstream) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n"
    whole = OK + b"Content-Length: 2\r\n\r\nab"
    upstream.script(kept(b"HTTP/1.1 100 Continue\r\n\r\n" + early + early + whole))
    pool = upstream.transport()
    for _ in range(2):
        found = await get(pool, upstream.url)
        assert (found.status, found.body) == (200, b"ab")
        assert "retry-after" not in found.headers
    assert upstream.connections == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_that_have_no_body_end_with_their_head(
    upstream: Upstream, status: int
) -> None:
    upstream.script(kept(b"HTTP/1.1 %d X\r\nETag: x\r\n\r\n" % status))
    pool = upstream.transport()
    for _ in range(2):
        found = await get(pool, upstream.url)
        assert (found.status, found.body) == (status, b"")
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "head", [OK + b"Connection: close\r\n", b"HTTP/1.0 200 OK\r\n"]
)
async def test_a_connection_that_is_to_close_is_not_used_again(
    upstream: Upstream, head: bytes
) -> None:
    upstream.script(kept(head + b"Content-Length: 2\r\n\r\nab"))
    pool = upstream.transport()
    for _ in range(2):
        assert (await get(pool, upstream.url)).body == b"ab"
    assert upstream.connections == 2


@pytest.mark.parametrize("more", [b"x", OK + b"Content-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("transport_name", ["asyncio", "pyreqwest"])
async def test_what_follows_an_answer_is_nobody_s(
    upstream: Upstream, more: bytes
) -> None:
    upstream.script(
        kept(OK + b"Content-Length: 2\r\n\r\nab" + more), answer(200, b"cd")
    )
    pool = upstream.transport()
    assert (await get(pool, upstream.url)).body == b"ab"
    await asyncio.sleep(0.05)
    assert (await get(pool, upstream.url)).body == b"cd"
    assert upstream.connections == 2


@OURS
@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        OK + b"Content-Length: 2, 2\r\n\r\nab",
        OK + b"Content-Length: +2\r\n\r\nab",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\nab\n0\n\n",
        b"HTTP/1.1 100 X\r\nContent-Length: 5\r\n\r\n" + OK + b"\r\n",
        b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        OK + b"A : b\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: b\nContent-Length: 0\r\n\r\n",
        OK + b"A: \x00\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_a_frame_that_can_be_read_in_two_ways_is_refused(
    upstream: Upstream, data: bytes
) -> None:
    upstream.script(kept(data))
    assert await trouble_of(upstream.transport(), upstream.url) == "malformed"


async def test_a_body_that_ends_by_reset_is_not_whole(upstream: Upstream) -> None:
    async def break_off(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(OK + b"\r\nabc")
        await writer.drain()
        await asyncio.sleep(0.05)
        return await reset(seen, writer)

    upstream.script(break_off)
    assert await trouble_of(upstream.transport(), upstream.url) == "lost"


# ---------------------------------------------------------------- requests


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a\r\nX: 1", {}),
        ("/a\nX: 1", {}),
        ("/a\tb", {}),
        ("/a\x00b", {}),
        ("/a", {"X": "1\r\nY: 2"}),
        ("/a", {"X": "1\nY: 2"}),
        ("/a", {"X": "1\x00"}),
        ("/a", {"X: 1\r\nY": "2"}),
        ("/a", {"X Y": "1"}),
        ("/a", {"": "1"}),
        ("/a", {"Content-Length": "5"}),
        ("/a", {"Transfer-Encoding": "chunked"}),
        ("/a", {"host": "elsewhere"}),
        ("/a", {"Connection": "X"}),
    ],
)
@OURS
async def test_nothing_goes_out_that_could_end_a_line_or_a_message(
    upstream: Upstream, target: str, headers: dict[str, str]
) -> None:
    upstream.script(answer())
    request = Outgoing("GET", upstream.url + target, headers)
    with pytest.raises(TransportError) as caught:
        await upstream.transport().exchange(request, timeout_s=1, max_bytes=100)
    assert (caught.value.trouble, caught.value.sent) == ("malformed", False)
    assert upstream.seen == []


async def test_a_request_has_all_its_fields(upstream: Upstream) -> None:
    upstream.script(answer())
    request = Outgoing(
        "GET",
        "/a?b=1",
        {"X-Own": "1"},
        base=upstream.url,
        standing=Standing({"X-Standing": "2"}),
        forwarded_for="192.0.2.1",
        token="t",
    )
    for _ in range(2):
        await upstream.transport().exchange(request, timeout_s=1, max_bytes=100)
        seen = upstream.seen.pop()
        assert seen.target == "/a?b=1"
        wanted = {
            "host": upstream.url.removeprefix("http://"),
            "x-standing": "2",
            "x-own": "1",
            "x-forwarded-for": "192.0.2.1",
            "authorization": "Bearer t",
        }
        assert {name: seen.headers.get(name) for name in wanted} == wanted


def test_a_host_that_is_named_is_the_only_one() -> None:
    """A pinned address is none of the names that a server knows itself by."""
    own = message(Outgoing("GET", "/a"), "/a", "192.0.2.1")
    assert own == b"GET /a HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"
    named = message(Outgoing("GET", "/a", {"Host": "b.test"}), "/a", "192.0.2.1")
    assert named == b"GET /a HTTP/1.1\r\nHost: b.test\r\n\r\n"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\x00"])
@pytest.mark.parametrize("part", ["token", "forwarded_for", "standing"])
async def test_no_token_and_no_address_ends_a_line(
    upstream: Upstream, part: str, end: str
) -> None:
    upstream.script(answer())
    text = f"1{end}X: 2"
    request = msgspec.structs.replace(
        Outgoing("GET", upstream.url + "/a"),
        **{part: Standing({"X": text}) if part == "standing" else text},
    )
    with pytest.raises(TransportError) as caught:
        await upstream.transport().exchange(request, timeout_s=1, max_bytes=100)
    assert caught.value.trouble == "malformed"
    assert upstream.seen == []


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http:///a", "http://a b/", "http://[::1/", "x"]
)
async def test_an_address_that_is_none_is_refused(
    transport_name: TransportName, url: str
) -> None:
    pool = open_transport(transport_name, LIMITS)
    request = Outgoing("GET", url, {})
    with pytest.raises(TransportError) as caught:
        await pool.exchange(request, timeout_s=1, max_bytes=100)
    assert not caught.value.sent
    await pool.aclose()


async def test_a_name_in_its_own_script_is_encoded(upstream: Upstream) -> None:
    """Storage may sign an address with a file's name as it is."""
    upstream.script(answer())
    request = Outgoing("GET", f"{upstream.url}/grün%20?a=%2B&b=ü", {})
    await upstream.transport().exchange(request, timeout_s=1, max_bytes=100)
    assert upstream.only.target == "/gr%C3%BCn%20?a=%2B&b=%C3%BC"


# ---------------------------------------------------------------- cancellation, ends


@dataclass
class Gone:
    """A script that never answers, and notes when its connection ends."""

    after_s: float | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def script(self, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        self.begun.set()
        began = time.monotonic()
        reader = cast(Any, writer)._reader
        await reader.read()
        self.after_s = time.monotonic() - began
        self.ended.set()
        return False


@STOPPING
async def test_a_cancelled_call_ends_its_connection_at_once(upstream: Upstream) -> None:
    """So that the upstream can stop its work. pyreqwest lets it run on."""
    gone = Gone()
    upstream.script(gone.script)
    call = asyncio.ensure_future(get(upstream.transport(), upstream.url))
    await gone.begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(1.0):
        await gone.ended.wait()


@OURS
async def test_closing_the_pool_ends_what_is_under_way(upstream: Upstream) -> None:
    upstream.script(hang)
    pool = upstream.transport(replace(LIMITS, max_connections=1))
    calls = [asyncio.ensure_future(get(pool, upstream.url)) for _ in range(2)]
    await asyncio.sleep(0.05)
    await pool.aclose()
    troubles = await asyncio.gather(*calls, return_exceptions=True)
    assert [cast(TransportError, each).trouble for each in troubles] == [
        "lost",
        "connect",
    ]
    assert await trouble_of(pool, upstream.url) == "connect"


# ---------------------------------------------------------------- the pool


async def test_calls_wait_for_a_connection_in_the_order_they_came(
    upstream: Upstream,
) -> None:
    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.01)
        return await answer()(seen, writer)

    upstream.script(slowly)
    pool = upstream.transport(replace(LIMITS, max_connections=1))
    calls = []
    for number in range(8):
        request = Outgoing("GET", f"{upstream.url}/{number}", {})
        exchange = pool.exchange(request, timeout_s=2, max_bytes=100)
        calls.append(asyncio.ensure_future(exchange))
        await asyncio.sleep(0)
    await asyncio.gather(*calls)
    assert [seen.target for seen in upstream.seen] == [f"/{n}" for n in range(8)]
    assert upstream.connections == 1


@OURS
async def test_a_connection_that_is_being_closed_is_not_used_again(
    upstream: Upstream,
) -> None:
    upstream.script(answer())
    pool = upstream.transport()
    await get(pool, upstream.url)
    assert isinstance(pool, AsyncioTransport)
    (origin,) = pool._pool.origins.values()
    (idle,) = origin.idle
    # The loop tells the connection on its next turn only.
    idle._transport.close()
    assert (await get(pool, upstream.url)).status == 200
    assert upstream.connections == 2


@pytest.mark.parametrize("transport_name", ["asyncio", "pyreqwest"])
async def test_who_goes_away_while_waiting_takes_no_connection_along(
    upstream: Upstream,
) -> None:
    upstream.script(answer())
    pool = upstream.transport(replace(LIMITS, max_connections=1))
    for turns in range(12):
        calls = [asyncio.ensure_future(get(pool, upstream.url)) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls[:3]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert calls[3].result().status == 200


@OURS
async def test_who_goes_away_just_as_its_wait_is_over_is_gone(
    upstream: Upstream, transport_name: TransportName
) -> None:
    """A cancellation that came out as a time-out would let its task go on."""
    upstream.script(hang)
    pool = upstream.transport(replace(LIMITS, max_connections=1))
    held = asyncio.ensure_future(get(pool, upstream.url))
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(get(pool, upstream.url))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(pool.aclose())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(closing, held, return_exceptions=True)
    with pytest.raises(asyncio.CancelledError):
        await waiting


@STOPPING
async def test_the_room_of_one_origin_s_idle_connections_is_another_s(
    upstream: Upstream, transport_name: TransportName
) -> None:
    other = Upstream(transport_name)
    await other.start()
    upstream.script(answer())
    other.script(answer())
    pool = upstream.transport(replace(LIMITS, max_connections=1))
    for _ in range(2):
        for url in (upstream.url, other.url):
            assert (await get(pool, url)).status == 200
    calls = [get(pool, url) for url in (upstream.url, other.url) * 3]
    assert [found.status for found in await asyncio.gather(*calls)] == [200] * 6
    await other.stop()


@OURS
async def test_who_waited_in_vain_is_forgotten_though_no_connection_is_free(
    upstream: Upstream, transport_name: TransportName
) -> None:
    """Long downloads may hold them all, and the line is looked along all the time."""
    upstream.script(hang)
    pool = upstream.transport(replace(LIMITS, max_connections=1, read_s=30))
    assert isinstance(pool, AsyncioTransport)
    held = asyncio.ensure_future(get(pool, upstream.url, timeout_s=30))
    await asyncio.sleep(0)
    for _ in range(3):
        assert await trouble_of(pool, upstream.url, timeout_s=0.05) == "timeout"
    assert not pool._pool.queue
    held.cancel()


@OURS
async def test_a_connection_of_a_forgotten_origin_keeps_no_room(
    upstream: Upstream, transport_name: TransportName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would find it, and it would stay open until it is too old."""
    monkeypatch.setattr("clients.http1.pool._MOST_ORIGINS", 1)
    answering = asyncio.Event()

    async def later(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await answering.wait()
        return await answer()(seen, writer)

    upstream.script(later)
    pool = upstream.transport(replace(LIMITS, max_connections=1, keepalive_s=60))
    other_name = upstream.url.replace("127.0.0.1", "localhost")
    first = asyncio.ensure_future(get(pool, upstream.url))
    gone = asyncio.ensure_future(get(pool, other_name))
    await asyncio.sleep(0.05)
    gone.cancel()
    answering.set()
    assert (await first).status == 200
    assert (await get(pool, other_name)).status == 200


@OURS
@pytest.mark.parametrize("seed", range(4))
async def test_after_a_storm_all_the_room_of_a_pool_is_there(
    upstream: Upstream, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret

    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(chance.uniform(0, 0.01))
        return await answer(200, b"x" * 100)(seen, writer)

    kinds = [answer(), slowly, slowly, reset, close, hang, raw(b"HTTP/1.1 2")]
    upstream.script(*chance.choices(kinds, k=1000))
    pool = upstream.transport(replace(LIMITS, max_connections=3, read_s=0.1))

    async def call() -> None:
        calling = asyncio.ensure_future(get(pool, upstream.url, timeout_s=0.3))
        if chance.random() < 0.3:
            await asyncio.sleep(chance.uniform(0, 0.2))
            calling.cancel()
        with contextlib.suppress(TransportError, asyncio.CancelledError):
            await calling

    await asyncio.gather(*(call() for _ in range(60)))
    together = asyncio.Barrier(3)

    async def meet(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await together.wait()
        return await answer(200, b"met")(seen, writer)

    upstream.script(meet)
    calls = [get(pool, upstream.url) for _ in range(3)]
    assert [found.body for found in await asyncio.gather(*calls)] == [b"met"] * 3


@OURS
async def test_one_that_was_dead_while_idle_takes_the_others_along(
    upstream: Upstream,
) -> None:
    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.05)
        return await answer()(seen, writer)

    upstream.script(slowly, slowly, slowly, reset, answer())
    pool = upstream.transport()
    await asyncio.gather(*(get(pool, upstream.url) for _ in range(3)))
    assert await trouble_of(pool, upstream.url) == "lost"
    assert (await get(pool, upstream.url)).status == 200
    assert upstream.connections == 4


@OURS
async def test_an_idle_connection_is_closed_when_its_time_is_over(
    upstream: Upstream,
) -> None:
    gone = Gone()

    async def then_wait(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await answer()(seen, writer)
        return await gone.script(seen, writer)

    upstream.script(then_wait)
    await get(upstream.transport(replace(LIMITS, keepalive_s=0.2)), upstream.url)
    await asyncio.sleep(0.6)
    assert gone.after_s is not None
    assert 0.1 < gone.after_s < 0.5


class Restarting(threading.Thread):
    """An upstream in a thread of its own, which closes after each answer, unsaid."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.requests = 0

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65536):
                    self.requests += 1
                    connection.sendall(OK + b"Content-Length: 0\r\n\r\n")
                    time.sleep(0.05)


@pytest.fixture
def restarting() -> Iterator[Restarting]:
    thread = Restarting()
    thread.start()
    yield thread
    thread.listener.shutdown(socket.SHUT_RDWR)
    thread.listener.close()
    thread.join()


async def test_a_write_looks_at_its_connection_before_it_goes_out(
    restarting: Restarting, transport_name: TransportName
) -> None:
    """The loop is too busy to hear that the upstream has closed it."""
    pool = open_transport(transport_name, LIMITS)
    for number in range(3):
        found = await get(pool, restarting.url, method="POST")
        assert (found.status, restarting.requests) == (200, number + 1)
        time.sleep(0.15)  # noqa: ASYNC251
    await pool.aclose()


# ---------------------------------------------------------------- addresses, TLS


async def test_ipv6_is_spoken(transport_name: TransportName) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        hosts = [line for line in head.split(b"\r\n") if line.lower()[:5] == b"host:"]
        writer.write(OK + b"Content-Length: %d\r\n\r\n%b" % (len(hosts[0]), hosts[0]))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "::1", 0)
    pool = open_transport(transport_name, LIMITS)
    port = server.sockets[0].getsockname()[1]
    body = (await get(pool, f"http://[::1]:{port}")).body
    assert body.lower() == b"host: [::1]:%d" % port
    await pool.aclose()
    server.close()


@OURS
async def test_a_host_s_next_address_is_tried_when_the_first_is_silent(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(upstream.url.rpartition(":")[2])
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.2", port))
        deaf.listen(0)
        full = [socket.socket() for _ in range(3)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(("127.0.0.2", port))

        async def find(*_: object, **__: object) -> list[Any]:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
                for host in ("127.0.0.2", "127.0.0.1")
            ]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", find)
        upstream.script(answer(200, b"ab"))
        pool = upstream.transport()
        began = time.monotonic()
        assert (await get(pool, f"http://two.test:{port}")).body == b"ab"
        assert time.monotonic() - began < LIMITS.connect_s
        for one in full:
            one.close()


async def echo_sizes(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answers each request by as many bytes as it brought, until the end."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            body = await reader.readexactly(length)
            writer.write(OK + b"Content-Length: %d\r\n\r\n%b" % (length, body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@STOPPING
async def test_big_bodies_go_both_ways_over_tls_on_one_connection(
    transport_name: TransportName, system_authority: Authority
) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await echo_sizes(reader, writer)

    body = bytes(range(256)) * 8_000
    context = system_authority.server_context()
    async with tls_server(context, serve) as url:
        pool = open_transport(transport_name, LIMITS)
        for _ in range(2):
            request = Outgoing("PUT", f"{url}/", {}, body)
            found = await pool.exchange(request, timeout_s=5, max_bytes=10**7)
            assert found.body == body
        await pool.aclose()
    assert connections == 1


@OURS
async def test_a_pinned_address_must_have_the_certificate_of_the_name(
    transport_name: TransportName,
    system_authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def find(_: object, port: int, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    policy = AddressPolicy(frozenset({"files.test", "other.test"}))
    async with tls_server(system_authority.server_context("files.test")) as url:
        pool = open_pinned(LIMITS, policy, name=transport_name)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", find)
        named = url.replace("127.0.0.1", "files.test")
        assert (await get(pool, named)).status == 200
        assert await trouble_of(pool, named.replace("files", "other")) == "untrusted"
        await pool.aclose()


# ---------------------------------------------------------------- streams


async def test_a_download_is_read_no_faster_than_it_is_taken(
    upstream: Upstream,
) -> None:
    size, sent = 64_000_000, 0

    async def flood(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        nonlocal sent
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 64_000)
            await writer.drain()
            sent += 64_000
        return True

    upstream.script(flood)
    pool = upstream.transport(replace(LIMITS, read_s=5.0))
    request = Outgoing("GET", f"{upstream.url}/f", {})
    incoming = await pool.open(request, timeout_s=2)
    chunks = incoming.chunks()
    got = len(await anext(chunks))
    await asyncio.sleep(0.3)
    assert sent < 20_000_000
    async for chunk in chunks:
        got += len(chunk)
    await incoming.aclose()
    assert got == size


async def parts(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_an_upload_without_a_length_goes_in_chunks(upstream: Upstream) -> None:
    sent = b""

    async def take(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        nonlocal sent
        sent = await cast(Any, writer)._reader.readuntil(b"\r\n0\r\n\r\n")
        return await answer(201)(seen, writer)

    upstream.script(take)
    pool = upstream.transport()
    request = Outgoing("PUT", f"{upstream.url}/f", {})
    incoming = await pool.upload(request, parts(b"abc", b"", b"d" * 20))
    await incoming.aclose()
    assert incoming.status == 201
    assert upstream.only.headers["transfer-encoding"] == "chunked"
    assert sent.lower() == b"3\r\nabc\r\n14\r\n" + b"d" * 20 + b"\r\n0\r\n\r\n"


@OURS
@pytest.mark.parametrize("chunks", [(b"abc", b"de"), (b"abc", b"defg")])
async def test_an_upload_of_another_length_than_it_says_is_cut_off(
    upstream: Upstream, chunks: tuple[bytes, ...]
) -> None:
    upstream.script(answer())
    pool = upstream.transport()
    request = Outgoing("PUT", f"{upstream.url}/f", {"Content-Length": "6"})
    with pytest.raises(TransportError) as caught:
        await pool.upload(request, parts(*chunks))
    assert (caught.value.trouble, caught.value.sent) == ("malformed", True)
    await asyncio.sleep(0.05)
    assert upstream.seen == []


@pytest.mark.parametrize("stays", [True, False])
@OURS
async def test_an_early_answer_ends_an_upload(upstream: Upstream, stays: bool) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 10_000:
            taken += 1
            yield b"x" * 10_000

    async def refuse(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        return await hang(seen, writer) if stays else False

    upstream.reads_bodies = False
    upstream.script(refuse)
    pool = upstream.transport(replace(LIMITS, read_s=3.0))
    request = Outgoing("PUT", f"{upstream.url}/f", {"Content-Length": "100000000"})
    incoming = await pool.upload(request, endless())
    body = b"".join([chunk async for chunk in incoming.chunks()])
    await incoming.aclose()
    assert (incoming.status, body) == (413, b"no")
    assert taken < 10_000
    upstream.script(answer())
    await get(pool, upstream.url)
    assert upstream.connections == 2


# ---------------------------------------------------------------- the other loop


def test_our_transport_runs_on_uvloop_as_on_asyncio() -> None:
    """As the server does: calls, a stream, an upload, a break, a time-out."""

    async def go() -> list[object]:
        upstream = Upstream("asyncio")
        await upstream.start()
        try:
            return await _a_bit_of_everything(upstream)
        finally:
            await upstream.stop()

    expected = [500_000, 1, "lost", "timeout", 500_000, (201, 600_000)]
    assert uvloop.run(go()) == expected
    assert asyncio.run(go()) == expected


async def _a_bit_of_everything(upstream: Upstream) -> list[object]:
    pool = upstream.transport()
    found: list[object] = []
    upstream.script(answer(200, b"a" * 500_000), answer(200, b"b"), reset, hang)
    for method in ("GET", "POST"):
        found.append(len((await get(pool, upstream.url, method=method)).body))
    for _ in range(2):
        found.append(await trouble_of(pool, upstream.url))
    upstream.script(raw(OK + b"\r\n" + b"c" * 500_000), answer(201))
    request = Outgoing("GET", f"{upstream.url}/f", {})
    incoming = await pool.open(request, timeout_s=2)
    found.append(sum([len(chunk) async for chunk in incoming.chunks()]))
    headers = {"Content-Length": "600000"}
    request = Outgoing("PUT", f"{upstream.url}/f", headers)
    incoming = await pool.upload(request, parts(*[b"d" * 100_000] * 6))
    found.append((incoming.status, len(upstream.seen[-1].body)))
    await incoming.aclose()
    return found


def test_a_request_shows_neither_its_token_nor_its_body_nor_its_address() -> None:
    request = Outgoing("PUT", "/secret", body=b"secret", token="secret", base="secret")
    assert repr(request) == "<Outgoing PUT, ''>"


def test_an_answer_does_not_show_its_body() -> None:
    shown = Answer(200, {}, b"secret"), Response(200, {}, b"secret", operation="renew")
    assert repr(shown) == "(<Answer 200>, <Response 200, 'renew'>)"
