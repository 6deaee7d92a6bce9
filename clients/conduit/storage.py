"""Files: metadata and uploads by Conduit, bytes by the storage host itself.

Called by `resolvers/files.py`, the loader of files and `server/preview.py`. Relies on
conduit.md §6 and, for lists, on `GetFilesByIds` and `GetFiles` of `conduit-init.json`.

Bytes travel through a pool of their own that never sends a token (house rule 9): the
signed address is the permission, and it never leaves the server.
"""

import contextlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from clients.errors import UpstreamMisconfiguredError, UpstreamResponseError
from clients.http import NO_HEADERS, StreamedResponse, UpstreamHTTP
from clients.keyset import Keyset

from . import database, failures, lookups
from .calls import ConduitCalls
from .records import ConduitFile, ConduitPage, PendingUpload

# Later than every file.
_FROM_THE_START: Final = Keyset(
    "2100-01-01T00:00:00.000Z", "ffffffff-ffff-ffff-ffff-ffffffffffff"
)
# MongoDB refuses what is no id of its own (conduit.md §11).
_FROM_THE_START_OF_OBJECTS: Final = Keyset("2100-01-01T00:00:00.000Z", "f" * 24)


_STRAY_PERCENT: Final = re.compile("%(?![0-9A-Fa-f]{2})")


class _Upload(msgspec.Struct):
    file: ConduitFile
    url: str


class _Alias(msgspec.Struct, rename={"id": "_id"}):
    id: str
    alias: str | None = None


class _AliasPage(msgspec.Struct):
    documents: list[_Alias]


class _Address(msgspec.Struct):
    result: str


class _Deleted(msgspec.Struct):
    success: bool


class _Contents(msgspec.Struct):
    data: str


_FILE: Final = msgspec.json.Decoder(ConduitFile)
_BY_ID: Final = lookups.Source(
    endpoint="GetFilesByIds",
    field="getStorageFileId",
    path="/storage/file/",
    document=_FILE,
    documents=msgspec.json.Decoder(list[ConduitFile]),
)
_PAGE: Final = msgspec.json.Decoder(ConduitPage[ConduitFile])
_ALIASES: Final = msgspec.json.Decoder(_AliasPage)
_UPLOAD: Final = msgspec.json.Decoder(_Upload)
_ADDRESS: Final = msgspec.json.Decoder(_Address)
_DELETED: Final = msgspec.json.Decoder(_Deleted)
_CONTENTS: Final = msgspec.json.Decoder(_Contents)


class ConduitStorage(msgspec.Struct, frozen=True):
    """Files as one person sees them."""

    _calls: ConduitCalls
    _bytes_http: UpstreamHTTP

    async def by_ids(self, ids: Sequence[str]) -> list[ConduitFile]:
        """`GetFilesByIds`, or storage's own routes; in no order, misses absent.

        With storage authorization on, only the latter obey its rules.

        Raises: InvalidInputError for a malformed id, before any call.
        """
        documents = await lookups.by_ids(
            self._calls,
            _BY_ID,
            ids,
            selection=database.FILE_SELECTION,
            skip_endpoint=self._calls.offers.storage_authorization,
        )
        return documents

    async def page(
        self, *, limit: int, beyond: Keyset | None = None
    ) -> ConduitPage[ConduitFile]:
        """`GetFiles`, newest first; `count` is the total only on the first page."""
        target = _newest(limit, beyond or self._from_the_start)
        response = await self._calls.read(target, operation="files page")
        return response.decode(_PAGE)

    @property
    def _from_the_start(self) -> Keyset:
        """With no input at all GetFiles would answer nothing (conduit.md §12)."""
        on_mongodb = self._calls.offers.object_ids
        return _FROM_THE_START_OF_OBJECTS if on_mongodb else _FROM_THE_START

    async def find_by_alias(self, alias: str, *, among: int = 100) -> str | None:
        """The id of the file that `begin_upload` gave this alias, if it is new.

        `GetFiles`, the newest `among`: for a record whose making was not told of. Also
        with storage authorization on, where nothing else can find one: only the id of
        the person's own file is taken from it.
        """
        target = _newest(among, self._from_the_start)
        response = await self._calls.read(target, operation="file by alias")
        found = response.decode(_ALIASES).documents
        return next((file.id for file in found if file.alias == alias), None)

    async def get(self, id: str) -> ConduitFile:
        """`GET /storage/file/{id}`. Raises: NotFoundError, PermissionDeniedError."""
        response = await self._calls.read(
            f"/storage/file/{self._calls.id(id)}", operation="file"
        )
        return response.decode(_FILE)

    async def data(self, id: str) -> str:
        """`GET /storage/file/data/{id}`: the contents in base64, whole."""
        response = await self._calls.read(
            f"/storage/file/data/{self._calls.id(id)}", operation="file data"
        )
        return response.decode(_CONTENTS).data

    async def signed_url(self, id: str, *, download: bool = False) -> str:
        """`GET /storage/getFileUrl/{id}`: an address good for 60 minutes.

        `download` is only sent when true: any value at all counts as true.

        Raises: NotFoundError, PermissionDeniedError.
        """
        target = f"/storage/getFileUrl/{self._calls.id(id)}"
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
        alias: str | None = None,
        folder: str | None = None,
        is_public: bool = False,
        scope: str | None = None,
    ) -> PendingUpload:
        """`POST /storage/upload`: the record now, the bytes by `put_bytes`.

        Until then the contents are a placeholder, and nothing tells that they are:
        whoever cannot finish must `delete` the record. `alias` must be ASCII without
        quotes: Conduit's local provider does not survive others (conduit.md §6). Only
        with storage authorization on does `scope` count: it owns the file then.

        Raises: ConflictError (same name in the folder), InvalidInputError,
        PermissionDeniedError (scope).
        """
        fields: dict[str, object] = {
            "name": name,
            "mimeType": mime_type,
            "size": size,
            "isPublic": is_public,
        }
        if folder is not None:
            fields["folder"] = folder
        if alias is not None:
            fields["alias"] = alias
        response = await self._calls.write(
            "POST",
            database.target("/storage/upload", database.scoped(scope)),
            operation="begin upload",
            json=fields,
        )
        upload = response.decode(_UPLOAD)
        try:
            return PendingUpload(upload.file, _storage_address(upload.url))
        except UpstreamMisconfiguredError as failure:
            failure.outcome_unknown = True  # the record is made
            raise

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
            headers=_upload_headers(url, size=size, mime_type=mime_type),
            content=content,
        ) as answer:
            if answer.status in (304, 404, 416):  # no answers to a PUT of a new file
                raise UpstreamResponseError(
                    f"upload bytes: the storage host answered {answer.status}",
                    service="conduit",
                    operation="upload bytes",
                    status=answer.status,
                )
            failures.raise_for_storage(answer.status, "upload bytes")

    async def delete(self, id: str) -> None:
        """`DELETE /storage/file/{id}`. Raises: NotFoundError, PermissionDeniedError."""
        response = await self._calls.write(
            "DELETE", f"/storage/file/{self._calls.id(id)}", operation="delete file"
        )
        if not response.decode(_DELETED).success:  # and no page of a proxy
            raise response.nonsense("it says that nothing was deleted")


def _upload_headers(url: str, *, size: int, mime_type: str) -> dict[str, str]:
    """What Conduit's storage providers want beside the signature (their sources).

    Azure's Put Blob asks for a kind of blob, which the others ignore. Aliyun's
    signature is over a Content-Type too, and Conduit signs none.
    """
    headers = {"Content-Length": str(size), "x-ms-blob-type": "BlockBlob"}
    if "OSSAccessKeyId=" not in url:
        headers["Content-Type"] = mime_type
    return headers


def _newest(limit: int, beyond: Keyset) -> str:
    return database.function(
        "GetFiles",
        {
            **database.keyset(beyond),
            "skip": "0",
            "limit": str(limit),
            "sort": database.NEWEST_FIRST,
        },
    )


def _storage_address(url: str) -> str:
    """An absolute web address, with what the local provider leaves as it is encoded.

    That one puts a file's name into the path as it stands (recording
    storage_local_names): blanks, and what would cut the address short or be taken for
    an escape. The parameters behind the last `?` are encoded already.

    The address is not quoted in the failure: it is a permission.
    """
    path, mark, query = url.rpartition("?")
    if mark:
        url = f"{path.replace('?', '%3F')}?{query}"
    url = _STRAY_PERCENT.sub("%25", url.replace("#", "%23").replace(" ", "%20"))
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UpstreamMisconfiguredError(
            "the storage address is not an absolute http(s) URL", service="conduit"
        )
    return url
