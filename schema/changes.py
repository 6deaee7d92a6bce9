"""Live changes: the type Subscription and its events."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from enum import Enum
from typing import Annotated, Self, TypeVar

import strawberry

from clients.conduit.records import ConduitPost
from clients.flux.records import FluxNote
from resolvers import changes
from resolvers.changes import Changed
from resolvers.ids import global_id

from .fields import shown, subscription
from .info import Info
from .notes import Note
from .posts import Post

A = TypeVar("A")
B = TypeVar("B")


@strawberry.enum(
    description="What happened. Several changes of one object that come together are "
    "told as one."
)
class ChangeKind(Enum):
    """The kinds of `resolvers.change_feed`, described."""

    CREATED = strawberry.enum_value("CREATED", description="It was written.")
    UPDATED = strawberry.enum_value("UPDATED", description="It was changed.")
    DELETED = strawberry.enum_value("DELETED", description="It is gone.")


@strawberry.type(description="A note of the viewer was written, changed or deleted.")
class NoteChange:
    """An event of noteChanged."""

    kind: ChangeKind = strawberry.field(description="What happened.")
    id: strawberry.ID = strawberry.field(description="The note's id in this graph.")
    note: Note | None = strawberry.field(
        description="The note as it is now; null when it was deleted."
    )

    @classmethod
    def of(cls, changed: Changed[FluxNote]) -> Self:
        """The event of a change."""
        record = changed.record
        return cls(
            kind=ChangeKind[changed.kind.name],
            id=strawberry.ID(global_id("Note", changed.id)),
            note=shown(Note, record),
        )


@strawberry.type(description="A post was written, changed or deleted.")
class PostChange:
    """An event of postChanged."""

    kind: ChangeKind = strawberry.field(description="What happened.")
    id: strawberry.ID = strawberry.field(description="The post's id in this graph.")
    post: Post | None = strawberry.field(
        description="The post as it is now; null when it was deleted."
    )

    @classmethod
    def of(cls, changed: Changed[ConduitPost]) -> Self:
        """The event of a change."""
        record = changed.record
        return cls(
            kind=ChangeKind[changed.kind.name],
            id=strawberry.ID(global_id("Post", changed.id)),
            post=shown(Post, record),
        )


@strawberry.type(
    description="What can be followed, over a WebSocket (graphql-transport-ws) or as "
    "server-sent events: changes made through this server, from now on. Nothing is "
    "told twice and nothing that was missed is told later: read after subscribing."
)
class Subscription:
    """The live side."""

    @subscription(
        "Changes of the viewer's own notes. With postId only of notes about that post, "
        "and all deletions."
    )
    async def note_changed(
        self,
        info: Info,
        post_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="The post's id or databaseId."),
        ] = None,
    ) -> AsyncGenerator[NoteChange, None]:
        """One call for all changes that come together."""
        events = await changes.note_changes(info.context, post_id=post_id)
        return _told(events, NoteChange.of)

    @subscription("Changes of all posts that the viewer may read.")
    async def post_changed(self, info: Info) -> AsyncGenerator[PostChange, None]:
        """One call for all changes that come together."""
        events = await changes.post_changes(info.context)
        return _told(events, PostChange.of)


async def _told(
    events: AsyncGenerator[A, None], tell: Callable[[A], B]
) -> AsyncGenerator[B, None]:
    """The events as their types; the source ends with its subscription."""
    async with aclosing(events):
        async for event in events:
            yield tell(event)
