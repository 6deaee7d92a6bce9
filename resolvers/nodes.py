"""Any object by its global id, one or many of all kinds together."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from clients.conduit.records import (
    ConduitFile,
    ConduitPost,
    ConduitUser,
    ConduitViewer,
)
from clients.errors import InvalidInputError, NotAuthenticatedError
from clients.flux.records import FluxNote

from . import inputs, users
from .batching import Loaded, each, settled
from .context import RequestContext
from .ids import Kind, parse_global_id

Record = FluxNote | ConduitPost | ConduitFile | ConduitUser | ConduitViewer

MAX_NODES: Final = 100


async def get_node(context: RequestContext, node_id: str) -> Record | None:
    """One call per kind for all nodes of the operation; None when missing or hidden.

    Raises: InvalidInputError for what is not a global id.
    """
    kind, key = parse_global_id(node_id)
    context.require_viewer()
    (found,) = await settled(_load_all(context, kind, [key]))
    if isinstance(found, Exception):
        raise found
    return cast("Record | None", found)


async def get_nodes(
    context: RequestContext, node_ids: Sequence[str]
) -> list[Record | Exception | None]:
    """One call per kind, in the order asked; a failure is an exception in its place.

    Raises: InvalidInputError for more than 100 ids.
    """
    if len(node_ids) > MAX_NODES:
        raise inputs.refused("ids", f"At most {MAX_NODES} ids can be asked for.")
    refusal = _refusal(context)
    asked = [_parsed(node_id, refusal) for node_id in node_ids]
    wanted: dict[Kind, dict[str, None]] = {}
    for one in asked:
        if not isinstance(one, Exception):
            wanted.setdefault(one[0], {})[one[1]] = None
    loaded = {
        kind: _load_all(context, kind, list(keys)) for kind, keys in wanted.items()
    }
    found: dict[tuple[Kind, str], Record | Exception | None] = {}
    for kind, values in loaded.items():
        keys = [(kind, key) for key in wanted[kind]]
        found |= zip(keys, await settled(values), strict=True)
    return [one if isinstance(one, Exception) else found[one] for one in asked]


def _refusal(context: RequestContext) -> Exception | None:
    try:
        context.require_viewer()
    except NotAuthenticatedError as failure:
        return failure
    return None


def _parsed(node_id: str, refusal: Exception | None) -> tuple[Kind, str] | Exception:
    """A malformed id fails in its place and not for all."""
    try:
        kind_and_key = parse_global_id(node_id)
    except InvalidInputError as failure:
        return failure
    return refusal or kind_and_key


def _load_all(
    context: RequestContext, kind: Kind, keys: Sequence[str]
) -> Loaded[Any]:  # of Record | None, but a list of notes is no list of records
    loaders = context.loaders
    match kind:
        case "Note":
            return loaders.notes.load_all(keys)
        case "Post":
            return loaders.posts.load_all(keys)
        case "File":
            return loaders.files.load_all(keys)
        case "User":
            return loaders.users.load_all(keys)
        case "Viewer":
            viewers = each(users.get_viewer_by_id(context, key) for key in keys)
            return asyncio.ensure_future(viewers)
