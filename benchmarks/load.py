"""Load generator: keep-alive connections that each ask, wait and ask again.

Called by `cost.py` in the process of the benchmark. Raw sockets and httptools, so
that one core has time left for the stub beside it: about 25 µs per request, where a
client library takes some hundred.
"""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import httptools

PATIENCE_S = 30.0  # for the answers still under way when the time is over


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and the whole request as it goes over the wire."""

    port: int
    request: bytes

    @classmethod
    def graphql(cls, port: int, body: bytes, cookie: str) -> "Target":
        lines = (
            "POST /graphql HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Content-Type: application/json",
            "Accept: application/json",
            f"Cookie: {cookie}",
            f"Content-Length: {len(body)}",
            "\r\n",
        )
        return cls(port, "\r\n".join(lines).encode() + body)


@dataclass(slots=True)
class Load:
    """What came of it. `wrong` counts answers that differ from the first one."""

    latencies_s: list[float] = field(default_factory=list)
    wrong: int = 0
    sample: bytes = b""
    duration_s: float = 0.0

    @property
    def requests(self) -> int:
        return len(self.latencies_s)

    @property
    def per_second(self) -> float:
        return self.requests / self.duration_s

    def latency_ms(self, quantile: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)] * 1000


class LoadError(Exception):
    """The server closed a connection or left a request without an answer."""


class _Asker(asyncio.Protocol):
    """One connection: sends the request again as soon as its answer is whole."""

    def __init__(self, request: bytes, expected: bytes, load: Load, end: float) -> None:
        self._request = request
        self._expected = expected
        self._load = load
        self._end = end
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def _ask(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._sent_at = perf_counter()
        if self._transport is not None:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._finish(LoadError(f"not HTTP: {error}"))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        now = perf_counter()
        self._load.latencies_s.append(now - self._sent_at)
        if self._parser.get_status_code() != 200 or self._body != self._expected:
            self._load.wrong += 1
            self._load.sample = self._body
        if now < self._end:
            asyncio.get_running_loop().call_soon(self._ask)
        else:
            self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(LoadError(f"the server closed the connection: {exc}"))

    def _finish(self, error: LoadError | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
        if self._transport is not None:
            self._transport.close()


async def press(
    target: Target, *, expected: bytes, connections: int, seconds: float
) -> Load:
    """Ask for `seconds` and wait for the last answers. Raises: LoadError."""
    load = Load()
    started = perf_counter()
    end = started + seconds
    loop = asyncio.get_running_loop()
    askers = []
    for _ in range(connections):
        _, asker = await loop.create_connection(
            lambda: _Asker(target.request, expected, load, end),
            "127.0.0.1",
            target.port,
        )
        askers.append(asker)
    try:
        async with asyncio.timeout(seconds + PATIENCE_S):
            await asyncio.gather(*(asker.done for asker in askers))
    except TimeoutError:
        raise LoadError(f"no answer within {PATIENCE_S:.0f} s") from None
    load.duration_s = perf_counter() - started
    return load
