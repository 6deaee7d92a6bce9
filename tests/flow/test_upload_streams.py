"""Uploads and previews over real sockets: memory, a client that leaves, silence.

`UPLOAD_TEST_MIB` and `UPLOAD_TEST_RANGES` set the size of the long test; `make test`
runs it short, the figures of the docs are those of 100 and 1000.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import redis
from forked_server import ForkedServer
from own_conduit import OwnConduit
from serving import NO_TLS
from upload_harness import (
    BOUNDARY,
    END,
    PREFLIGHT,
    forget_peak,
    forget_uploads,
    front,
    memory_bytes,
    names_of,
    noise,
    operations,
    pieces,
)

from harness import PASSWORD, Caller, Sandbox, free_port, start_server, wait_until_alive

MIB = 1024 * 1024
SIZE = int(os.environ.get("UPLOAD_TEST_MIB", "20")) * MIB
RANGES = int(os.environ.get("UPLOAD_TEST_RANGES", "20"))
# A lazily loaded module or a warmed-up pool is no file held in memory.
ALLOWED_GROWTH = 30_000_000


@pytest.fixture(autouse=True, scope="module")
def as_it_was(running_sandbox: Sandbox) -> Iterator[None]:
    """Other tests count on the demo files."""
    yield
    forget_uploads(running_sandbox)


@pytest.fixture
def server(sandbox: Sandbox) -> Iterator[tuple[str, ForkedServer]]:
    port = free_port()
    process = start_server(sandbox, port, BODY_TIMEOUT_S="1", SHUTDOWN_TIMEOUT_S="1")
    try:
        wait_until_alive(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
async def caller(server: tuple[str, ForkedServer], sandbox: Sandbox):
    async with client(server[0]) as http:
        caller = Caller(http)
        await caller.sign_in("first", PASSWORD)
        sandbox.forget()
        yield caller


@contextlib.asynccontextmanager
async def a_server(
    sandbox: Sandbox, **environment: str
) -> AsyncIterator[tuple[str, int]]:
    """The server as its own process, as it is by default: address and process id."""
    port = free_port()
    process = start_server(sandbox, port, **environment)
    try:
        url = f"http://127.0.0.1:{port}"
        await asyncio.to_thread(wait_until_alive, url, process)
        yield url, process.pid
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=120, verify=NO_TLS)


async def multipart_of(content: bytes, name: str):
    yield front(operations(name=name), file_name="a.bin", kind="a/b")
    for piece in pieces(content):
        yield piece
    yield END


def length_of(content: bytes, name: str) -> int:
    start = front(operations(name=name), file_name="a.bin", kind="a/b")
    return len(start) + len(content) + len(END)


@pytest.mark.parametrize("ranges", ["ranges", "no ranges"])
async def test_a_big_file_passes_through_and_never_lies_in_memory(
    sandbox: Sandbox, conduit: OwnConduit, ranges: str
) -> None:
    """Over a storage that answers ranges, and over one that always sends it all."""
    conduit.state.settings.file_ranges = ranges == "ranges"
    conduit.join("me")
    content = noise(SIZE)
    async with (
        a_server(sandbox, **conduit.environment) as (url, pid),
        client(url) as http,
    ):
        caller = Caller(http)
        await caller.sign_in("me")
        await http.put("/files?name=warm-up", content=b"x", headers=PREFLIGHT)
        forget_peak(pid)
        before = memory_bytes(pid)
        path = await send_by_multipart(caller, content)
        by_multipart = memory_bytes(pid) - before
        await send_by_put(caller, content)
        by_put = memory_bytes(pid) - before
        took_s = await read_ranges(caller, path, content)
        in_all = memory_bytes(pid) - before
    print(
        f"\n{SIZE / MIB:.0f} MiB, storage with {ranges}: resident memory grew by "
        f"{by_multipart / MIB:.1f} MiB for uploadFile, {by_put / MIB:.1f} MiB with "
        f"PUT /files, {in_all / MIB:.1f} MiB with {RANGES} ranges ({took_s:.1f} s), "
        "byte-identical"
    )
    assert in_all < ALLOWED_GROWTH


async def send_by_multipart(caller: Caller, content: bytes) -> str:
    """The preview's path."""
    answer = await caller.http.post(
        "/graphql",
        content=multipart_of(content, "streamed"),
        headers={
            **PREFLIGHT,
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": str(length_of(content, "streamed")),
        },
    )
    file = answer.json()["data"]["uploadFile"]["file"]
    assert file["size"] == SIZE
    return str(file["previewUrl"])


async def send_by_put(caller: Caller, content: bytes) -> None:
    """In pieces; httpx would copy the whole again and again."""

    async def body():
        for piece in pieces(content):
            yield piece

    headers = {**PREFLIGHT, "Content-Length": str(len(content))}
    answer = await caller.http.put("/files?name=plain", content=body(), headers=headers)
    assert answer.status_code == 201


async def read_ranges(caller: Caller, path: str, content: bytes) -> float:
    """Random ranges of random forms, each compared byte for byte; seconds taken."""
    choose = random.Random(1)  # noqa: S311 test data, no secret
    started = time.monotonic()
    for _ in range(RANGES):
        first, length = choose.randrange(SIZE), choose.randrange(1, 200_000)
        last = min(first + length, SIZE) - 1
        asked, expected = choose.choice(
            [
                (f"bytes={first}-{last}", content[first : last + 1]),
                (f"bytes={first}-{last}", content[first : last + 1]),
                (f"bytes=-{length}", content[-length:]),
                (f"bytes={SIZE - length}-", content[-length:]),
            ]
        )
        answer = await caller.http.get(path, headers={"Range": asked})
        assert answer.status_code == 206
        assert answer.content == expected
    took_s = time.monotonic() - started
    whole = await caller.http.get(path)
    assert whole.content == content
    return took_s


@pytest.mark.parametrize("way", ["PUT", "multipart"])
async def test_a_client_that_leaves_in_mid_upload_leaves_no_record(
    caller: Caller, sandbox: Sandbox, way: str
) -> None:
    """And frees its key at once: the client may come back with the whole."""
    name = f"left-{way}"
    _, writer = await begin(caller, way, name)
    await seen(sandbox, "POST")
    assert name in await names_of(caller)
    writer.close()
    await seen(sandbox, "DELETE")
    assert name not in await names_of(caller)
    headers = {**PREFLIGHT, "Idempotency-Key": name}
    path = f"/files?name={name}"
    again = [
        (await caller.http.put(path, content=b"whole", headers=headers)).json()
        for _ in range(2)
    ]
    assert again[0]["file"] == again[1]["file"]


@pytest.mark.parametrize("way", ["PUT", "multipart"])
async def test_a_client_that_falls_silent_is_let_go_and_leaves_no_record(
    caller: Caller, sandbox: Sandbox, way: str
) -> None:
    reader, writer = await begin(caller, way, "silent")
    async with asyncio.timeout(10):
        status = await reader.readline()
        headers = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert status.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in headers
    await seen(sandbox, "DELETE")
    assert "silent" not in await names_of(caller)


async def begin(
    caller: Caller, way: str, name: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send 3 of 5 MiB of a file, and no more."""
    path, kind, body = f"PUT /files?name={name}", "a/b", noise(5 * MIB)
    if way == "multipart":
        path, kind = "POST /graphql", f"multipart/form-data; boundary={BOUNDARY}"
        given = operations(name=name, idempotencyKey=name)
        body = front(given, file_name="a", kind="a/b") + body + END
    cookie = "; ".join(f"{k}={v}" for k, v in caller.http.cookies.items())
    head = (
        f"{path} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n"
        f"GraphQL-Require-Preflight: 1\r\nContent-Type: {kind}\r\n"
        f"Idempotency-Key: {name}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    url = httpx.URL(str(caller.http.base_url))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(head.encode() + body[: 3 * MIB])
    await writer.drain()
    return reader, writer


async def test_a_server_that_is_stopped_in_mid_upload_leaves_no_record(
    caller: Caller, server: tuple[str, ForkedServer], sandbox: Sandbox
) -> None:
    async def endless():
        while True:
            yield noise(65_536)
            await asyncio.sleep(0.05)

    headers = {**PREFLIGHT, "Content-Length": str(100 * MIB), "Idempotency-Key": "x"}
    sending = asyncio.create_task(
        caller.http.put("/files?name=stopped", content=endless(), headers=headers)
    )
    await seen(sandbox, "POST")
    server[1].terminate()
    await asyncio.to_thread(server[1].wait, 20)
    await asyncio.gather(sending, return_exceptions=True)
    await seen(sandbox, "DELETE")
    with redis.Redis.from_url(sandbox.redis) as store:
        assert store.keys("mainstem:claim:*") == []  # the key is free at once


async def seen(sandbox: Sandbox, method: str) -> None:
    """Wait until such a call has reached Conduit and was answered."""
    async with asyncio.timeout(15):
        while True:
            records = sandbox.http.get(f"{sandbox.conduit}/_sandbox/requests").json()
            if any(r["method"] == method and r["status"] for r in records):
                return
            await asyncio.sleep(0.05)
