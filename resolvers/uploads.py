"""Uploads: a file on its way through, from the sender to the storage host.

Called by `schema/files.py` (uploadFile) and `server/uploads.py` (PUT /files); what
becomes of the record is in `upload_attempt.py`. The bytes are handed on as they come:
no more than `LOOK_AHEAD_BYTES` of a file are held, and the storage's pace is the
sender's.

With an idempotency key a repetition gives the first file (`retries.py`). The same
upload is one with the same name, folder, visibility, scope, type, size and first bytes,
all known before the write; the rest is compared by a digest as it comes in. The key is
the same for both ways in.
"""

import contextlib
from collections.abc import AsyncIterator

from clients.conduit.records import ConduitFile

from . import file_names, file_types, inputs
from .context import RequestContext
from .retries import KeyedWrite, checked_key
from .upload_attempt import (
    LOOK_AHEAD_BYTES,
    Content,
    Upload,
    UploadAttempt,
    allow_time,
)
from .upload_rules import IncomingFile


async def upload_file(
    context: RequestContext,
    file: IncomingFile,
    *,
    name: str | None,
    folder: str | None,
    is_public: bool,
    scope: str | None = None,
    idempotency_key: str | None = None,
) -> ConduitFile:
    """One call for the record, one for the bytes; two more when it is given up.

    With a key, a repetition takes the bytes to their end, and costs one call.
    Raises: InvalidInputError, ConflictError (the name is taken in that folder),
    PermissionDeniedError.
    """
    viewer_id = context.require_viewer()
    key = checked_key(idempotency_key)
    place = file_names.own_folder(viewer_id, folder)
    chosen = _name(name, file)
    checked_scope = None if scope is None else inputs.scope(scope)
    with context.shared.uploads_under_way.one_more():
        async with contextlib.aclosing(file.pieces()) as pieces:
            head, ended = await _look_ahead(pieces)
            allow_time(context.scope)
            upload = Upload(
                name=chosen,
                folder=place,
                media_type=file_types.checked_type(file.media_type, chosen or "", head),
                size=_size(len(head) if ended else file.size),
                is_public=is_public,
                scope=checked_scope,
            )
            context.shared.uploads.check(chosen or "", upload.media_type, upload.size)
            source = Content(head, pieces, upload.size)
            attempt = UploadAttempt(context=context, upload=upload, source=source)
            record = await _carry_out(context, attempt, viewer_id, key)
    context.forget()
    return record


async def _carry_out(
    context: RequestContext, attempt: UploadAttempt, viewer_id: str, key: str | None
) -> ConduitFile:
    if key is None:
        return await attempt.write(await attempt.mark())
    return await KeyedWrite(
        context.shared.claims,
        attempt,
        operation="uploadFile",
        viewer_id=viewer_id,
        key=key,
    ).run()


def _name(given: str | None, file: IncomingFile) -> str | None:
    """The name asked for, else the sender's own for the file, else none."""
    if given is not None:
        name = file_names.clean_name(given)
        if not name:
            raise inputs.refused("name", "This is not a name for a file.")
        return name
    return file_names.clean_name(file.name or "") or None


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
