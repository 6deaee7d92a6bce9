"""The queries `node` and `nodes`: any object by its global id."""

from collections.abc import Callable, Mapping
from typing import Final, cast

import strawberry

from clients.conduit.records import (
    ConduitFile,
    ConduitPost,
    ConduitUser,
    ConduitViewer,
)
from clients.flux.records import FluxNote
from resolvers import nodes

from .costs import ListSize
from .fields import field
from .files import File
from .info import Info
from .node import Node
from .notes import Note
from .posts import Post
from .users import User, Viewer

# The type of each record; Any because a mapping cannot tie its values to its keys.
_TYPES: Final[Mapping[type, Callable[..., Node]]] = {
    FluxNote: Note,
    ConduitPost: Post,
    ConduitFile: File,
    ConduitUser: User,
    ConduitViewer: Viewer,
}


def _node(record: nodes.Record) -> Node:
    return _TYPES[type(record)](record=record)


@strawberry.type
class NodeQuery:
    """Root fields."""

    @field(
        "Any object by its global id; null when it does not exist or the "
        "viewer may not see it."
    )
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        """One call, shared with all nodes of its kind."""
        record = await nodes.get_node(info.context, id)
        return _node(record) if record else None

    @field(
        "Same, many at once, in the order asked; loaded with one upstream "
        "call per kind (at most 100 ids).",
        ListSize(
            assumed_size=100,
            slicing_arguments=["ids"],
            sized_fields=[],
            require_one_slicing_argument=False,
        ),
    )
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        """One call per kind; an exception among the values is an error in its place."""
        found = await nodes.get_nodes(info.context, ids)
        answers = [
            _node(one) if one and not isinstance(one, Exception) else one
            for one in found
        ]
        return cast("list[Node | None]", answers)
