"""Any object by its global id, one or many of all kinds together."""

from collections.abc import Awaitable, Sequence
from typing import Final

from clients.conduit.records import (
    ConduitFile,
    ConduitPost,
    ConduitUser,
    ConduitViewer,
)
from clients.flux.records import FluxNote

from . import inputs, users
from .batching import each
from .context import RequestContext
from .ids import Kind, parse_global_id

Record = FluxNote | ConduitPost | ConduitFile | ConduitUser | ConduitViewer

MAX_NODES: Final = 100


def get_node(context: RequestContext, node_id: str) -> Awaitable[Record | None]:
    """One call per kind for all nodes of the operation; None when missing or hidden.

    Raises: InvalidInputError for what is not a global id.
    """
    kind, key = parse_global_id(node_id)
    context.require_viewer()
    return _load(context, kind, key)


async def get_nodes(
    context: RequestContext, node_ids: Sequence[str]
) -> list[Record | Exception | None]:
    """One call per kind, in the order asked; a failure is an exception in its place.

    Raises: InvalidInputError for more than 100 ids.
    """
    if len(node_ids) > MAX_NODES:
        raise inputs.refused("ids", f"At most {MAX_NODES} ids can be asked for.")
    return await each(_node(context, node_id) for node_id in node_ids)


async def _node(context: RequestContext, node_id: str) -> Record | None:
    # A coroutine, so that a malformed id fails in its place and not for all.
    return await get_node(context, node_id)


def _load(context: RequestContext, kind: Kind, key: str) -> Awaitable[Record | None]:
    loaders = context.loaders
    match kind:
        case "Note":
            return loaders.notes.load(key)
        case "Post":
            return loaders.posts.load(key)
        case "File":
            return loaders.files.load(key)
        case "User":
            return loaders.users.load(key)
        case "Viewer":
            return users.get_viewer_by_id(context, key)
