"""The interface `Node`, alone in its file because every type needs it."""

import strawberry


@strawberry.interface(description="Anything that can be asked for by its id.")
class Node:
    """Relay's Node."""

    id: strawberry.ID = strawberry.field(
        description="Unique in this graph, whatever the type; opaque."
    )
