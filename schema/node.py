"""The interface `Node`, alone in its file because every type needs it."""

from typing import Any

import strawberry

from resolvers.ids import Kind, writer_of_ids

from .fields import column

ID_DESCRIPTION = "Unique in this graph, whatever the type; opaque."


@strawberry.interface(description="Anything that can be asked for by its id.")
class Node:
    """Relay's Node."""

    id: strawberry.ID = strawberry.field(description=ID_DESCRIPTION)


def global_id_of(kind: Kind) -> Any:
    """The field `id` of a type over a record; each type needs one of its own."""
    return column("id", ID_DESCRIPTION, convert=writer_of_ids(kind))
