"""Files: metadata and uploads by Conduit, bytes by the storage host itself.

Called by `resolvers/files.py`, the loader of files and `server/preview.py`. Relies on
conduit.md §6 and, for lists, on `GetFilesByIds` and `GetFiles` of `conduit-init.json`.

Bytes travel through a pool of their own that never sends a token (house rule 9): the
signed address is the permission, and it never leaves the server.
"""

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from clients.chunks import concurrently, equal_chunks
from clients.errors import UpstreamMisconfiguredError
from clients.http import NO_HEADERS, StreamedResponse, UpstreamHTTP
from clients.ids import conduit_id
from clients.keyset import Keyset

from . import database, failures
from .calls import ConduitCalls
from .database import FileDocument, FilePage
from .records import ConduitFile, ConduitPage, PendingUpload

# Later than every file: with no input at all GetFiles would answer nothing.
_FROM_THE_START: Final = Keyset(
    "2100-01-01T00:00:00.000Z", "ffffffff-ffff-ffff-ffff-ffffffffffff"
)


class _Upload(msgspec.Struct):
    file: FileDocument
    url: str


class _Address(msgspec.Struct):
    result: str


class _Contents(msgspec.Struct):
    data: str


_FILE: Final = msgspec.json.Decoder(FileDocument)
_FILES: Final = msgspec.json.Decoder(list[FileDocument])
_PAGE: Final = msgspec.json.Decoder(FilePage)
_UPLOAD: Final = msgspec.json.Decoder(_Upload)
_ADDRESS: Final = msgspec.json.Decoder(_Address)
_CONTENTS: Final = msgspec.json.Decoder(_Contents)


class ConduitStorage:
    """Files as one person sees them."""

    def __init__(self, calls: ConduitCalls, bytes_http: UpstreamHTTP) -> None:
        self._calls = calls
        self._bytes_http = bytes_http

    async def by_ids(self, ids: Sequence[str]) -> list[ConduitFile]:
        """`GetFilesByIds`, 100 ids a call, side by side; in no order, misses absent.

        Raises: InvalidInputError for a malformed id, before any call.
        """
        wanted = list(dict.fromkeys(conduit_id(id) for id in ids))
        chunks = equal_chunks(wanted, database.IDS_PER_REQUEST)
        parts = await concurrently([self._some(chunk) for chunk in chunks])
        return [file for part in parts for file in part]

    async def _some(self, ids: Sequence[str]) -> list[ConduitFile]:
        response = await self._calls.read(
            database.function("GetFilesByIds", {"ids": database.listed(ids)}),
            operation="files by ids",
        )
        return [file.record() for file in response.decode(_FILES)]

    async def page(
        self, *, limit: int, beyond: Keyset | None = None
    ) -> ConduitPage[ConduitFile]:
        """`GetFiles`, newest first; `count` is the total only on the first page."""
        target = database.function(
            "GetFiles",
            {
                **database.keyset(beyond or _FROM_THE_START),
                "skip": "0",
                "limit": str(limit),
                "sort": database.NEWEST_FIRST,
            },
        )
        page = (await self._calls.read(target, operation="files page")).decode(_PAGE)
        return ConduitPage([file.record() for file in page.documents], page.count)

    async def get(self, id: str) -> ConduitFile:
        """`GET /storage/file/{id}`. Raises: NotFoundError, PermissionDeniedError."""
        response = await self._calls.read(
            f"/storage/file/{conduit_id(id)}", operation="file"
        )
        return response.decode(_FILE).record()

    async def data(self, id: str) -> str:
        """`GET /storage/file/data/{id}`: the contents in base64, whole."""
        response = await self._calls.read(
            f"/storage/file/data/{conduit_id(id)}", operation="file data"
        )
        return response.decode(_CONTENTS).data

    async def signed_url(self, id: str, *, download: bool = False) -> str:
        """`GET /storage/getFileUrl/{id}`: an address good for 60 minutes.

        `download` is only sent when true: any value at all counts as true.

        Raises: NotFoundError, PermissionDeniedError.
        """
        target = f"/storage/getFileUrl/{conduit_id(id)}"
        response = await self._calls.read(
            f"{target}?download=true" if download else target, operation="file url"
        )
        return _storage_address(response.decode(_ADDRESS).result)

    @contextlib.asynccontextmanager
    async def open_bytes(
        self, url: str, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncIterator[StreamedResponse]:
        """GET the bytes from the storage host, without a token.

        `headers` may hold Range and the like; the answer is 200, 206, 304 or 416.
        Its headers are the storage's word: nothing of them is to be passed on unread.

        Raises: NotFoundError, UpstreamResponseError, UpstreamUnavailableError.
        """
        async with self._bytes_http.stream(
            "GET",
            url,
            operation="file bytes",
            scope=self._calls.scope,
            headers=headers,
        ) as answer:
            failures.raise_for_storage(answer.status, "file bytes")
            yield answer

    async def begin_upload(
        self,
        *,
        name: str,
        mime_type: str,
        size: int,
        folder: str | None = None,
        is_public: bool = False,
    ) -> PendingUpload:
        """`POST /storage/upload`: the record now, the bytes by `put_bytes`.

        Until then the contents are a placeholder, and nothing tells that they are:
        whoever cannot finish must `delete` the record.

        Raises: ConflictError (same name in the folder), InvalidInputError.
        """
        fields: dict[str, object] = {
            "name": name,
            "mimeType": mime_type,
            "size": size,
            "isPublic": is_public,
        }
        if folder is not None:
            fields["folder"] = folder
        response = await self._calls.write(
            "POST", "/storage/upload", operation="begin upload", json=fields
        )
        upload = response.decode(_UPLOAD)
        return PendingUpload(upload.file.record(), _storage_address(upload.url))

    async def put_bytes(
        self, url: str, content: AsyncIterable[bytes], *, size: int, mime_type: str
    ) -> None:
        """PUT exactly `size` bytes to the signed address, as they come.

        Raises: UpstreamUnavailableError, UpstreamResponseError.
        """
        async with self._bytes_http.stream(
            "PUT",
            url,
            operation="upload bytes",
            scope=self._calls.scope,
            headers={"Content-Type": mime_type, "Content-Length": str(size)},
            content=content,
        ) as answer:
            failures.raise_for_storage(answer.status, "upload bytes")

    async def delete(self, id: str) -> None:
        """`DELETE /storage/file/{id}`. Raises: NotFoundError, PermissionDeniedError."""
        await self._calls.write(
            "DELETE", f"/storage/file/{conduit_id(id)}", operation="delete file"
        )


def _storage_address(url: str) -> str:
    """An absolute web address, blanks encoded (the local provider leaves them).

    The address is not quoted in the failure: it is a permission.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UpstreamMisconfiguredError(
            "the storage address is not an absolute http(s) URL", service="conduit"
        )
    return url.replace(" ", "%20")
