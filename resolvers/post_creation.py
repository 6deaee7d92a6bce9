"""A new post as a write whose outcome can be found out. Used by `posts.py`.

Conduit makes the id of a post and takes none from us, so a write without an answer
cannot be looked up by it. Instead the author's newest post is noted before the write:
what has the same contents and is newer by Conduit's own clock is the post. Two equal
posts written by one person at the same moment cannot be told apart; then, as without
the endpoint GetPostsByAuthor, the outcome stays unknown.
"""

import json
from dataclasses import dataclass
from typing import Final

from clients.conduit.client import ConduitClient
from clients.conduit.records import ConduitPost
from clients.errors import (
    UpstreamError,
    UpstreamMisconfiguredError,
    UpstreamUnavailableError,
)

from .outcomes import look_up
from .retries import Creation

# Marks: nobody can look; the author had no post.
BLIND: Final = "-"
FROM_THE_START: Final = "0"
# A retry may come a day later: all that was written since is looked through, in pages.
LOOKED_THROUGH: Final = 100
MOST_PAGES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PostCreation(Creation[ConduitPost]):
    """The author is the viewer, everything has been checked."""

    conduit: ConduitClient
    author_id: str
    title: str
    body: str | None
    cover_file_id: str | None
    scope: str | None

    @property
    def content(self) -> str:
        """Every part of the input."""
        return json.dumps([self.title, self.body, self.cover_file_id, self.scope])

    async def mark(self) -> str:
        """When the author's newest post was written. One call."""
        try:
            page = await self.conduit.posts.list_page(limit=1, author_id=self.author_id)
        except UpstreamMisconfiguredError:
            return BLIND
        return page.documents[0].created_at if page.documents else FROM_THE_START

    async def write(self, mark: str) -> ConduitPost:
        """One call; one more when its outcome is open.

        Raises: InvalidInputError, ConflictError, PermissionDeniedError (scope).
        """
        try:
            return await self.conduit.posts.create(
                title=self.title,
                body=self.body,
                author_id=self.author_id,
                cover_file_id=self.cover_file_id,
                scope=self.scope,
            )
        except UpstreamError as failure:
            found = await look_up(failure, lambda: self.find(mark))
            if found is None:
                raise
            return found

    async def find(self, mark: str) -> ConduitPost | None:
        """The one post with these contents that is newer than the mark.

        One call for each hundred posts that the author has written since.
        Raises: UpstreamUnavailableError when that are more than can be looked through.
        """
        if mark == BLIND:
            return None
        found: dict[str, ConduitPost] = {}
        for number in range(MOST_PAGES):
            page = await self.conduit.posts.list_page(
                limit=LOOKED_THROUGH,
                skip=number * LOOKED_THROUGH,
                author_id=self.author_id,
            )
            newer = [post for post in page.documents if post.created_at > mark]
            # What is written meanwhile moves a post to the next page: it is seen twice.
            found |= {post.id: post for post in newer if self._is(post)}
            if len(newer) < LOOKED_THROUGH:
                return next(iter(found.values())) if len(found) == 1 else None
        raise UpstreamUnavailableError(
            "too many posts since to find one among them", service="conduit"
        )

    async def read(self, id: str) -> ConduitPost:
        """One call. Raises: NotFoundError."""
        return await self.conduit.posts.get(id)

    def id_of(self, row: ConduitPost) -> str:
        """The post's id."""
        return row.id

    def _is(self, post: ConduitPost) -> bool:
        theirs = (post.title, post.body, post.cover_file_id)
        return theirs == (self.title, self.body, self.cover_file_id)
