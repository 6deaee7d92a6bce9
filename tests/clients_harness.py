"""A scripted HTTP/1.1 server on loopback: what the clients' tests talk to.

It is written on sockets, not on a framework, because half of the tests are about
answers that no framework would give. It records every request as it came.
"""

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from clients.http import (
    CallScope,
    HTTPLimits,
    Transport,
    TransportName,
    UpstreamHTTP,
    open_transport,
)
from clients.transports import DEFAULT_TRANSPORT


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    version: str = "HTTP/1.1"

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded, in the order sent."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def json(self) -> object:
        return json.loads(self.body)


Script = Callable[[Seen, asyncio.StreamWriter], Awaitable[bool]]


def answer(
    status: int = 200,
    body: object = b"",
    headers: dict[str, str] | None = None,
    *,
    content_type: str = "application/json; charset=utf-8",
) -> Script:
    """A well-formed answer; anything but bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(raw)}"]
        if content_type:
            lines.append(f"Content-Type: {content_type}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        writer.write(head + (b"" if seen.method == "HEAD" else raw))
        return True

    return script


def raw(data: bytes) -> Script:
    """These bytes, then the connection is closed."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        return False

    return script


async def close(seen: Seen, writer: asyncio.StreamWriter) -> bool:
    """Close without a word."""
    return False


async def reset(seen: Seen, writer: asyncio.StreamWriter) -> bool:
    """End the connection by RST."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, linger
    )
    return False


async def hang(seen: Seen, writer: asyncio.StreamWriter) -> bool:
    """Accept, and never answer."""
    await asyncio.sleep(60)
    return False


# Short, so that a test of a time-out does not last; long enough for a busy machine.
LIMITS = HTTPLimits(
    connect_s=1.0,
    read_s=0.5,
    total_s=2.0,
    max_connections=10,
    keepalive_s=4.0,
    max_response_bytes=100_000,
)


# The tests of one dialect need one transport; the contract's own tests name both.
TRANSPORT = cast(TransportName, os.environ.get("UPSTREAM_TRANSPORT", DEFAULT_TRANSPORT))


@dataclass
class Upstream:
    """Answers each request by the next of its scripts; the last one stays."""

    transport_name: TransportName = TRANSPORT
    scripts: list[Script] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    reads_bodies: bool = True
    _pools: list[Transport] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def script(self, *scripts: Script) -> None:
        self.scripts = list(scripts)

    @property
    def only(self) -> Seen:
        """The one request there was."""
        assert len(self.seen) == 1, [request.target for request in self.seen]
        return self.seen[0]

    def transport(self, limits: HTTPLimits = LIMITS) -> Transport:
        """A pool that is closed with this server."""
        pool = open_transport(self.transport_name, limits)
        self._pools.append(pool)
        return pool

    def http(self, limits: HTTPLimits = LIMITS) -> UpstreamHTTP:
        """A plain `UpstreamHTTP`, as Flux's but without its reading of refusals."""
        return UpstreamHTTP("flux", self.url, self.transport(limits), limits)

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, limit=200_000
        )
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        assert self._server is not None
        for pool in self._pools:
            await pool.aclose()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._serve(reader, writer):
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # Not `close`: that waits for a peer which may never read what is left.
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, version = first.split(" ", 2)
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in lines)
        }
        length = int(headers.get("content-length", "0")) if self.reads_bodies else 0
        body = await reader.readexactly(length)
        request = Seen(method, target, headers, body, version)
        self.seen.append(request)
        script = self.scripts[0] if len(self.scripts) == 1 else self.scripts.pop(0)
        return await script(request, writer)


def background(timeout_s: float) -> CallScope:
    """A scope that ends in so many seconds."""
    return CallScope.for_background(timeout_s, "test")


@dataclass
class Tokens:
    """An `Auth` that gives the listed tokens, one after the other."""

    tokens: Sequence[str | None] = ("token-1", "token-2")
    refused: list[str] = field(default_factory=list)
    person: str | None = "person-1"

    async def token(self) -> str | None:
        return self.tokens[0]

    async def replacement(self, refused: str) -> str | None:
        self.refused.append(refused)
        return self.tokens[1] if len(self.tokens) > 1 else None
