"""Posts on the wire: the schema `Post` and the custom endpoints over it.

Called by `resolvers/posts.py` and the loaders. Relies on `conduit-init.json`, and on
conduit.md §3 (built-in routes and the traps of writing), §4, §12.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final, Literal, TypedDict

import msgspec

from clients.errors import (
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    UpstreamError,
    UpstreamMisconfiguredError,
)
from clients.http import Response
from clients.ids import is_uuid
from clients.keyset import Keyset

from . import database, lookups
from .calls import ConduitCalls
from .database import SortField
from .records import ConduitPage, ConduitPost

Sort = tuple[SortField, bool]
Populate = frozenset[str]

NOTHING: Final[Populate] = frozenset()


class _Deleted(msgspec.Struct):
    result: str


class _Permission(msgspec.Struct):
    allowed: bool


_POST: Final = msgspec.json.Decoder(ConduitPost)
_PAGE: Final = msgspec.json.Decoder(ConduitPage[ConduitPost])
_PAGE_OR_ALL: Final = msgspec.json.Decoder(ConduitPage[ConduitPost] | list[ConduitPost])
_ATTRIBUTES: Final[dict[SortField, str]] = {
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "title": "title",
}
_DELETED: Final = msgspec.json.Decoder(_Deleted)
_PERMISSION: Final = msgspec.json.Decoder(_Permission)
_BY_ID: Final = lookups.Source(
    endpoint="GetPostsByIds",
    field="getDatabasePostId",
    path="/database/Post/",
    document=_POST,
    documents=msgspec.json.Decoder(list[ConduitPost]),
)
_DOCUMENT: Final = msgspec.json.Decoder(dict[str, object])
_OPTIONAL_FIELDS: Final = frozenset({"body", "coverFile"})
_WRITTEN_BY_CONDUIT: Final = frozenset({"_id", "createdAt", "updatedAt", "__v"})
# No resource at all (recording authorization, "scope malformed").
_NO_SCOPE: Final = "nonsense"
# Deletes are answered before they can be seen to be done; a second look after this.
_SECOND_LOOK_S: Final = 0.1


class PostChanges(TypedDict, total=False):
    """What to change: a field left out stays, None clears it."""

    title: str
    body: str | None
    cover_file_id: str | None


class ConduitPosts(msgspec.Struct, frozen=True):
    """Posts as one person sees them. `populate`: any of "author", "coverFile"."""

    _calls: ConduitCalls

    async def by_ids(
        self,
        ids: Sequence[str],
        *,
        populate: Populate = NOTHING,
        scope: str | None = None,
    ) -> list[ConduitPost]:
        """`GetPostsByIds`, or what stands in for it; in no order, misses absent.

        Raises: InvalidInputError for a malformed id, before any call.
        """
        scoped = database.scoped(scope)
        documents = await lookups.by_ids(
            self._calls,
            _BY_ID,
            ids,
            selection=database.POST_SELECTION,
            parameters={**database.populated(populate), **scoped},
            arguments="".join(f",{n}:{_quoted(v)}" for n, v in scoped.items()),
        )
        return [database.restricted(document, populate) for document in documents]

    async def list_page(
        self,
        *,
        limit: int,
        skip: int = 0,
        sort: Sort = ("createdAt", True),
        author_id: str | None = None,
        title_contains: str | None = None,
        scope: str | None = None,
        populate: Populate = NOTHING,
    ) -> ConduitPage[ConduitPost]:
        """By offset; `count` is the total of all that match.

        `GET /database/Post`, `GetPostsByAuthor` or `SearchPosts`: Conduit filters only
        in custom endpoints.

        Raises: InvalidInputError: malformed id; text that cannot be searched for.
        """
        if author_id is None and title_contains is None:
            target = _list_target(limit, skip, sort, populate, scope)
            response = await self._calls.read(target, operation="posts page")
            return response.decode(_PAGE)
        page = _parameters(limit, skip, sort, populate, scope)
        conditions: dict[str, str] = {}
        if author_id is not None:
            conditions["authorId"] = self._calls.id(author_id, field="authorId")
        if title_contains is not None:
            conditions["title"] = database.like(title_contains, field="titleContains")
            target = database.function("SearchPosts", conditions | page)
            response = await self._calls.read(target, operation="posts page")
            return response.decode(_PAGE)
        target = database.function("GetPostsByAuthor", conditions | page)
        return await self._author_page(target, skip, limit, sort)

    async def count(
        self,
        *,
        author_id: str | None = None,
        title_contains: str | None = None,
        scope: str | None = None,
    ) -> int:
        """The total alone: a page of one, because 0 means "all" on MongoDB."""
        page = await self.list_page(
            limit=1, author_id=author_id, title_contains=title_contains, scope=scope
        )
        return page.count

    async def beyond(
        self,
        *,
        limit: int,
        keyset: Keyset,
        descending: bool,
        author_id: str | None = None,
        scope: str | None = None,
        populate: Populate = NOTHING,
    ) -> ConduitPage[ConduitPost]:
        """Posts strictly after the keyset by (createdAt, _id); `count` is no total.

        `PostsBefore` (descending) or `PostsAfter`, or their forms of one author.
        """
        prefix = "Posts" if author_id is None else "PostsByAuthor"
        author = (
            {}
            if author_id is None
            else {"authorId": self._calls.id(author_id, field="authorId")}
        )
        target = database.function(
            f"{prefix}{'Before' if descending else 'After'}",
            {
                **author,
                **database.keyset(keyset),
                "skip": "0",
                "limit": str(limit),
                "sort": database.sort_by("createdAt", descending=descending),
                **database.populated(populate),
                **database.scoped(scope),
            },
        )
        response = await self._calls.read(target, operation="posts beyond")
        return response.decode(_PAGE)

    async def _author_page(
        self, target: str, skip: int, limit: int, sort: Sort
    ) -> ConduitPage[ConduitPost]:
        """A page of `GetPostsByAuthor`, also where it is the guide's plain endpoint.

        That one ignores skip, limit and sort and answers every post of the author in a
        bare array (recording custom_endpoints): then the page is cut here.
        """
        response = await self._calls.read(target, operation="posts page")
        found = response.decode(_PAGE_OR_ALL)
        if isinstance(found, ConduitPage):
            return found
        field, descending = sort
        found.sort(key=attrgetter(_ATTRIBUTES[field], "id"), reverse=descending)
        return ConduitPage(found[skip : skip + limit], len(found))

    async def get(self, id: str, *, populate: Populate = NOTHING) -> ConduitPost:
        """`GET /database/Post/{id}`, fresh. Raises: NotFoundError, also if hidden."""
        response = await self._calls.read(
            database.target(self._path(id), database.populated(populate)),
            operation="post",
        )
        post, document = response.decode(_POST), response.decode(_DOCUMENT)
        self._note_fields(document)
        return post

    def _note_fields(self, document: Mapping[str, object]) -> None:
        """Learn what the schema lacks: on PostgreSQL a declared field is always there,
        if only as null (conduit.md §1); on MongoDB its absence tells nothing."""
        if is_uuid(str(document.get("_id"))):
            missing = _OPTIONAL_FIELDS - document.keys()
            self._calls.offers.missing_fields = missing

    async def create(
        self,
        *,
        title: str,
        body: str | None,
        author_id: str,
        cover_file_id: str | None,
        scope: str | None = None,
    ) -> ConduitPost:
        """`POST /database/Post`; unset fields are left out, since null is refused.

        Raises: InvalidInputError, ConflictError, PermissionDeniedError (scope),
        UpstreamMisconfiguredError (a field was dropped).
        """
        fields: dict[str, object] = {
            "title": title,
            "body": body,
            "author": self._calls.id(author_id, field="authorId"),
            "coverFile": self._cover_id(cover_file_id),
        }
        response = await self._calls.write(
            "POST",
            database.target("/database/Post", database.scoped(scope)),
            operation="create post",
            json=_set_only(fields),
        )
        return _kept(response, fields)

    async def update(self, id: str, changes: PostChanges) -> ConduitPost:
        """`PATCH`, or when a field is to be cleared a read and a `PUT` of the rest.

        PATCH cannot clear (null is 400), PUT nulls what it is not given, and an empty
        PATCH costs the upstream a database connection for good: nothing to change is
        a read. So would be one of fields that Conduit drops: where `get` told that the
        schema lacks one, nothing is sent.

        Raises: NotFoundError, InvalidInputError, PermissionDeniedError,
        UpstreamMisconfiguredError (a field is not in the schema, or was dropped).
        """
        fields: dict[str, object] = {}
        if "title" in changes:
            fields["title"] = changes["title"]
        if "body" in changes:
            fields["body"] = changes["body"]
        if "cover_file_id" in changes:
            fields["coverFile"] = self._cover_id(changes["cover_file_id"])
        if not fields:
            return await self.get(id)
        if None not in fields.values():
            return await self._replace("PATCH", id, fields)
        return await self._replace("PUT", id, await self._contents(id) | fields)

    async def _contents(self, id: str) -> dict[str, object]:
        """A fresh document without what Conduit itself writes.

        Whole, so that a PUT keeps also the fields that this client does not know.
        """
        response = await self._calls.read(self._path(id), operation="post")
        document = response.decode(_DOCUMENT)
        self._note_fields(document)
        return {name: document[name] for name in document.keys() - _WRITTEN_BY_CONDUIT}

    async def _replace(
        self, method: Literal["PATCH", "PUT"], id: str, fields: dict[str, object]
    ) -> ConduitPost:
        if "title" in fields and fields["title"] is None:
            raise InvalidInputError(
                "title cleared",
                public_message="This field must have a value.",
                field="title",
                service="conduit",
            )
        sent = _set_only(fields)
        for name in self._calls.offers.missing_fields & sent.keys():
            raise _no_such_field(name, "update post")
        response = await self._calls.write(
            method, self._path(id), operation="update post", json=sent
        )
        return _kept(response, fields)

    async def delete(self, id: str) -> None:
        """`DELETE`, then a look: Conduit says Ok also when it deleted nothing.

        Whether there was such a post before is for the caller to ask.

        Raises: PermissionDeniedError when the post is still there; a failure of the
        look leaves the outcome unknown.
        """
        response = await self._calls.write(
            "DELETE", self._path(id), operation="delete post"
        )
        response.decode(_DELETED)  # a proxy's page is no answer of Conduit's
        for pause in (0.0, _SECOND_LOOK_S):
            await asyncio.sleep(pause)
            try:
                await self.get(id)
            except NotFoundError:
                return
            except UpstreamError as failure:
                failure.outcome_unknown = True
                raise
        raise PermissionDeniedError(
            "delete post: Ok, and the post is still there",
            service="conduit",
            operation="delete post",
        )

    async def are_guarded(self) -> bool:
        """Whether row-level authorization hides posts. One call in five minutes.

        `GET /database/Post` with a scope that is none: refused where scopes count
        (recording authorization), dropped elsewhere (recording database_read, "list
        with scope on a schema without row-level authorization").
        """
        known = self._calls.offers.guards_posts
        if known is not None:
            return known
        try:
            await self.list_page(limit=1, scope=_NO_SCOPE)
        except InvalidInputError:
            guarded = True
        else:
            guarded = False
        self._calls.offers.note_guard(guarded)
        return guarded

    async def may_edit(self, id: str) -> bool:
        """Whether row-level authorization, where it is on, lets the person change it.

        `GET /authorization/check`. To find it out by the refusal of an update would
        cost the upstream a database connection for good (recording database_stall).
        """
        if not await self.are_guarded():
            return True
        asked = {"resource": f"Post:{self._calls.id(id)}", "action": "edit"}
        response = await self._calls.read(
            database.target("/authorization/check", asked), operation="permission"
        )
        return response.decode(_PERMISSION).allowed

    def _path(self, id: str) -> str:
        return f"/database/Post/{self._calls.id(id)}"

    def _cover_id(self, id: str | None) -> str | None:
        return None if id is None else self._calls.id(id, field="coverFileId")


@lru_cache(maxsize=256)
def _list_target(
    limit: int, skip: int, sort: Sort, populate: Populate, scope: str | None
) -> str:
    return database.target(
        "/database/Post", _parameters(limit, skip, sort, populate, scope)
    )


def _parameters(
    limit: int, skip: int, sort: Sort, populate: Populate, scope: str | None
) -> dict[str, str]:
    """Of a page by offset. Raises: InvalidInputError."""
    field, descending = sort
    return {
        "skip": str(skip),
        "limit": str(limit),
        "sort": database.sort_by(field, descending=descending),
        **database.populated(populate),
        **database.scoped(scope),
    }


def _kept(response: Response, sent: Mapping[str, object]) -> ConduitPost:
    """The post, if it holds what was sent: Conduit drops a field that its schema lacks
    without a word (recording database_write, "unknown field is dropped")."""
    post = response.decode(_POST)
    for name, kept in (("body", post.body), ("coverFile", post.cover_file_id)):
        if kept is None and sent.get(name) is not None:
            failure = _no_such_field(name, response.operation, response.status)
            failure.outcome_unknown = True  # the rest was written
            raise failure
    return post


def _no_such_field(
    name: str, operation: str | None, status: int | None = None
) -> UpstreamMisconfiguredError:
    return UpstreamMisconfiguredError(
        f"{operation}: the schema Post has no field {name} (is conduit-init.json "
        "applied?)",
        service="conduit",
        operation=operation,
        status=status,
    )


def _quoted(text: str) -> str:
    """A text as a GraphQL string, which JSON's is too."""
    return msgspec.json.encode(text).decode()


def _set_only(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
