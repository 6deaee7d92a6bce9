"""Any object by its global id, one or many of all kinds together."""

import asyncio
from collections import defaultdict
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

# A key of its kind, or why there is none.
Asked = tuple[Kind, str] | tuple[None, InvalidInputError]

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
    asked = _parsed(node_ids)
    try:
        context.require_viewer()
    except NotAuthenticatedError as refusal:
        return [one[1] if one[0] is None else refusal for one in asked]
    # Any: keys, under None failures.
    wanted: defaultdict[Kind | None, list[Any]] = defaultdict(list)
    for kind, key in asked:
        wanted[kind].append(key)
    loaded = {kind: _load_all(context, kind, keys) for kind, keys in wanted.items()}
    found = {kind: iter(await settled(values)) for kind, values in loaded.items()}
    return [next(found[kind]) for kind, _ in asked]


def _parsed(node_ids: Sequence[str]) -> Sequence[Asked]:
    """A malformed id fails in its place and not for all."""
    try:
        return list(map(parse_global_id, node_ids))
    except InvalidInputError:
        return [_parsed_alone(node_id) for node_id in node_ids]


def _parsed_alone(node_id: str) -> Asked:
    try:
        return parse_global_id(node_id)
    except InvalidInputError as failure:
        return None, failure


def _load_all(
    context: RequestContext, kind: Kind | None, keys: list[Any]
) -> Loaded[Any]:  # of Record | None, but a list of notes is no list of records
    loaders = context.loaders
    match kind:
        case None:  # they are failures
            return keys
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
