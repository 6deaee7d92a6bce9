"""Posts: the type with its edges, its connection, queries and writes."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, cast

import strawberry

from clients.conduit.records import ConduitPost
from engine import Answers
from resolvers import files, notes, posts, users
from resolvers.ids import global_id
from resolvers.paging import PageRequest
from resolvers.post_pages import EVERY_POST, PostConditions, PostList, SortField
from resolvers.posts import PostChanges

from .connections import (
    After,
    Before,
    Connection,
    First,
    Last,
    OrderDirection,
    connection,
    connections,
    page_request,
    paged,
)
from .datetimes import DateTime
from .fields import column, field, mutation, record_type, relation, shown
from .files import File
from .idempotency import idempotency_key
from .info import Info
from .node import Node, global_id_of
from .notes import Note, NoteConnection
from .problems import Conflict, Forbidden, InvalidInput, NotFound

if TYPE_CHECKING:  # Post.author and User.posts know each other
    from .users import User

NOTES_OF_A_POST = 10


@record_type(ConduitPost, "A document of the Conduit schema Post.")
class Post(Node):
    """Reads a document of Conduit."""

    id: strawberry.ID = global_id_of("Post")
    database_id: strawberry.ID = column(
        "id", "The upstream's own id, for use outside this graph."
    )
    title: str = column("title", "The post's title.")
    body: str | None = column("body", "The text; null if it has none.")
    created_at: DateTime = column("created_at", "When it was written.")
    updated_at: DateTime = column("updated_at", "When it was last changed.")

    @relation("Who wrote it; null when that person is gone.", held="author_ref")
    @staticmethod
    def author(
        posts: list[ConduitPost], info: Info
    ) -> Answers[Annotated["User", strawberry.lazy(".users")] | None]:
        """No call: they are sent along with the posts."""
        found = users.get_authors(info.context, posts)
        return cast("Answers[User | None]", found)

    @relation("Its picture; null when unset or gone.", held="cover_ref")
    @staticmethod
    def cover_file(posts: list[ConduitPost], info: Info) -> Answers[File | None]:
        """No call: they are sent along with the posts."""
        found = files.get_covers(info.context, posts)
        return shown(File, found)

    @relation(
        "The viewer's notes about this post, newest first: Conduit to "
        "Flux. For a page of posts, one upstream call for all of them.",
        paged(forward_only=True, default=NOTES_OF_A_POST),
    )
    @staticmethod
    async def notes(
        posts: list[ConduitPost],
        info: Info,
        first: Annotated[
            int | None,
            strawberry.argument(description="So many notes per post, 0 to 100."),
        ] = NOTES_OF_A_POST,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="Begin after this cursor. It holds a time, so one cursor "
                "serves all posts of a page."
            ),
        ] = None,
    ) -> list[NoteConnection | None]:
        """One call for all posts of the level."""
        page = page_request(info, first=first, after=after, default=NOTES_OF_A_POST)
        ids = [post.id for post in posts]
        return connections(
            await notes.list_notes_of_posts(info.context, ids, page), Note
        )


PostConnection = Connection[Post]


@strawberry.enum(description="What posts can be ordered by.")
class PostOrderField(Enum):
    """The orders of posts."""

    CREATED_AT = strawberry.enum_value(
        "createdAt", description="When written. Rows inserted never shift a page."
    )
    UPDATED_AT = strawberry.enum_value(
        "updatedAt", description="When last changed. Pages by position."
    )
    TITLE = strawberry.enum_value("title", description="Title. Pages by position.")


@strawberry.input(description="The order of posts; newest first when left out.")
class PostOrder:
    """Order of a list of posts."""

    field: PostOrderField = strawberry.field(
        default=PostOrderField.CREATED_AT, description="What to order by."
    )
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.DESC, description="Which way."
    )


@strawberry.input(
    description="All conditions given must hold. authorId uses GetPostsByAuthor, "
    "titleContains uses SearchPosts (both in conduit-init.json)."
)
class PostFilter:
    """Conditions of a list of posts."""

    author_id: strawberry.ID | None = strawberry.field(
        default=None, description="Posts of this person; their id or databaseId."
    )
    title_contains: str | None = strawberry.field(
        default=None, description="Text in the title, upper and lower case alike."
    )

    def conditions(self, *, scope: str | None) -> PostConditions:
        """The same within a scope, checked. Raises: InvalidInputError."""
        return posts.conditions(
            author_id=self.author_id,
            title_contains=self.title_contains,
            scope=scope,
        )


PostOrderArgument = Annotated[
    PostOrder | None,
    strawberry.argument(description="Newest first when left out."),
]
PostFilterArgument = Annotated[
    PostFilter | None,
    strawberry.argument(description="Which posts; all when left out."),
]
PostScopeArgument = Annotated[
    str | None,
    strawberry.argument(
        description="As what to read, e.g. Team:<id>, where posts have row-level "
        "authorization; all that the viewer may read when left out."
    ),
]

_SORTS: dict[PostOrderField, SortField] = {
    PostOrderField.CREATED_AT: "createdAt",
    PostOrderField.UPDATED_AT: "updatedAt",
    PostOrderField.TITLE: "title",
}


def list_posts(
    info: Info,
    page: PageRequest,
    order: PostOrder | None,
    conditions: PostConditions = EVERY_POST,
) -> PostConnection:
    """Posts; newest first unless ordered otherwise."""
    wanted = PostList(page=page, conditions=conditions)
    if order is not None:
        wanted = PostList(
            page=page,
            sort=_SORTS[order.field],
            descending=order.direction is OrderDirection.DESC,
            conditions=conditions,
        )
    return connection(posts.list_posts(info.context, wanted), Post)


@strawberry.type
class PostQuery:
    """Root fields."""

    @field("One post, by global id or by the upstream's own id.")
    async def post(
        self, info: Info, id: strawberry.ID, scope: PostScopeArgument = None
    ) -> Post | None:
        """One call, shared with all posts asked for by id in that scope."""
        record = await posts.get_post(info.context, id, scope=scope)
        return shown(Post, record)

    @field(
        "All posts. Newest first unless ordered otherwise; in order of "
        "creation rows inserted meanwhile never shift a page.",
        paged(),
    )
    def posts(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        order_by: PostOrderArgument = None,
        filter: PostFilterArgument = None,
        scope: PostScopeArgument = None,
    ) -> PostConnection | None:
        """One call; see `resolvers.posts.list_posts`."""
        page = page_request(info, first=first, after=after, last=last, before=before)
        if filter is None and scope is None:
            return list_posts(info, page, order_by)
        conditions = (filter or PostFilter()).conditions(scope=scope)
        return list_posts(info, page, order_by, conditions)


@strawberry.input(description="A new post of the viewer.")
class CreatePostInput:
    """Input of createPost."""

    title: str = strawberry.field(description="1 to 255 characters.")
    body: str | None = strawberry.field(default=None, description="The text.")
    cover_file_id: strawberry.ID | None = strawberry.field(
        default=None, description="Its picture; the file's id or databaseId."
    )
    scope: str | None = strawberry.field(
        default=None,
        description="Passed on for team-scoped schemas, e.g. Team:<id>.",
    )
    idempotency_key: str | None = idempotency_key()


@strawberry.input(
    description="What to change of a post. A field left out stays; null clears it."
)
class UpdatePostInput:
    """Input of updatePost; UNSET is what was left out."""

    id: strawberry.ID = strawberry.field(description="The post; its id or databaseId.")
    title: str | None = strawberry.field(
        default=strawberry.UNSET, description="1 to 255 characters; cannot be cleared."
    )
    body: str | None = strawberry.field(
        default=strawberry.UNSET, description="The text."
    )
    cover_file_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="Its picture; the file's id or databaseId.",
    )

    def changes(self) -> PostChanges:
        """What was not left out."""
        given = {
            "title": self.title,
            "body": self.body,
            "cover_file_id": self.cover_file_id,
        }
        told = {name: v for name, v in given.items() if v is not strawberry.UNSET}
        return cast("PostChanges", told)


@strawberry.type(description="The post was written.")
class CreatePostSuccess:
    """Success of createPost."""

    post: Post = strawberry.field(description="The new post.")


@strawberry.type(description="The post was changed.")
class UpdatePostSuccess:
    """Success of updatePost."""

    post: Post = strawberry.field(description="The post as it is now.")


@strawberry.type(description="The post is gone.")
class DeletePostSuccess:
    """Success of deletePost."""

    deleted_id: strawberry.ID = strawberry.field(
        description="The id that the post had in this graph."
    )


CreatePostResult = Annotated[
    CreatePostSuccess | InvalidInput | Forbidden | Conflict,
    strawberry.union("CreatePostResult", description="What became of createPost."),
]
UpdatePostResult = Annotated[
    UpdatePostSuccess | InvalidInput | NotFound | Forbidden | Conflict,
    strawberry.union("UpdatePostResult", description="What became of updatePost."),
]
DeletePostResult = Annotated[
    DeletePostSuccess | InvalidInput | NotFound | Forbidden,
    strawberry.union("DeletePostResult", description="What became of deletePost."),
]


@strawberry.type
class PostMutation:
    """Root fields."""

    @mutation("Writes a post. Its author is the viewer.")
    async def create_post(
        self,
        info: Info,
        input: Annotated[
            CreatePostInput, strawberry.argument(description="The new post.")
        ],
    ) -> CreatePostResult:
        """Two calls; three when a cover is named."""
        record = await posts.create_post(
            info.context,
            title=input.title,
            body=input.body,
            cover_file_id=input.cover_file_id,
            scope=input.scope,
            idempotency_key=input.idempotency_key,
        )
        return CreatePostSuccess(post=shown(Post, record))

    @mutation("Changes a post of the viewer.")
    async def update_post(
        self,
        info: Info,
        input: Annotated[
            UpdatePostInput, strawberry.argument(description="What to change.")
        ],
    ) -> UpdatePostResult:
        """Two calls; three when a field is cleared."""
        record = await posts.update_post(info.context, input.id, input.changes())
        return UpdatePostSuccess(post=shown(Post, record))

    @mutation("Deletes a post of the viewer.")
    async def delete_post(self, info: Info, id: strawberry.ID) -> DeletePostResult:
        """Three calls."""
        key = await posts.delete_post(info.context, id)
        return DeletePostSuccess(deleted_id=strawberry.ID(global_id("Post", key)))
