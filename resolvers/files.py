"""Files of Conduit's storage: what is known about them, and small ones whole."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Final

from clients.conduit.records import ConduitFile, ConduitPost
from clients.errors import (
    InvalidInputError,
    PermissionDeniedError,
    UpstreamError,
)

from . import inputs
from .batching import Loaded, came_along
from .context import RequestContext
from .ids import upstream_id
from .outcomes import look_up
from .paging import Page, PageRequest

MAX_DATA_BYTES: Final = 256 * 1024
MAX_DATA_BASE64: Final = -(-MAX_DATA_BYTES // 3) * 4


def get_file(context: RequestContext, file_id: str) -> Awaitable[ConduitFile | None]:
    """One call for all files asked for by id; None when missing or hidden."""
    context.require_viewer()
    return context.loaders.files.load(upstream_id("File", file_id))


def get_covers(
    context: RequestContext, posts: Sequence[ConduitPost]
) -> Loaded[ConduitFile | None]:
    """No call: covers are sent along with posts; else one for all of them."""
    refs = [post.cover_ref for post in posts]
    if came_along(refs):
        return refs
    return context.loaders.files.load_refs(refs)


def list_files(
    context: RequestContext, page: PageRequest
) -> Awaitable[Page[ConduitFile]]:
    """One call; one more for the total of a page that is not the first."""
    context.require_viewer()
    return context.loaders.file_pages.load(page)


def preview_url(context: RequestContext, file_id: str, *, download: bool) -> str:
    """The path of this server's own preview route; no call."""
    (url,) = preview_urls(context, [file_id], download=download)
    return url


def preview_urls(
    context: RequestContext, file_ids: Sequence[str], *, download: bool
) -> list[str]:
    """`preview_url` of many files."""
    query = "?download=1" if download else ""
    return [f"{context.shared.preview_path}/{file_id}{query}" for file_id in file_ids]


async def get_data(context: RequestContext, file: ConduitFile) -> str | None:
    """The contents in base64; one call per file, none for one that is too big.

    Raises: InvalidInputError above 256 KiB. The size in the record is the uploader's
    word, so what came is measured too.
    """
    if (file.size or 0) > MAX_DATA_BYTES:
        raise _too_big()
    data = await context.loaders.file_data.load(file.id)
    if len(data) > MAX_DATA_BASE64:
        raise _too_big()
    return data


async def delete_file(context: RequestContext, file_id: str) -> str:
    """A fresh read of the file, then one call; the upstream's id of what is gone.

    Without storage authorization Conduit lets any signed-in person delete any file
    (conduit.md §6); we only out of the viewer's own folder.
    Raises: NotFoundError, PermissionDeniedError.
    """
    viewer_id = context.require_viewer()
    storage = context.conduit.storage
    file = await storage.get(upstream_id("File", file_id))
    is_own = (file.folder or "").startswith(f"u/{viewer_id}/")
    if context.shared.checks_ownership and not is_own:
        raise PermissionDeniedError("a file outside the viewer's own folder")
    try:
        await storage.delete(file.id)
    except UpstreamError as failure:
        if await look_up(failure, partial(storage.get, file.id)) is not None:
            raise
    context.forget()
    return file.id


def _too_big() -> InvalidInputError:
    return inputs.refused("data", "This file is larger than 256 KiB: use previewUrl.")
