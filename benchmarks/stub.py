"""The stub upstream: Flux and Conduit in one process that answers at once.

Started by `surroundings.py` as `python -m benchmarks.stub [milliseconds]`, on a core of
its own; with a number, data routes answer that much later. Each distinct request is
answered once by `stub_answers.py`; the bytes are kept, so that the stub costs the same
for every server that is measured. `GET /_stub/calls` tells how many requests came,
refused ones included and itself not.

A data route without a bearer token is refused: a server that skips the work of the
session shall not look fast.
"""

import asyncio
import json
import sys
from http import HTTPStatus
from typing import cast

import httptools
import uvloop

from .stub_answers import Answer, StubAnswers

KEPT_ANSWERS = 10_000  # every mutation has a body of its own
OPEN_PATH = b"/authentication/local"
COUNTER_PATH = b"/_stub/calls"


class Stub:
    """What all connections share: the answers and the count."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self._answers = StubAnswers()
        self._kept: dict[tuple[bytes, bytes, bytes], bytes] = {}
        self._calls = 0

    def reply(self, method: bytes, target: bytes, body: bytes, *, token: bool) -> bytes:
        """The whole answer as it goes over the wire."""
        if target == COUNTER_PATH:
            return _on_wire(Answer(200, json.dumps({"calls": self._calls}).encode()))
        self._calls += 1
        if not token and target != OPEN_PATH:
            return _on_wire(Answer(401, b'{"error":"authorization required"}'))
        key = (method, target, body)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= KEPT_ANSWERS:
                self._kept.clear()
            answer = self._answers.answer(method.decode(), target.decode(), body)
            found = self._kept[key] = _on_wire(answer)
        return found


class _Connection(asyncio.Protocol):
    """One client connection, kept alive."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._target = b""
        self._body = b""
        self._token = False

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization":
            self._token = value.startswith(b"Bearer ")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method()
        reply = self._stub.reply(method, self._target, self._body, token=self._token)
        if self._stub.delay_s and self._token:
            loop = asyncio.get_running_loop()
            loop.call_later(self._stub.delay_s, self._write, reply)
        else:
            self._write(reply)

    def _write(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


def _on_wire(answer: Answer) -> bytes:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(answer.body)),
        **answer.headers,
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


async def serve(delay_s: float) -> None:
    """Serve on a free port, told as the first line on standard output."""
    stub = Stub(delay_s)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(stub), "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]) / 1000 if sys.argv[1:] else 0.0))
