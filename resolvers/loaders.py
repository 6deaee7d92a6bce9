"""Every loader of a request in one place: what is loaded by what, by which call.

Made by `resolvers/context.py`, one set per request; nothing is loaded before it is
asked for. Each batch costs one upstream call, except where its doc string says that
the upstream has no such call; then its calls run side by side.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Generic

import msgspec

from clients.conduit.records import (
    ConduitFile,
    ConduitPost,
    ConduitUser,
    ConduitViewer,
)
from clients.errors import Service
from clients.exchange import CallScope
from clients.flux.records import FluxNote, NoteConditions
from clients.ids import is_uuid
from clients.keyset import Keyset

from .batching import (
    BatchLoader,
    Brought,
    K,
    OnceLoader,
    V,
    align_by_id,
    align_many,
    each,
)
from .file_pages import read_file_page
from .note_pages import NoteList, read_note_page
from .paging import Page, PageRequest
from .post_pages import PostConditions, PostList, count_posts, read_post_page
from .shared_batches import Collector

if TYPE_CHECKING:  # the context holds the loaders, the loaders know the context
    from .context import RequestContext

FILES_AT_ONCE: Final = 4


class ContextLoader(BatchLoader[K, V]):
    """A loader that calls through the request's clients."""

    def __init__(
        self,
        context: "RequestContext",
        *,
        brought: "list[Brought[K, V]] | None" = None,
    ) -> None:
        super().__init__(brought)
        self.context = context


class ByIdLoader(ContextLoader[str, V]):
    """A loader that shares its batches with other requests of the same session."""

    service: Service = "conduit"
    operation: str

    @property
    def scope(self) -> CallScope:
        return self.context.scope

    def alike(self) -> Hashable | None:
        ref = self.context.session.ref
        if ref is None:
            return None
        address = self.context.scope.forwarded_for
        return self.operation, ref.vault_key, ref.user_id, address, self.columns()

    def columns(self) -> Hashable:
        """What is asked of each row."""
        return None

    async def bearer(self) -> str | None:
        context = self.context
        client = context.flux if self.service == "flux" else context.conduit
        return await client.bearer()

    def keep(self, values: Iterable[V]) -> None:
        """Nothing comes along with these."""

    def collector(self) -> Collector[str, V]:
        return Collector(self, self.context.shared.batches)


class NoteByIdLoader(ByIdLoader[FluxNote | None]):
    """Missing and hidden notes are None."""

    service = "flux"
    operation = "notes by ids"

    def columns(self) -> Hashable:
        return self.context.selection.note_columns

    async def load_batch(self, keys: list[str]) -> list[FluxNote | None]:
        rows = await self.context.flux.notes.by_ids(
            keys, columns=self.context.selection.note_columns
        )
        return align_by_id(keys, rows)


class PostByIdLoader(ByIdLoader[ConduitPost | None]):
    """With authors and covers, when the operation asks for any; one for each scope."""

    operation = "posts by ids"

    def __init__(
        self,
        context: "RequestContext",
        *,
        brought: "list[Brought[str, ConduitPost | None]] | None" = None,
        scope: str | None = None,
    ) -> None:
        super().__init__(context, brought=brought)
        self._scope = scope

    def columns(self) -> Hashable:
        return self.context.post_relations, self._scope

    def keep(self, values: Iterable[ConduitPost | None]) -> None:
        rows = [row for row in values if row is not None]
        self.context.loaders.brought.relations(rows)

    async def load_batch(self, keys: list[str]) -> list[ConduitPost | None]:
        rows = await self.context.conduit.posts.by_ids(
            keys, populate=self.context.post_relations, scope=self._scope
        )
        self.keep(rows)
        return align_by_id(keys, rows)


class FileByIdLoader(ByIdLoader[ConduitFile | None]):
    """What is known of files; no bytes."""

    operation = "files by ids"

    async def load_batch(self, keys: list[str]) -> list[ConduitFile | None]:
        rows = await self.context.conduit.storage.by_ids(keys)
        return align_by_id(keys, rows)


class FileDataByIdLoader(ContextLoader[str, str]):
    """Contents in base64: one call per file, a few at a time for memory's sake."""

    async def load_batch(self, keys: list[str]) -> list[str | Exception]:
        turn = asyncio.Semaphore(FILES_AT_ONCE)

        async def read(key: str) -> str:
            async with turn:
                return await self.context.conduit.storage.data(key)

        return await each(read(key) for key in keys)


class UserByIdLoader(ByIdLoader[ConduitUser | None]):
    """What others may see of people."""

    operation = "users by ids"

    async def load_batch(self, keys: list[str]) -> list[ConduitUser | None]:
        rows = await self.context.conduit.users.by_ids(keys)
        return align_by_id(keys, rows)


class ViewerByUserIdLoader(ContextLoader[str, ConduitViewer]):
    """There is one key: the session's own user id."""

    async def load_batch(self, keys: list[str]) -> list[ConduitViewer]:
        viewer = await self.context.conduit.viewer()
        user = ConduitUser(id=viewer.id, username=viewer.username)
        self.context.loaders.users.prime_all({viewer.id: user})
        return [viewer for _ in keys]


def _uuids(post_ids: Iterable[str]) -> list[str]:
    """Those that notes can be about; Conduit on MongoDB has other ids too."""
    return [post_id for post_id in post_ids if is_uuid(post_id)]


class NotesByPostIdLoader(ContextLoader[str, list[FluxNote]]):
    """The newest notes of many posts, one call (flux.md §13); a loader per page."""

    def __init__(
        self, context: "RequestContext", *, per_post: int, beyond: Keyset | None
    ) -> None:
        super().__init__(context)
        self._per_post = per_post
        self._beyond = beyond

    async def load_batch(self, keys: list[str]) -> list[list[FluxNote]]:
        notes = await self.context.flux.notes.by_posts(
            _uuids(keys),
            per_post=self._per_post,
            beyond=self._beyond,
            columns=self.context.selection.note_columns | {"post_id"},
        )
        for rows in notes.values():
            self.context.loaders.brought.notes(rows)
        return align_many(keys, notes)


class NoteCountByPostIdLoader(ContextLoader[str, int]):
    """How many notes the viewer has about each post."""

    async def load_batch(self, keys: list[str]) -> list[int]:
        counts = await self.context.flux.notes.counts_by_posts(_uuids(keys))
        return [counts.get(key, 0) for key in keys]


class _late(Generic[V]):  # noqa: N801 (as property is)
    """Made when it is first asked for, then an attribute of the loaders.

    `functools.cached_property` takes a lock for it, up to Python 3.11.
    """

    def __init__(self, make: "Callable[[Loaders], V]") -> None:
        self._make = make

    def __get__(self, loaders: "Loaders", _: object) -> V:
        made = self._make(loaders)
        setattr(loaders, self._make.__name__, made)
        return made


class BroughtRows(msgspec.Struct, eq=False):
    """What lists brought, for the loaders of single rows, which take it from here.

    Apart from the loaders: what reads a page holds it, and the loaders hold that.
    """

    of_notes: list[Brought[str, FluxNote | None]] = []
    of_posts: list[Brought[str, ConduitPost | None]] = []
    of_files: list[Brought[str, ConduitFile | None]] = []
    of_users: list[Brought[str, ConduitUser | None]] = []

    def notes(self, notes: Sequence[FluxNote]) -> None:
        """Keep notes that a list brought."""
        self.of_notes.append(lambda: {note.id: note for note in notes})

    def files(self, files: Sequence[ConduitFile]) -> None:
        """Keep files that a list brought."""
        self.of_files.append(lambda: {file.id: file for file in files})

    def posts(self, posts: Sequence[ConduitPost]) -> None:
        """Keep posts that a list brought, with what came along with them."""
        self.of_posts.append(lambda: {post.id: post for post in posts})
        self.relations(posts)

    def relations(self, posts: Sequence[ConduitPost]) -> None:
        """Keep the authors and covers that were sent along with posts."""
        self.of_users.append(
            lambda: {post.author.id: post.author for post in posts if post.author}
        )
        self.of_files.append(
            lambda: {
                post.cover_file.id: post.cover_file for post in posts if post.cover_file
            }
        )


class Loaders:
    """The loaders of one request, most of them made when they are first used."""

    def __init__(self, context: "RequestContext") -> None:
        self._context = context
        self.brought = brought = BroughtRows()
        # Made at once: to make them late takes twice as long.
        self.note_pages: OnceLoader[NoteList, Page[FluxNote]] = OnceLoader(
            partial(read_note_page, context, brought)
        )
        self.post_pages: OnceLoader[PostList, Page[ConduitPost]] = OnceLoader(
            partial(read_post_page, context, brought)
        )
        self._notes_by_post: dict[tuple[int, Keyset | None], NotesByPostIdLoader] = {}
        self._posts_in: dict[str, PostByIdLoader] = {}

    @_late
    def notes(self) -> NoteByIdLoader:
        return NoteByIdLoader(self._context, brought=self.brought.of_notes)

    @_late
    def posts(self) -> PostByIdLoader:
        return PostByIdLoader(self._context, brought=self.brought.of_posts)

    @_late
    def files(self) -> FileByIdLoader:
        return FileByIdLoader(self._context, brought=self.brought.of_files)

    @_late
    def file_data(self) -> FileDataByIdLoader:
        return FileDataByIdLoader(self._context)

    @_late
    def users(self) -> UserByIdLoader:
        return UserByIdLoader(self._context, brought=self.brought.of_users)

    @_late
    def viewers(self) -> ViewerByUserIdLoader:
        return ViewerByUserIdLoader(self._context)

    @_late
    def note_counts(self) -> OnceLoader[NoteConditions, int]:
        return OnceLoader(self._context.flux.notes.count)

    @_late
    def note_counts_by_post(self) -> NoteCountByPostIdLoader:
        return NoteCountByPostIdLoader(self._context)

    @_late
    def post_counts(self) -> OnceLoader[PostConditions, int]:
        return OnceLoader(partial(count_posts, self._context))

    @_late
    def file_pages(self) -> OnceLoader[PageRequest, Page[ConduitFile]]:
        return OnceLoader(partial(read_file_page, self._context, self.brought))

    def posts_in(self, scope: str) -> PostByIdLoader:
        """The loader of posts as the scope sees them."""
        loader = self._posts_in.get(scope)
        if loader is None:
            loader = PostByIdLoader(self._context, scope=scope)
            self._posts_in[scope] = loader
        return loader

    def notes_by_post(
        self, *, per_post: int, beyond: Keyset | None
    ) -> NotesByPostIdLoader:
        """The loader of this page of notes, the same for all posts of the request."""
        key = (per_post, beyond)
        loader = self._notes_by_post.get(key)
        if loader is None:
            loader = self._notes_by_post[key] = NotesByPostIdLoader(
                self._context, per_post=per_post, beyond=beyond
            )
        return loader
