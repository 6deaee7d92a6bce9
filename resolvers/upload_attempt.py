"""One attempt at an upload: the record, then its bytes, and no record without bytes.

Used by `uploads.py`. Conduit makes the record first and gives a signed address for the
bytes (conduit.md §6); until they are there the record lies. So whatever ends an attempt
early, a sender that goes away, a storage that fails, this server being stopped, the
record is deleted.

Conduit makes the id of a file and takes none from us, but it takes an alias: the mark
of an attempt is in it, and by it a record is found whose making was not told of.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final

from clients.conduit.records import ConduitFile, PendingUpload
from clients.conduit.storage import ConduitStorage
from clients.errors import NotFoundError, UpstreamError
from clients.http import CallScope

from . import file_names, inputs
from .context import RequestContext
from .outcomes import is_open, to_the_end
from .retries import Creation

# A file that ends within it is measured; the length of others must be told.
LOOK_AHEAD_BYTES: Final = 1024 * 1024
PIECE_BYTES: Final = 64 * 1024
# What the calls after the bytes may take, however long the bytes took.
AFTERWARDS_S: Final = 10.0
CLEAN_UP_WAITS_S: Final = (0.0, 0.5, 1.5)
# Files that everybody may have uploaded since a record was made: by an attempt that
# goes on, and by one that a retry asks about later.
AMONG: Final = 100
AMONG_LATER: Final = 1000

log = logging.getLogger("mainstem.uploads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is known before the bytes are sent on. `name` None: an attempt makes one."""

    name: str | None
    folder: str
    media_type: str
    size: int
    is_public: bool
    scope: str | None

    def name_in(self, mark: str) -> str:
        """The name in the attempt with this mark."""
        return self.name or str(uuid.UUID(mark))

    def alias(self, mark: str) -> str:
        """An ASCII name for the storage's own header, and for us."""
        return file_names.alias(self.name_in(mark), mark[:12])


class _Digest:
    """A word for bytes that pass; for nobody to reverse, only to compare."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def take(self, piece: bytes) -> None:
        self._hash.update(piece)

    @property
    def word(self) -> str:
        return self._hash.hexdigest()


@dataclass(slots=True)
class Content:
    """A file's bytes on their way, once: `head` is held already, `rest` is to come.

    `digest` is of all bytes, once they have passed.
    """

    head: bytes
    rest: AsyncIterator[bytes]
    size: int
    digest: _Digest = field(default_factory=_Digest)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """`size` bytes, no more and no less. Raises: InvalidInputError."""
        left = self.size
        async for piece in self._joined():
            left -= len(piece)
            if left < 0:
                break
            self.digest.take(piece)
            yield piece
        if left != 0:
            raise inputs.refused(
                "file",
                "The file is not as long as the request's Content-Length says: end a "
                "multipart body by a line end, or use PUT /files.",
            )

    async def _joined(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.head), PIECE_BYTES):
            yield self.head[start : start + PIECE_BYTES]
        async for piece in self.rest:
            yield piece


# super() without arguments does not work in a class with slots: hence Creation's name.
@dataclass(slots=True, kw_only=True)
class UploadAttempt(Creation[ConduitFile]):
    """The write of an upload. The mark is 32 random hex digits."""

    takes_back: ClassVar[bool] = True

    context: RequestContext
    upload: Upload
    source: Content
    taken_back: bool = field(default=False, init=False)

    @property
    def content(self) -> str:
        """Name, place, type, size and the first bytes: all of a small file."""
        upload, start = self.upload, _Digest()
        # What is held may be a piece longer, and pieces come in other sizes each time.
        start.take(self.source.head[:LOOK_AHEAD_BYTES])
        place = [upload.name, upload.folder, upload.is_public, upload.scope]
        return json.dumps([*place, upload.media_type, upload.size, start.word])

    @property
    def receipt(self) -> str:
        """The digest of all bytes."""
        return self.source.digest.word

    async def confirm(self, receipt: str) -> None:
        """Take the bytes to their end. Raises: InvalidInputError (other bytes)."""
        async with contextlib.aclosing(self.source.pieces()) as pieces:
            async for _ in pieces:
                pass
        allow_time(self.context.scope)
        await Creation.confirm(self, receipt)

    async def mark(self) -> str:
        """No call."""
        return uuid.uuid4().hex

    async def write(self, mark: str) -> ConduitFile:
        """One call for the record, one for the bytes; two more when it is given up.

        Raises: ConflictError, InvalidInputError, PermissionDeniedError.
        """
        context, upload = self.context, self.upload
        pending = await self._begin(mark)
        try:
            async with contextlib.aclosing(self.source.pieces()) as pieces:
                await context.conduit.storage.put_bytes(
                    context.shared.uploads.admit(pending.url),
                    pieces,
                    size=upload.size,
                    mime_type=upload.media_type,
                )
        except BaseException as failure:
            delete = partial(_delete, context.conduit.storage, pending.file.id)
            await self._take_back(failure, delete)
            raise
        allow_time(context.scope)
        return pending.file

    async def find(self, mark: str) -> ConduitFile | None:
        """The file of an attempt that has ended; an unfinished one is deleted.

        Two calls and the bytes, which are compared: nothing else tells whether they
        came (conduit.md §6). Raises: InvalidInputError (other bytes).
        """
        storage = self.context.conduit.storage
        alias = self.upload.alias(mark)
        id = await storage.find_by_alias(alias, among=AMONG_LATER)
        if id is None:
            return None
        stored = await self._stored(id)
        if stored is None:
            await _delete(storage, id)
            return None
        await self.confirm(stored)
        return await storage.get(id)

    async def read(self, id: str) -> ConduitFile:
        """One call. Raises: NotFoundError."""
        return await self.context.conduit.storage.get(id)

    def id_of(self, row: ConduitFile) -> str:
        """The file's id."""
        return row.id

    def surely_failed(self, failure: BaseException) -> bool:
        """Also when it was cancelled, once the record is deleted."""
        return self.taken_back or Creation.surely_failed(self, failure)

    async def _begin(self, mark: str) -> PendingUpload:
        """The record. One made without our hearing of it is deleted."""
        storage, upload = self.context.conduit.storage, self.upload
        alias = upload.alias(mark)
        try:
            return await storage.begin_upload(
                name=upload.name_in(mark),
                alias=alias,
                mime_type=upload.media_type,
                size=upload.size,
                folder=upload.folder,
                is_public=upload.is_public,
                scope=upload.scope,
            )
        except BaseException as failure:
            if not isinstance(failure, UpstreamError) or is_open(failure):
                find = partial(_delete_by_alias, storage, alias)
                await self._take_back(failure, find)
            raise

    async def _take_back(
        self, failure: BaseException, attempt: Callable[[], Awaitable[bool]]
    ) -> None:
        """Delete what was half-made; `failure` says whether that is known."""
        scope = self.context.scope
        allow_time(scope)
        # No limit keeps what was half-made: it may be what ended the attempt.
        most, scope.max_calls = scope.max_calls, None
        try:
            self.taken_back = await to_the_end(_clear(attempt))
        finally:
            scope.max_calls = most
        if isinstance(failure, UpstreamError):
            failure.outcome_unknown = not self.taken_back

    async def _stored(self, id: str) -> str | None:
        """The digest of what the storage has; None unless it is of this length."""
        storage, context, head = self.context.conduit.storage, self.context, b""
        digest, size = _Digest(), 0
        allow_time(context.scope)
        address = context.shared.uploads.admit(await storage.signed_url(id))
        async with storage.open_bytes(address) as answer:
            async for chunk in answer.chunks():
                size += len(chunk)
                if size > self.upload.size:
                    return None
                digest.take(chunk)
                head += chunk[: len(self.source.head) - len(head)]
        complete = size == self.upload.size and head == self.source.head
        return digest.word if complete else None


async def _delete(storage: ConduitStorage, id: str) -> bool:
    with contextlib.suppress(NotFoundError):
        await storage.delete(id)
    return True


async def _delete_by_alias(storage: ConduitStorage, alias: str) -> bool:
    id = await storage.find_by_alias(alias, among=AMONG)
    return id is not None and await _delete(storage, id)


async def _clear(attempt: Callable[[], Awaitable[bool]]) -> bool:
    """Try some times; whether what was half-made is known to be gone."""
    for wait_s in CLEAN_UP_WAITS_S:
        await asyncio.sleep(wait_s)
        try:
            if await attempt():
                return True
        except UpstreamError as failure:
            log.warning("an unfinished upload is not deleted: %s", failure.message)
    return False


def allow_time(scope: CallScope) -> None:
    """The deadline is about waiting for upstreams, not about a sender's own pace."""
    now = asyncio.get_running_loop().time()
    scope.deadline = max(scope.deadline, now + AFTERWARDS_S)
