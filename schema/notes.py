"""Notes: the type, its connection, the queries `note` and `notes`, and the writes."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, cast

import strawberry

from clients.flux.records import EVERY_NOTE, FluxNote, NoteConditions
from engine import Answers
from resolvers import notes, posts
from resolvers.ids import global_id
from resolvers.note_pages import NoteList
from resolvers.paging import PageRequest

from .connections import (
    After,
    Before,
    Connection,
    First,
    Last,
    OrderDirection,
    connection,
    page_request,
    paged,
)
from .datetimes import DateTime
from .fields import column, field, mutation, record_type, relation, shown
from .idempotency import idempotency_key
from .info import Info
from .node import Node, global_id_of
from .problems import Forbidden, InvalidInput, NotFound

if TYPE_CHECKING:  # Note.post and Post.notes know each other
    from .posts import Post


@record_type(FluxNote, "A row of the Flux table notes.")
class Note(Node):
    """Reads a row of Flux; a column that nobody asked for holds None."""

    id: strawberry.ID = global_id_of("Note")
    database_id: strawberry.ID = column(
        "id", "The upstream's own id, for use outside this graph."
    )
    body: str = column("body", "The text of the note.")
    created_at: DateTime = column("created_at", "When it was written.")
    updated_at: DateTime | None = column(
        "updated_at", "When it was last changed; null if never."
    )

    @relation(
        "The post that this note is about, if any. Null also when the "
        "post is gone or the viewer may not see it."
    )
    @staticmethod
    def post(
        notes: list[FluxNote], info: Info
    ) -> Answers[Annotated["Post", strawberry.lazy(".posts")] | None]:
        """One call for all posts of the operation."""
        found = posts.get_posts_of_notes(info.context, notes)
        return cast("Answers[Post | None]", found)


NoteConnection = Connection[Note]


@strawberry.enum(description="What notes can be ordered by.")
class NoteOrderField(Enum):
    """The orders of notes."""

    CREATED_AT = strawberry.enum_value("CREATED_AT", description="When written.")


@strawberry.input(description="The order of notes; newest first when left out.")
class NoteOrder:
    """Order of a list of notes."""

    field: NoteOrderField = strawberry.field(
        default=NoteOrderField.CREATED_AT, description="What to order by."
    )
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.DESC, description="Which way."
    )


@strawberry.input(
    description="All conditions given must hold; each is answered by the upstream, "
    "never filtered here."
)
class NoteFilter:
    """Conditions of a list of notes."""

    body_contains: str | None = strawberry.field(
        default=None, description="Text in the body, upper and lower case alike."
    )
    post_id: strawberry.ID | None = strawberry.field(
        default=None, description="Notes about this post; its id or databaseId."
    )
    created_after: DateTime | None = strawberry.field(
        default=None, description="Written later than this."
    )
    created_before: DateTime | None = strawberry.field(
        default=None, description="Written earlier than this."
    )

    def conditions(self) -> NoteConditions:
        """The same, checked. Raises: InvalidInputError."""
        return notes.conditions(
            body_contains=self.body_contains,
            post_id=self.post_id,
            created_after=self.created_after,
            created_before=self.created_before,
        )


NoteOrderArgument = Annotated[
    NoteOrder | None,
    strawberry.argument(description="Newest first when left out."),
]
NoteFilterArgument = Annotated[
    NoteFilter | None,
    strawberry.argument(description="Which notes; all when left out."),
]


def list_notes(
    info: Info,
    page: PageRequest,
    order: NoteOrder | None,
    conditions: NoteConditions = EVERY_NOTE,
) -> NoteConnection:
    """The viewer's notes; newest first unless ordered otherwise."""
    wanted = NoteList(
        page=page,
        descending=order is None or order.direction is OrderDirection.DESC,
        conditions=conditions,
    )
    return connection(notes.list_notes(info.context, wanted), Note)


@strawberry.type
class NoteQuery:
    """Root fields."""

    @field("One note of the viewer, by global id or by the upstream's own id.")
    async def note(self, info: Info, id: strawberry.ID) -> Note | None:
        """One call, shared with all notes asked for by id."""
        record = await notes.get_note(info.context, id)
        return shown(Note, record)

    @field(
        "The viewer's notes. Newest first unless ordered otherwise. Keyset "
        "cursors: rows inserted meanwhile never shift a page.",
        paged(),
    )
    def notes(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        order_by: NoteOrderArgument = None,
        filter: NoteFilterArgument = None,
    ) -> NoteConnection | None:
        """One call; see `resolvers.notes.list_notes`."""
        page = page_request(info, first=first, after=after, last=last, before=before)
        conditions = filter.conditions() if filter else EVERY_NOTE
        return list_notes(info, page, order_by, conditions)


@strawberry.input(description="A new note of the viewer.")
class CreateNoteInput:
    """Input of createNote."""

    body: str = strawberry.field(description="The text of the note.")
    post_id: strawberry.ID | None = strawberry.field(
        default=None, description="The post it is about; its id or databaseId."
    )
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="What to change of a note.")
class UpdateNoteInput:
    """Input of updateNote."""

    id: strawberry.ID = strawberry.field(description="The note; its id or databaseId.")
    body: str = strawberry.field(description="The new text.")


@strawberry.type(description="The note was written.")
class CreateNoteSuccess:
    """Success of createNote."""

    note: Note = strawberry.field(description="The new note.")


@strawberry.type(description="The note was changed.")
class UpdateNoteSuccess:
    """Success of updateNote."""

    note: Note = strawberry.field(description="The note as it is now.")


@strawberry.type(description="The note is gone.")
class DeleteNoteSuccess:
    """Success of deleteNote."""

    deleted_id: strawberry.ID = strawberry.field(
        description="The id that the note had in this graph."
    )


CreateNoteResult = Annotated[
    CreateNoteSuccess | InvalidInput | Forbidden,
    strawberry.union("CreateNoteResult", description="What became of createNote."),
]
UpdateNoteResult = Annotated[
    UpdateNoteSuccess | InvalidInput | NotFound | Forbidden,
    strawberry.union("UpdateNoteResult", description="What became of updateNote."),
]
DeleteNoteResult = Annotated[
    DeleteNoteSuccess | InvalidInput | NotFound | Forbidden,
    strawberry.union("DeleteNoteResult", description="What became of deleteNote."),
]


@strawberry.type
class NoteMutation:
    """Root fields."""

    @mutation("Writes a note. Its owner is the viewer.")
    async def create_note(
        self,
        info: Info,
        input: Annotated[
            CreateNoteInput, strawberry.argument(description="The new note.")
        ],
    ) -> CreateNoteResult:
        """One call; two when a post is named."""
        record = await notes.create_note(
            info.context,
            body=input.body,
            post_id=input.post_id,
            idempotency_key=input.idempotency_key,
        )
        return CreateNoteSuccess(note=shown(Note, record))

    @mutation("Changes a note of the viewer.")
    async def update_note(
        self,
        info: Info,
        input: Annotated[
            UpdateNoteInput, strawberry.argument(description="What to change.")
        ],
    ) -> UpdateNoteResult:
        """One call."""
        record = await notes.update_note(info.context, input.id, body=input.body)
        return UpdateNoteSuccess(note=shown(Note, record))

    @mutation("Deletes a note of the viewer.")
    async def delete_note(self, info: Info, id: strawberry.ID) -> DeleteNoteResult:
        """One call."""
        key = await notes.delete_note(info.context, id)
        return DeleteNoteSuccess(deleted_id=strawberry.ID(global_id("Note", key)))
