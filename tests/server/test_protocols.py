"""A request read by our protocol is what it is when uvicorn reads it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from server.cycle import Cycle
from server.guard import BoundedBody
from server.head import DIRECT, HEAD, Head, RawHeaders
from server.protocols import ServingConfig, StreamingHTTPProtocol
from server.refusals import RefusalError

Seen = list[tuple[dict[str, Any], bytes]]

REQUESTS = {
    "short target": b"GET /graphql HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\n\r\n",
    "query": b"GET /graphql?query=%7Ba%7D#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "escaped": b"GET /a%20b%2f/%C3%A4 HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute": b"GET http://a:80/graphql?b HTTP/1.1\r\nHost: a\r\n\r\n",
    "root": b"OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "no URL": b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
    "old": b"GET /graphql HTTP/1.0\r\n\r\n",
    "closing": b"GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "head": b"HEAD /graphql HTTP/1.1\r\nHost: a\r\n\r\n",
    "body": b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "pieces": b"PUT /files HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "asks first": b"POST /graphql HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
    b"Content-Length: 3\r\n\r\nabc",
    "in a row": b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    b"GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "no request": b"GET /graphql HTTP/1.1\r\nHost\r\n\r\n",
    "another protocol": b"GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
    b"Upgrade: h2c\r\n\r\n",
}


class Line(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        peers = {"peername": ("10.0.0.1", 5), "sockname": ("10.0.0.2", 80)}
        return peers.get(name, default)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def echo(seen: Seen) -> Callable[[Scope, Receive, Send], Any]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.pop(DIRECT, None)
        assert scope.pop(HEAD, None) in (None, Head(scope["headers"]))
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        if scope["path"].endswith("/a"):
            await asyncio.sleep(0.02)  # whoever comes behind has to wait
        seen.append((dict(scope), body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


async def exchanged(
    kind: type[HttpToolsProtocol], request: bytes, *, piece: int
) -> tuple[Seen, bytes, bool]:
    """What the application saw, what was answered, whether the connection ended."""
    seen: Seen = []
    config = ServingConfig(echo(seen), lifespan="off", log_config=None, root_path="/r")
    config.load()
    state, line = ServerState(), Line()
    protocol = kind(config, state, {"a": 1}, asyncio.get_running_loop())
    protocol.access_log = False
    protocol.connection_made(line)
    for start in range(0, len(request), piece):
        protocol.data_received(request[start : start + piece])
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        for _ in range(4):  # one more than there are in a row
            await asyncio.gather(*state.tasks)
            await asyncio.sleep(0)
    assert not state.tasks
    ended = line.closed
    protocol.connection_lost(None)
    return seen, b"".join(line.written), ended


@pytest.mark.parametrize("piece", [10_000, 7])
@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_is_what_it_is_for_uvicorn(name: str, piece: int) -> None:
    ours = await exchanged(StreamingHTTPProtocol, REQUESTS[name], piece=piece)
    theirs = await exchanged(HttpToolsProtocol, REQUESTS[name], piece=piece)
    assert ours == theirs
    assert ours[1]


async def test_what_stands_behind_a_body_is_no_header() -> None:
    """A proxy in front may have looked at headers alone. uvicorn adds what it finds."""
    trailed = REQUESTS["pieces"][:-2] + b"Idempotency-Key: 1\r\nCookie: a\r\n\r\n"
    [(scope, body)], answer, _ = await exchanged(
        StreamingHTTPProtocol, trailed, piece=10_000
    )
    assert scope["headers"] == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]
    assert body == b"abcde"
    assert answer


def cycle_on(line: Line) -> Cycle:
    return Cycle(
        {},
        line,
        FlowControl(line),
        [(b"date", b"now")],
        lambda: None,
        keep_alive=True,
        expects_100_continue=False,
    )


async def test_a_whole_body_that_is_too_large_is_refused_when_received() -> None:
    """Chunked: nothing has told how long it would be."""
    cycle = cycle_on(Line())
    cycle.body, cycle.more_body = bytearray(b"abc"), False
    assert cycle.whole_body(2) is None
    receive = BoundedBody(cycle.receive, cycle, 2)
    with pytest.raises(RefusalError) as refused:
        await receive()
    assert refused.value.status == 413
    cycle = cycle_on(Line())
    cycle.body, cycle.more_body = bytearray(b"abc"), False
    assert cycle.whole_body(3) == b"abc"
    assert cycle.body == b""


@pytest.mark.parametrize(
    "fields",
    [
        [(b"x-a", b"1\r\nset-cookie: b")],
        [(b"x-a", b"1\n"), (b"x-b", b"2")],
        [(b"x-a\n", b"1")],
    ],
)
def test_an_answer_with_another_s_line_is_not_written(fields: RawHeaders) -> None:
    line = Line()
    cycle = cycle_on(line)
    assert not cycle.write_whole(200, b"", fields, b"")
    assert line.written == []
    assert cycle.write_whole(200, b"x-c: 3\r\n", [(b"x-a", b"1")], b"body")
    (written,) = line.written
    assert written == b"HTTP/1.1 200 OK\r\nx-c: 3\r\ndate: now\r\nx-a: 1\r\n\r\nbody"
