"""Uploads: a file on its way through, from the sender to the storage host.

Called by `schema/files.py` (uploadFile) and `server/uploads.py` (PUT /files). Conduit
makes the record first and gives a signed address for the bytes (conduit.md §6); until
they are there the record lies. So whatever ends an upload early, a sender that goes
away, a storage that fails, this server being stopped, the record is deleted.

The bytes are handed on as they come: no more than `LOOK_AHEAD_BYTES` of a file are
held, and the storage's pace is the sender's.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
)
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from clients.conduit.records import ConduitFile, PendingUpload
from clients.conduit.storage import ConduitStorage
from clients.errors import NotFoundError, UpstreamError
from clients.http import CallScope

from . import file_names, file_types, inputs
from .context import RequestContext
from .outcomes import is_open
from .upload_rules import IncomingFile

T = TypeVar("T")

# A file that ends within it is measured; the length of others must be told.
LOOK_AHEAD_BYTES: Final = 1024 * 1024
PIECE_BYTES: Final = 64 * 1024
# What the calls after the bytes may take, however long the bytes took.
AFTERWARDS_S: Final = 10.0
CLEAN_UP_WAITS_S: Final = (0.0, 0.5, 1.5)

log = logging.getLogger("mainstem.uploads")


@dataclass(frozen=True, slots=True)
class _Upload:
    """All that is known before the bytes are sent on."""

    name: str
    alias: str
    folder: str
    media_type: str
    size: int
    is_public: bool


async def upload_file(
    context: RequestContext,
    file: IncomingFile,
    *,
    name: str | None,
    folder: str | None,
    is_public: bool,
) -> ConduitFile:
    """One call for the record, one for the bytes; two more when it is given up.

    Raises: InvalidInputError, ConflictError (the name is taken in that folder),
    PermissionDeniedError.
    """
    viewer_id = context.require_viewer()
    place = file_names.own_folder(viewer_id, folder)
    chosen = _name(name, file)
    with context.uploads_under_way.one_more():
        record = await _take(context, file, chosen, place, is_public=is_public)
    context.forget()
    return record


async def _take(
    context: RequestContext,
    file: IncomingFile,
    name: str,
    folder: str,
    *,
    is_public: bool,
) -> ConduitFile:
    async with contextlib.aclosing(file.pieces()) as pieces:
        head, ended = await _look_ahead(pieces)
        upload = _Upload(
            name=name,
            alias=file_names.alias(name, uuid.uuid4().hex[:12]),
            folder=folder,
            media_type=file_types.checked_type(file.media_type, name, head),
            size=_size(len(head) if ended else file.size),
            is_public=is_public,
        )
        context.uploads.check(upload.name, upload.media_type, upload.size)
        return await _send(context, upload, _exactly(upload.size, head, pieces))


def _name(given: str | None, file: IncomingFile) -> str:
    """The name asked for, else the sender's own for the file, else a new one."""
    if given is not None:
        name = file_names.clean_name(given)
        if not name:
            raise inputs.refused("name", "This is not a name for a file.")
        return name
    return file_names.clean_name(file.name or "") or str(uuid.uuid4())


async def _look_ahead(pieces: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The first bytes, and whether they are all."""
    head = bytearray()
    async for piece in pieces:
        head += piece
        if len(head) >= LOOK_AHEAD_BYTES:
            return bytes(head), False
    return bytes(head), True


def _size(told: int | None) -> int:
    """Storage hosts take no bytes without knowing how many."""
    if told is None:
        raise inputs.refused(
            "file", "The request needs a Content-Length for a file of this size."
        )
    return told


async def _exactly(
    size: int, head: bytes, rest: AsyncIterator[bytes]
) -> AsyncGenerator[bytes, None]:
    """`size` bytes, no more and no less. Raises: InvalidInputError."""
    left = size
    async for piece in _joined(head, rest):
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left != 0:
        raise inputs.refused(
            "file",
            "The file is not as long as the request's Content-Length says: end a "
            "multipart body by a line end, or use PUT /files.",
        )


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for start in range(0, len(head), PIECE_BYTES):
        yield head[start : start + PIECE_BYTES]
    async for piece in rest:
        yield piece


async def _send(
    context: RequestContext, upload: _Upload, content: AsyncGenerator[bytes, None]
) -> ConduitFile:
    """The record, then the bytes; without the bytes no record is left."""
    storage, scope = context.conduit.storage, context.scope
    pending = await _begin(context, upload)
    try:
        async with contextlib.aclosing(content):
            await storage.put_bytes(
                context.uploads.admit(pending.url),
                content,
                size=upload.size,
                mime_type=upload.media_type,
            )
    except BaseException as failure:
        _allow_time(scope)
        cleared = await to_the_end(_clear(partial(_delete, storage, pending.file.id)))
        if isinstance(failure, UpstreamError):
            failure.outcome_unknown = not cleared
        raise
    _allow_time(scope)
    return pending.file


async def _begin(context: RequestContext, upload: _Upload) -> PendingUpload:
    """The record. One that may have been made without our hearing of it is deleted."""
    storage = context.conduit.storage
    try:
        return await storage.begin_upload(
            name=upload.name,
            alias=upload.alias,
            mime_type=upload.media_type,
            size=upload.size,
            folder=upload.folder,
            is_public=upload.is_public,
        )
    except BaseException as failure:
        if _may_be_done(failure):
            _allow_time(context.scope)
            find = partial(_delete_by_alias, storage, upload.alias)
            cleared = await to_the_end(_clear(find))
            if isinstance(failure, UpstreamError):
                failure.outcome_unknown = not cleared
        raise


def _may_be_done(failure: BaseException) -> bool:
    return not isinstance(failure, UpstreamError) or is_open(failure)


async def _delete(storage: ConduitStorage, id: str) -> bool:
    with contextlib.suppress(NotFoundError):
        await storage.delete(id)
    return True


async def _delete_by_alias(storage: ConduitStorage, alias: str) -> bool:
    id = await storage.find_by_alias(alias)
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


async def to_the_end(work: Coroutine[object, object, T]) -> T:
    """Run `work` to its end; a cancellation that comes meanwhile waits for it."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return task.result()


def _allow_time(scope: CallScope) -> None:
    """The deadline is about waiting for upstreams, not about a sender's own pace."""
    now = asyncio.get_running_loop().time()
    scope.deadline = max(scope.deadline, now + AFTERWARDS_S)
