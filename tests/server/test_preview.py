"""The preview route: bytes, headers, statuses told apart, back-pressure.

The record and the signed address come from a stub of the storage client; the bytes
come over real sockets from a small storage server, through the real client pool.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from door_harness import behind_the_door
from serving import served
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from clients.conduit.client import storage_http
from clients.conduit.records import ConduitFile
from clients.errors import (
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    UpstreamError,
    UpstreamMisconfiguredError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    VaultUnavailableError,
)
from clients.http import (
    NO_HEADERS,
    CallScope,
    HTTPLimits,
    StreamedResponse,
    open_transport,
)
from clients.transports import DEFAULT_TRANSPORT
from schema.errors import details_of
from server.preview import PreviewRoute
from server.upstream_settings import StorageSettings

FILE_ID = "5ecfa3ab-72d1-4b2a-9c3d-000000000001"
FILE = ConduitFile(
    id=FILE_ID,
    name="cat.png",
    mime_type="image/png",
    size=7,
    created_at="2026-01-01",
    updated_at="2026-01-01",
)


@dataclass
class StubStorage:
    """The storage client with its two Conduit calls replaced; notes how it is used."""

    url: str
    failure: UpstreamError | None = None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = HTTPLimits(read_s=2)
        self._http = storage_http(open_transport(DEFAULT_TRANSPORT, limits), limits)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def get(self, id: str) -> ConduitFile:
        self.asked.append("get")
        if self.failure is not None:
            raise self.failure
        return FILE

    async def signed_url(self, id: str, *, download: bool = False) -> str:
        self.asked.append(f"signed_url download={download}")
        return self.url

    def open_bytes(
        self, url: str, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        self.asked.append("open_bytes")
        scope = CallScope.for_background(5, "test")
        return self._http.stream(
            "GET", url, operation="file bytes", scope=scope, headers=headers
        )


class Storage:
    """A storage server: `answer` decides what comes; keeps the request headers."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.sent_bytes = 0
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = [b"\x89PNG", b"abc"]
        self.breaks = False
        self.pause_s = 0.0
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.requests.append({k.decode(): v.decode() for k, v in scope["headers"]})
        head = {"status": self.status, "headers": self.headers}
        await send({"type": "http.response.start", **head})
        watching = asyncio.create_task(self._watch(receive))
        for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            # Slow enough that who goes away is seen to go before all of it is sent.
            await asyncio.sleep(self.pause_s)
            if self.left.is_set():
                return
            self.sent_bytes += len(chunk)
        watching.cancel()
        if self.breaks:
            raise ConnectionError("the storage breaks off")
        await send({"type": "http.response.body", "body": b""})

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        self.left.set()


@pytest.fixture
async def storage() -> AsyncIterator[tuple[Storage, str]]:
    app = Storage()
    async with served(app) as url:
        yield app, url


def preview_app(stub: StubStorage, *hosts: str) -> Starlette:
    settings = StorageSettings(hosts=frozenset(hosts), rewrites={})
    route = PreviewRoute(lambda scope: stub, settings)
    return behind_the_door(Route("/preview/{file_id:path}", route))


@asynccontextmanager
async def client_of(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        yield client


Pair = tuple[Storage, str]


@pytest.fixture
async def stub(storage: Pair) -> AsyncIterator[StubStorage]:
    stub = StubStorage(f"{storage[1]}/conduit/cat.png?sig=private")
    yield stub
    await stub.aclose()


async def test_the_bytes_come_with_the_records_type_and_safe_headers(
    storage: Pair, stub: StubStorage
) -> None:
    storage[0].headers = [
        (b"content-type", b"text/html"),
        (b"content-length", b"7"),
        (b"set-cookie", b"a=b"),
        (b"x-storage", b"private"),
    ]
    async with client_of(preview_app(stub, storage[1][7:])) as client:
        response = await client.get(
            f"/preview/{FILE_ID}", headers={"authorization": "Bearer x", "cookie": "a"}
        )
    assert response.content == b"\x89PNGabc"
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-length"] == "7"
    assert response.headers["content-security-policy"].startswith("sandbox")
    assert {"set-cookie", "x-storage"} & set(response.headers) == set()
    assert "private" not in str(response.headers).replace("private, no-cache", "")
    (request,) = storage[0].requests
    assert {"authorization", "cookie", "x-forwarded-for"} & set(request) == set()


async def test_download_asks_for_a_download(storage: Pair, stub: StubStorage) -> None:
    async with client_of(preview_app(stub, storage[1][7:])) as client:
        response = await client.get(f"/preview/{FILE_ID}?download=1")
        plain = await client.get(f"/preview/{FILE_ID}?download=false")
    assert response.headers["content-disposition"].startswith("attachment")
    assert plain.headers["content-disposition"].startswith("inline")
    assert [each for each in stub.asked if "download" in each] == [
        "signed_url download=True",
        "signed_url download=False",
    ]


async def test_head_costs_the_record_only(storage: Pair, stub: StubStorage) -> None:
    async with client_of(preview_app(stub, storage[1][7:])) as client:
        response = await client.head(f"/preview/{FILE_ID}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-length"] == "7"
    assert stub.asked == ["get"]
    assert storage[0].requests == []


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (NotAuthenticatedError("x"), 401, "UNAUTHENTICATED"),
        (PermissionDeniedError("x"), 403, "FORBIDDEN"),
        (NotFoundError("x"), 404, "NOT_FOUND"),
        (InvalidInputError("x", field="id"), 400, "BAD_USER_INPUT"),
        (RateLimitedError("x", retry_after_s=2.2), 503, "RATE_LIMITED"),
        (UpstreamTimeoutError("x"), 504, "UPSTREAM_TIMEOUT"),
        (VaultUnavailableError("x", service="vault"), 503, "UPSTREAM_UNAVAILABLE"),
        (UpstreamUnavailableError("x"), 503, "UPSTREAM_UNAVAILABLE"),
        (UpstreamMisconfiguredError("x"), 502, "UPSTREAM_MISCONFIGURED"),
        (UpstreamResponseError("x"), 502, "UPSTREAM_BAD_RESPONSE"),
        (UpstreamError("x"), 502, "UPSTREAM_ERROR"),
    ],
)
async def test_each_failure_has_its_own_status_and_nothing_of_its_text(
    stub: StubStorage, failure: UpstreamError, status: int, code: str
) -> None:
    failure.message = "http://10.0.0.1:3000 says: secret"
    stub.failure = failure
    async with client_of(preview_app(stub)) as client:
        response = await client.get(f"/preview/{FILE_ID}")
    assert response.status_code == status
    extensions = response.json()["errors"][0]["extensions"]
    assert extensions.pop("requestId") == response.headers["x-request-id"]
    assert extensions == {"code": code, **details_of(failure)}
    assert extensions.get("service") == failure.service
    assert "10.0.0.1" not in response.text
    assert response.headers["cache-control"] == "no-store"
    wait = "3" if code == "RATE_LIMITED" else None
    assert response.headers.get("retry-after") == wait


@pytest.mark.parametrize("path", ["nonsense", "..%2f..%2fetc%2fpasswd", "a/b", "%00"])
async def test_what_is_no_id_is_a_400_without_any_call(
    stub: StubStorage, path: str
) -> None:
    async with client_of(preview_app(stub)) as client:
        response = await client.get(f"/preview/{path}")
    assert response.status_code == 400
    assert stub.asked == []


async def test_an_address_outside_the_list_is_never_called(
    storage: Pair, stub: StubStorage
) -> None:
    async with client_of(preview_app(stub, "files.example.com")) as client:
        response = await client.get(f"/preview/{FILE_ID}")
    assert response.status_code == 502
    assert storage[0].requests == []
    assert storage[1][7:] not in response.text


async def test_a_redirect_of_the_storage_is_not_followed(
    storage: Pair, stub: StubStorage
) -> None:
    storage[0].status = 302
    storage[0].headers = [(b"location", f"{storage[1]}/elsewhere".encode())]
    async with client_of(preview_app(stub, storage[1][7:])) as client:
        response = await client.get(f"/preview/{FILE_ID}")
    assert response.status_code == 502
    assert len(storage[0].requests) == 1
    assert "location" not in response.headers


async def test_other_methods_are_refused(stub: StubStorage) -> None:
    async with client_of(preview_app(stub)) as client:
        response = await client.delete(f"/preview/{FILE_ID}")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


async def test_a_slow_client_holds_the_storage_back(
    storage: Pair, stub: StubStorage
) -> None:
    """Of 64 MiB only what fits into the sockets' buffers is taken from the storage."""
    storage[0].chunks = [b"x" * 65_536] * 1024
    async with served(preview_app(stub, storage[1][7:])) as url:
        reader, writer = await asyncio.open_connection(
            url[7:].split(":")[0], int(url.rsplit(":", 1)[1]), limit=65_536
        )
        writer.write(f"GET /preview/{FILE_ID} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await settled(lambda: storage[0].sent_bytes)
        taken = storage[0].sent_bytes
        writer.close()
    assert 0 < taken < 32 * 2**20


async def test_when_the_client_goes_away_the_storage_is_let_go(
    storage: Pair, stub: StubStorage
) -> None:
    storage[0].chunks = [b"x" * 65_536] * 2048
    storage[0].pause_s = 0.001
    async with served(preview_app(stub, storage[1][7:])) as url:
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", f"{url}/preview/{FILE_ID}") as response,
        ):
            async for _ in response.aiter_raw():
                break
        async with asyncio.timeout(5):
            await storage[0].left.wait()
    assert storage[0].sent_bytes < 2048 * 65_536


async def test_a_storage_that_breaks_off_breaks_the_answer_off(
    storage: Pair, stub: StubStorage
) -> None:
    """A cut connection, and not a short answer that looks whole."""
    storage[0].breaks = True
    async with (
        served(preview_app(stub, storage[1][7:])) as url,
        httpx.AsyncClient() as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{url}/preview/{FILE_ID}")


async def settled(value: Callable[[], int], quiet_s: float = 0.3) -> None:
    """Wait until the value has stopped moving."""
    async with asyncio.timeout(10):
        while True:
            before = value()
            await asyncio.sleep(quiet_s)
            if value() == before:
                return


@pytest.fixture
async def preview(storage: Pair, stub: StubStorage) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(preview_app(stub, storage[1][7:])) as client:
        yield client


def gives(storage: Pair, status: int, body: bytes, **headers: str) -> None:
    storage[0].status = status
    storage[0].chunks = [body] if body else []
    storage[0].headers = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in headers.items()
    ]


PATH = f"/preview/{FILE_ID}"


@pytest.mark.parametrize(
    ("asked", "body", "content_range"),
    [
        ("bytes=0-0", b"\x89", "bytes 0-0/7"),
        ("bytes=2-4", b"NGa", "bytes 2-4/7"),
        ("bytes=4-", b"abc", "bytes 4-6/7"),
        ("bytes=5-999", b"bc", "bytes 5-6/7"),
        ("bytes=-2", b"bc", "bytes 5-6/7"),
        ("bytes=-999", b"\x89PNGabc", "bytes 0-6/7"),
        ("bytes=0-6", b"\x89PNGabc", "bytes 0-6/7"),
    ],
)
@pytest.mark.parametrize("told", [True, False])
async def test_a_range_is_cut_here_when_the_storage_knows_none(
    storage: Pair,
    preview: httpx.AsyncClient,
    asked: str,
    body: bytes,
    content_range: str,
    told: bool,
) -> None:
    """With the length from the storage, or without it from the record."""
    storage[0].headers = [(b"content-length", b"7")] if told else []
    answer = await preview.get(PATH, headers={"range": asked})
    assert (answer.status_code, answer.content) == (206, body)
    assert answer.headers["content-range"] == content_range
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"].startswith("sandbox")


async def test_a_range_of_the_storage_is_handed_on(
    storage: Pair, preview: httpx.AsyncClient
) -> None:
    gives(storage, 206, b"NGa", content_range="bytes 2-4/9")
    answer = await preview.get(PATH, headers={"range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (206, b"NGa")
    assert answer.headers["content-range"] == "bytes 2-4/9"
    assert storage[0].requests[0]["range"] == "bytes=2-4"


@pytest.mark.parametrize("asked", ["bytes=7-", "bytes=99-100", "bytes=-0"])
async def test_a_range_beyond_the_end_is_a_416_with_the_length(
    storage: Pair, preview: httpx.AsyncClient, asked: str
) -> None:
    answer = await preview.get(PATH, headers={"range": asked})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == "bytes */7"
    gives(storage, 416, b"<xml>secret</xml>", content_range="bytes */9")
    answer = await preview.get(PATH, headers={"range": asked})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == "bytes */9"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {}),
        (206, {"content_range": "bytes 0-4/9"}),
        (206, {"content_range": "nonsense"}),
        (304, {}),
        (204, {}),
    ],
)
async def test_a_partial_answer_that_was_not_asked_for_is_nonsense(
    storage: Pair, preview: httpx.AsyncClient, status: int, headers: dict[str, str]
) -> None:
    gives(storage, status, b"" if status in (204, 304) else b"NGa", **headers)
    answer = await preview.get(PATH, headers={"range": "bytes=2-4"})
    assert answer.status_code == 502
    answer = await preview.get(PATH)
    assert answer.status_code == 502


@pytest.mark.parametrize(
    "headers",
    [
        {"range": "bytes=0-1,3-4"},
        {"range": "bytes=4-2"},
        {"range": "lines=1-2"},
        {"range": "bytes=0-1", "if-range": '"another"'},
        {"range": "bytes=0-1", "if-range": "Sun, 22 Nov 2026 06:17:19 GMT"},
    ],
)
async def test_a_range_that_is_none_or_of_another_version_gives_the_whole(
    storage: Pair, preview: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await preview.get(PATH, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"\x89PNGabc")
    assert "range" not in storage[0].requests[0]


async def test_a_copy_that_is_still_good_costs_the_record_only(
    storage: Pair, stub: StubStorage, preview: httpx.AsyncClient
) -> None:
    tag = (await preview.get(PATH)).headers["etag"]
    stub.asked.clear()
    for method in ("GET", "HEAD"):
        answer = await preview.request(method, PATH, headers={"if-none-match": tag})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "content-type" not in answer.headers
    assert stub.asked == ["get", "get"]
    answer = await preview.get(PATH, headers={"range": "bytes=0-1", "if-range": tag})
    assert answer.status_code == 206


async def test_a_refused_person_gets_no_304(
    stub: StubStorage, preview: httpx.AsyncClient
) -> None:
    tag = (await preview.get(PATH)).headers["etag"]
    stub.failure = PermissionDeniedError("x")
    answer = await preview.get(PATH, headers={"if-none-match": tag})
    assert answer.status_code == 403


async def test_head_ignores_a_range(preview: httpx.AsyncClient) -> None:
    answer = await preview.head(PATH, headers={"range": "bytes=0-1"})
    assert (answer.status_code, answer.headers["content-length"]) == (200, "7")


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-3"}])
async def test_an_upload_that_is_not_finished_is_not_taken_for_the_file(
    storage: Pair, preview: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    """It would be kept under the tag that the file will have."""
    gives(storage, 200, b"PENDING UPLOAD")
    answer = await preview.get(PATH, headers=headers)
    assert answer.status_code == 404
    assert "etag" not in answer.headers


async def test_a_file_shorter_than_its_record_breaks_the_range_off(
    storage: Pair, stub: StubStorage
) -> None:
    gives(storage, 200, b"abc")
    async with (
        served(preview_app(stub, storage[1][7:])) as url,
        httpx.AsyncClient() as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{url}{PATH}", headers={"range": "bytes=1-5"})
