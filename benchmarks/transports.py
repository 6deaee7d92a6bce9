"""What one upstream call costs: `python -m benchmarks.transports`.

CPU of the calling process in µs a call, with 16 calls in flight on uvloop, for each
transport alone (`raw`), and through `UpstreamHTTP.send` and what the server puts
between (`send`). The upstream is a process of its own that answers at
once. Each figure is the least of many short rounds: other programs only add to it.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final, cast

import httptools
import uvloop

from clients.http import CallScope, HTTPLimits, UpstreamHTTP
from clients.resilience import ResilienceLimits, ResilientTransport
from clients.thrift import ThriftyTransport
from clients.transport import Outgoing, Transport
from clients.transports import TRANSPORTS, open_transport

IN_FLIGHT: Final = 16
CALLS: Final = 160
MEASURE_S: Final = 3.0
HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Profile": "tenant_0123456",
    "Prefer": "count=exact",
}
TARGET: Final = "/notes?select=id,body,created_at&order=created_at.desc&offset="
LIMITS: Final = HTTPLimits()

Call = Callable[[], Awaitable[object]]


class _Stub(asyncio.Protocol):
    """Answers every request by as many bytes of JSON as its `limit` says."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._size = int(url.rpartition(b"=")[2])

    def on_message_complete(self) -> None:
        self._transport.write(_answer(self._size))


def _answer(size: int) -> bytes:
    """As PostgREST answers: in one chunk."""
    head = (
        "HTTP/1.1 200 OK\r\nDate: Wed, 25 Nov 2026 22:00:00 GMT\r\n"
        "Server: postgrest/12.2\r\nContent-Range: 0-19/*\r\n"
        "Content-Location: /notes?select=id\r\nVary: Origin\r\n"
        "Content-Type: application/json; charset=utf-8\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    return f'{head}{size + 2:x}\r\n"{"x" * size}"\r\n0\r\n\r\n'.encode()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _raw(transport: Transport, base: str, size: int) -> Call:
    url = f"{base}{TARGET}0&limit={size}"
    headers = {**HEADERS, "Authorization": "Bearer " + "x" * 600}

    async def call() -> None:
        outgoing = Outgoing("GET", url, dict(headers))
        await transport.exchange(outgoing, timeout_s=10, max_bytes=10**7)

    return call


class _Token:
    person = "somebody"

    async def token(self) -> str | None:
        return "x" * 600

    async def replacement(self, refused: str) -> str | None:
        return None


def _send(transport: Transport, base: str, size: int) -> Call:
    gate = ResilientTransport(transport, ResilienceLimits(concurrent=48))
    http = UpstreamHTTP("flux", base, ThriftyTransport(gate), LIMITS, HEADERS)
    auth, numbers = _Token(), itertools.count()

    async def call() -> None:
        # Equal ones would be made once.
        target = f"{TARGET}{next(numbers)}&limit={size}"
        scope = CallScope.for_background(10.0, "benchmark")
        await http.send("GET", target, operation="notes", scope=scope, auth=auth)

    return call


async def _cost(call: Call) -> float:
    """CPU µs a call, the least of all rounds."""

    async def caller(calls: int) -> None:
        for _ in range(calls):
            await call()

    least, ends_at = float("inf"), time.monotonic() + MEASURE_S
    while time.monotonic() < ends_at:
        began = time.process_time()
        await asyncio.gather(*(caller(CALLS // IN_FLIGHT) for _ in range(IN_FLIGHT)))
        least = min(least, (time.process_time() - began) / CALLS * 1e6)
    return least


async def _measure(names: list[str]) -> None:
    stub = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, "serve", stdout=asyncio.subprocess.PIPE
    )
    told = await cast(asyncio.StreamReader, stub.stdout).readline()
    base = f"http://127.0.0.1:{int(told)}"
    print(f"{'CPU µs a call':14}{'raw 1 KB':>10}{'raw 8 KB':>10}{'send 1 KB':>11}")
    for name in TRANSPORTS:
        if names and name not in names:
            continue
        transport = open_transport(name, LIMITS)
        calls = (_raw(transport, base, 1000), _raw(transport, base, 8500))
        figures = [await _cost(call) for call in calls]
        figures.append(await _cost(_send(transport, base, 1000)))
        print(f"{name:14}{figures[0]:10.1f}{figures[1]:10.1f}{figures[2]:11.1f}")
        await transport.aclose()
    stub.terminate()
    await stub.wait()


if __name__ == "__main__":
    serving = sys.argv[1:] == ["serve"]
    uvloop.run(_serve() if serving else _measure(sys.argv[1:]))
