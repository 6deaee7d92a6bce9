"""Load generator: keep-alive connections that each ask, wait and ask again.

Called by `windows.py` in the process of the benchmark. Raw sockets and httptools, so
that one core has time left for the stub beside it: about 25 µs per request, where a
client library takes some hundred.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from time import perf_counter
from typing import cast

import httptools

PATIENCE_S = 30.0  # for the answers still under way when the time is over
LONGEST_S = 3600.0

# Headers that tell a server who asks.
Credentials = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and whole requests as they go over the wire: one for each person."""

    port: int
    requests: tuple[bytes, ...]

    @classmethod
    def graphql(cls, port: int, body: bytes, people: Iterable[Credentials]) -> "Target":
        return cls(port, tuple(_request(port, body, who) for who in people))

    def of(self, connection: int) -> Iterator[bytes]:
        """What a connection asks, over and over; people take turns on connections."""
        return repeat(self.requests[connection % len(self.requests)])


def _request(port: int, body: bytes, who: Credentials) -> bytes:
    headers = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        **who,
        "Content-Length": str(len(body)),
    }
    lines = ["POST /graphql HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


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
    """One connection: sends the next request as soon as an answer is whole."""

    def __init__(self, requests: Iterator[bytes], expected: bytes, load: Load) -> None:
        self._requests = requests
        self._expected = expected
        self._load = load
        self._end = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask_until(self, end: float) -> None:
        """Ask from now on; no request is sent after `end` (of `perf_counter`)."""
        self._end = end
        self._ask()

    def _ask(self) -> None:
        """Send the next request, if there is one."""
        request = next(self._requests, None)
        if request is None or self._transport is None:
            self._finish(None)
            return
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._sent_at = perf_counter()
        self._transport.write(request)

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
    """Ask for `seconds` and wait for the last answers. Raises: LoadError, OSError."""
    streams = [target.of(number) for number in range(connections)]
    return await _drive(target.port, streams, expected, seconds)


async def press_all(
    port: int, requests: Iterator[bytes], *, expected: bytes, connections: int
) -> Load:
    """Send each request once, over connections that share them.

    Raises: LoadError, also when that takes `LONGEST_S`; OSError.
    """
    return await _drive(port, [requests] * connections, expected, LONGEST_S)


async def _drive(
    port: int, streams: Sequence[Iterator[bytes]], expected: bytes, seconds: float
) -> Load:
    """One connection for each stream; all are open before the first one asks."""
    load = Load()
    loop = asyncio.get_running_loop()
    askers: list[_Asker] = []
    for stream in streams:
        _, asker = await loop.create_connection(
            partial(_Asker, stream, expected, load), "127.0.0.1", port
        )
        askers.append(asker)
    started = perf_counter()
    for asker in askers:
        asker.ask_until(started + seconds)
    try:
        async with asyncio.timeout(seconds + PATIENCE_S):
            await asyncio.gather(*(asker.done for asker in askers))
    except TimeoutError:
        raise LoadError(f"no answer within {PATIENCE_S:.0f} s") from None
    load.duration_s = perf_counter() - started
    return load
