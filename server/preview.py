"""`GET /preview/{file_id}`: a file's bytes, streamed; the storage's address stays here.

The path in `File.previewUrl`. Three upstream calls: the record (name and type), the
signed address, the bytes. The first two carry the person's token, the third none: the
token never goes to the storage host. `?download=1` asks for a download. Bytes are
handed on as the client takes them, so a slow client holds the storage back and not
this server's memory.

A client's own copy (If-None-Match) and HEAD cost the record only. A range is asked of
the storage; one that knows no ranges (Conduit's local provider) gives the whole file,
and what was not asked for is thrown away here as it comes.

Relies on conduit.md §6 and the error table of docs/errors.md.
"""

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from clients.conduit.records import ConduitFile
from clients.conduit.storage import ConduitStorage
from clients.errors import NotFoundError, UpstreamError, UpstreamResponseError
from clients.http import StreamedResponse
from clients.ids import conduit_id

from .file_headers import file_headers
from .ranges import (
    RangeRequest,
    Span,
    cut,
    entity_tag,
    is_unchanged,
    span_of_answer,
    total_of_refusal,
    wanted_range,
)
from .refusals import method_not_allowed, send_whole
from .route_failures import refusal_for
from .storage_address import admit
from .trace import trace_of
from .upstream_settings import StorageSettings

log = logging.getLogger("mainstem.preview")

TRUTHS: Final = frozenset({"1", "true", "yes"})
# What Conduit stores until an upload's bytes come (conduit.md §6).
PLACEHOLDER: Final = b"PENDING UPLOAD"


class PreviewRoute:
    """`storage_of` gives the storage client of the request's person."""

    def __init__(
        self,
        storage_of: Callable[[Scope], ConduitStorage],
        settings: StorageSettings,
    ) -> None:
        self._storage_of = storage_of
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise method_not_allowed("GET", "HEAD")
        trace_of(scope).operation = "preview"
        answered = _Started(send)
        try:
            await self._serve(scope, receive, answered.send)
        except UpstreamError as error:
            log.warning("%s: %s", type(error).__name__, error.message)
            if answered.started:
                raise  # the length is wrong now: only cutting the connection tells it
            raise refusal_for(error) from None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        storage = self._storage_of(scope)
        file_id = conduit_id(scope["path_params"]["file_id"])
        download = _wants_download(scope["query_string"])
        asked = Headers(scope=scope)
        file = await storage.get(file_id)
        tag = entity_tag(file)
        headers = file_headers(file, download=download)
        headers |= {"etag": tag, "accept-ranges": "bytes"}
        if is_unchanged(asked.get("if-none-match"), tag):
            await send_whole(send, 304, _without_content(headers), b"")
        elif scope["method"] == "HEAD":
            if file.size is not None:
                headers["content-length"] = str(file.size)
            await send_whole(send, 200, headers, b"")
        else:
            wanted = wanted_range(asked.get("range"), asked.get("if-range"), tag)
            signed = await storage.signed_url(file_id, download=download)
            range_header = {} if wanted is None else {"Range": wanted.header}
            async with storage.open_bytes(
                admit(signed, self._settings), headers=range_header
            ) as source:
                part = await _read(source, file, wanted)
                await _send(part, headers, scope, receive, send)


class _Started:
    """Knows whether the head of the answer is out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        self.started = True
        await self._send(message)


@dataclass(slots=True)
class _Whole:
    """All bytes; their number if the storage told it."""

    length: str | None
    chunks: AsyncIterator[bytes]


@dataclass(slots=True)
class _Piece:
    """The bytes of a range."""

    span: Span
    chunks: AsyncIterator[bytes]


@dataclass(slots=True)
class _Nothing:
    """The range lies beyond the end."""

    total: int | None


async def _read(
    source: StreamedResponse, file: ConduitFile, wanted: RangeRequest | None
) -> _Whole | _Piece | _Nothing:
    """What to answer with. Raises: NotFoundError, UpstreamResponseError."""
    told = source.headers.get("content-range")
    if source.status == 200:
        return await _of_whole(source, file, wanted)
    if source.status == 206 and wanted is not None:
        span = span_of_answer(told)
        if wanted.fits(span):
            _refuse_placeholder(span.total, file)
            return _Piece(span, source.chunks())
    if source.status == 416 and wanted is not None:
        total = total_of_refusal(told)
        _refuse_placeholder(total, file)
        return _Nothing(total)
    raise UpstreamResponseError(
        f"the storage answered {source.status}, {told or 'no range'}",
        service="conduit",
    )


async def _of_whole(
    source: StreamedResponse, file: ConduitFile, wanted: RangeRequest | None
) -> _Whole | _Piece | _Nothing:
    """The storage gave everything, perhaps because it knows no ranges."""
    length = source.headers.get("content-length")
    chunks = await _without_placeholder(source.chunks(), file)
    # Without the storage's word the uploader's counts, which this server has checked.
    total = int(length) if length is not None and length.isdigit() else file.size
    if wanted is None or total is None:
        return _Whole(length, chunks)
    span = wanted.of(total)
    return _Nothing(total) if span is None else _Piece(span, cut(chunks, span))


async def _without_placeholder(
    chunks: AsyncIterator[bytes], file: ConduitFile
) -> AsyncIterator[bytes]:
    """The same bytes, looked at first. Raises: NotFoundError."""
    first = await anext(chunks, b"")
    if first == PLACEHOLDER:
        _refuse_placeholder(len(PLACEHOLDER), file)

    async def again() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return again()


def _refuse_placeholder(length: int | None, file: ConduitFile) -> None:
    """An upload that is not finished must not be taken, and kept, for the file."""
    if length == len(PLACEHOLDER) and file.size not in (None, length):
        raise NotFoundError("the file's upload is not finished", service="conduit")


async def _send(
    part: _Whole | _Piece | _Nothing,
    headers: dict[str, str],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    if isinstance(part, _Nothing):
        bare = _without_content(headers) | {"content-length": "0"}
        if part.total is not None:
            bare["content-range"] = f"bytes */{part.total}"
        await send_whole(send, 416, bare, b"")
        return
    status = 200
    if isinstance(part, _Piece):
        status = 206
        headers["content-range"] = part.span.content_range
        headers["content-length"] = str(part.span.length)
    elif part.length is not None:
        headers["content-length"] = part.length
    answer = StreamingResponse(part.chunks, status_code=status, headers=headers)
    await answer(scope, receive, send)


def _without_content(headers: dict[str, str]) -> dict[str, str]:
    """For an answer that has none."""
    return {
        name: value
        for name, value in headers.items()
        if not name.startswith("content-")
    }


def _wants_download(query_string: bytes) -> bool:
    values = parse_qs(query_string.decode("latin-1")).get("download", ["0"])
    return values[-1].lower() in TRUTHS
