"""The queries `node` and `nodes`: any object by its global id."""

from typing import cast

import strawberry

from resolvers import nodes

from .costs import ListSize
from .fields import field, shown
from .info import Info
from .node import Node


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
        return shown(Node, record)

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
        return cast("list[Node | None]", found)
