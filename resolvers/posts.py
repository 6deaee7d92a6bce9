"""Posts: documents of Conduit that every signed-in person may read."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Final

from clients.conduit.posts import PostChanges as PostChanges
from clients.conduit.records import ConduitPost
from clients.errors import PermissionDeniedError, UpstreamError
from clients.flux.records import FluxNote

from . import changes as live
from . import inputs
from .batching import Loaded
from .change_feed import ChangeKind
from .context import RequestContext
from .ids import upstream_id
from .outcomes import look_up
from .paging import Page
from .post_creation import PostCreation
from .post_pages import PostConditions, PostList
from .retries import KeyedWrite, checked_key

# Conduit's text columns hold no more on PostgreSQL (conduit.md §3).
MAX_TITLE_LENGTH: Final = 255


def get_post(
    context: RequestContext, post_id: str, *, scope: str | None = None
) -> Awaitable[ConduitPost | None]:
    """One call for all posts asked for by id, with author and cover if selected.

    With a scope, one call for all of that scope.
    """
    context.require_viewer()
    key = upstream_id("Post", post_id)
    if scope is None:
        return context.loaders.posts.load(key)
    return context.loaders.posts_in(inputs.scope(scope)).load(key)


def get_posts_of_notes(
    context: RequestContext, notes: Sequence[FluxNote]
) -> Loaded[ConduitPost | None]:
    """One call for the posts of all notes; None when unset, gone or hidden."""
    return context.loaders.posts.load_all([note.post_id for note in notes])


def list_posts(
    context: RequestContext, query: PostList
) -> Awaitable[Page[ConduitPost]]:
    """One call, with authors and covers if selected; see `read_post_page`."""
    context.require_viewer()
    return context.loaders.post_pages.load(query)


def conditions(
    *,
    author_id: str | None = None,
    title_contains: str | None = None,
    scope: str | None = None,
) -> PostConditions:
    """Checked conditions of a list. Raises: InvalidInputError."""
    return PostConditions(
        author_id=author_id and upstream_id("User", author_id, field="authorId"),
        title_contains=inputs.search(title_contains, field="titleContains"),
        scope=None if scope is None else inputs.scope(scope),
    )


async def create_post(
    context: RequestContext,
    *,
    title: str,
    body: str | None,
    cover_file_id: str | None,
    scope: str | None,
    idempotency_key: str | None = None,
) -> ConduitPost:
    """Two calls; one more when a cover is named, which the viewer must be able to read.

    The first notes the author's newest post, so that an outcome that nobody told can
    be looked up. With a key, a repetition returns what the first attempt made.
    Raises: InvalidInputError, ConflictError, PermissionDeniedError (scope).
    """
    viewer_id = context.require_viewer()
    key = checked_key(idempotency_key)
    creation = PostCreation(
        conduit=context.conduit,
        author_id=viewer_id,
        title=_title(title),
        body=_body(body),
        scope=None if scope is None else inputs.scope(scope),
        cover_file_id=await _readable_file_id(context, cover_file_id),
    )
    if key is None:
        post = await creation.write(await creation.mark())
    else:
        post = await KeyedWrite(
            context.shared.claims,
            creation,
            operation="createPost",
            viewer_id=viewer_id,
            key=key,
        ).run()
    context.forget()
    live.announce_post(context, ChangeKind.CREATED, post.id)
    return post


async def update_post(
    context: RequestContext, post_id: str, changes: PostChanges
) -> ConduitPost:
    """A fresh read of the post, then one call (two when a field is cleared).

    One call more where Conduit decides who changes what, and guards posts.
    To clear a field is to write the whole post anew (Conduit has no other way): what
    somebody else changes in it at that moment is lost.

    Raises: NotFoundError, PermissionDeniedError, InvalidInputError.
    """
    checked = await _checked_changes(context, changes)
    key = (await _own_post(context, post_id)).id
    posts = context.conduit.posts
    if not (context.shared.checks_ownership or await posts.may_edit(key)):
        raise PermissionDeniedError("a post that the viewer may only read")
    try:
        post = await posts.update(key, checked)
    except UpstreamError as failure:
        found = await look_up(failure, partial(posts.get, key))
        if found is None or not _holds(found, checked):
            raise
        post = found
    context.forget()
    live.announce_post(context, ChangeKind.UPDATED, key)
    return post


async def delete_post(context: RequestContext, post_id: str) -> str:
    """A fresh read of the post, then two calls; the upstream's id of what is gone.

    Conduit says Ok also when it deleted nothing, so the client looks again.
    Raises: NotFoundError, PermissionDeniedError.
    """
    post = await _own_post(context, post_id)
    try:
        await context.conduit.posts.delete(post.id)
    except UpstreamError as failure:
        read = partial(context.conduit.posts.get, post.id)
        if await look_up(failure, read) is not None:
            raise
    context.forget()
    live.announce_post_gone(context, post)
    return post.id


def _holds(post: ConduitPost, changes: PostChanges) -> bool:
    return all(getattr(post, name) == value for name, value in changes.items())


async def _own_post(context: RequestContext, post_id: str) -> ConduitPost:
    """Conduit lets any signed-in person change anything by default; we do not.

    Raises: NotFoundError, PermissionDeniedError.
    """
    viewer_id = context.require_viewer()
    post = await context.conduit.posts.get(upstream_id("Post", post_id))
    if context.shared.checks_ownership and post.author_id != viewer_id:
        raise PermissionDeniedError("the post of another person")
    return post


async def _checked_changes(
    context: RequestContext, changes: PostChanges
) -> PostChanges:
    context.require_viewer()
    checked: PostChanges = {}
    if "title" in changes:
        checked["title"] = _title(changes["title"])
    if "body" in changes:
        checked["body"] = _body(changes["body"])
    if "cover_file_id" in changes:
        cover = await _readable_file_id(context, changes["cover_file_id"])
        checked["cover_file_id"] = cover
    return checked


def _title(title: str | None) -> str:
    if not title:
        raise inputs.refused("title", "A post needs a title.")
    return inputs.storable(title, field="title", longest=MAX_TITLE_LENGTH)


def _body(body: str | None) -> str | None:
    return None if body is None else inputs.text(body, field="body")


async def _readable_file_id(context: RequestContext, file_id: str | None) -> str | None:
    if file_id is None:
        return None
    key = upstream_id("File", file_id, field="coverFileId")
    if await context.loaders.files.load(key) is None:
        raise inputs.refused("coverFileId", "There is no such file.")
    return key
