"""Stub clients: a small world in memory that answers as the clients promise to.

Every call is recorded in `world.calls` with its arguments; `world.failures` makes the
named call raise. Rows come back in no helpful order, columns that were not asked for
are None, and populate is obeyed: what the code under test relies on, it must ask for.
"""

import asyncio
import base64
import uuid
from dataclasses import dataclass, field

from msgspec.structs import replace

from clients.conduit.records import (
    ConduitFile,
    ConduitPage,
    ConduitPost,
    ConduitUser,
    ConduitViewer,
)
from clients.errors import InvalidCredentialsError, NotFoundError
from clients.flux.records import FluxNote, FluxNotePage
from clients.http import CallScope
from resolvers.context import RequestContext, Shared
from session.memory import MemoryVault
from session.session import Session

ME = str(uuid.UUID(int=1))
VIEWER = ConduitViewer(id=ME, email="first@example.com", username="first")


def note_id(number):
    return str(uuid.UUID(int=0xA0000 + number))


def post_id(number):
    return str(uuid.UUID(int=0xB0000 + number))


def file_id(number):
    return str(uuid.UUID(int=0xC0000 + number))


def user_id(number):
    return str(uuid.UUID(int=1 + number))


def flux_time(second):
    """Whole seconds come in pairs, so that order must fall back on the id."""
    return f"2026-11-22T06:{second // 2 // 60:02}:{second // 2 % 60:02}.123456+00:00"


def conduit_time(second):
    return f"2026-11-22T06:{second // 2 // 60:02}:{second // 2 % 60:02}.477Z"


@dataclass
class World:
    notes: list = field(default_factory=list)
    posts: list = field(default_factory=list)
    users: list = field(default_factory=list)
    files: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    failures: dict = field(default_factory=dict)
    done_all_the_same: set = field(default_factory=set)
    viewer: ConduitViewer = VIEWER

    async def called(self, name, **arguments):
        self.calls.append((name, arguments))
        await asyncio.sleep(0)
        if name in self.failures:
            raise self.failures[name]

    async def wrote(self, name, change, **arguments):
        """As `called`; a failure that leaves the outcome open comes after the work."""
        self.calls.append((name, arguments))
        await asyncio.sleep(0)
        failure = self.failures.get(name)
        if failure is None or name in self.done_all_the_same:
            change()
        if failure is not None:
            raise failure

    @property
    def called_names(self):
        return [name for name, _ in self.calls]

    def arguments_of(self, name):
        return [arguments for called, arguments in self.calls if called == name]


def my_file(number):
    """In the viewer's own folder."""
    return ConduitFile(
        id=file_id(number),
        name=f"mine{number}.png",
        mime_type="image/png",
        size=1,
        is_public=False,
        folder=f"u/{ME}/",
        created_at=conduit_time(number),
        updated_at=conduit_time(number),
    )


def make_world(*, posts=0, notes=0, files=0, users=3):
    """Rows from oldest to newest; every third note is about no post."""
    return World(
        users=[ConduitUser(user_id(n), f"user{n}") for n in range(users)],
        files=[
            ConduitFile(
                id=file_id(n),
                name=f"file{n}.png",
                mime_type="image/png",
                size=100 + n,
                is_public=False,
                folder="/",
                created_at=conduit_time(n),
                updated_at=conduit_time(n),
            )
            for n in range(files)
        ],
        posts=[
            ConduitPost(
                id=post_id(n),
                title=f"Post {n:03}",
                body=None,
                created_at=conduit_time(n),
                updated_at=conduit_time(500 - n),
                author_ref=user_id(n % users) if users else None,
                cover_ref=file_id(n % files) if files else None,
            )
            for n in range(posts)
        ],
        notes=[
            FluxNote(
                id=note_id(n),
                body=f"Note {n}",
                created_at=flux_time(n),
                updated_at=None,
                post_id=post_id(n % posts) if posts and n % 3 else None,
            )
            for n in range(notes)
        ],
    )


def _place(row):
    return (row.created_at, row.id)


def _beyond(rows, keyset, *, descending):
    rows = sorted(rows, key=_place, reverse=descending)
    if keyset is None:
        return rows
    mark = (keyset.created_at, keyset.id)
    return [r for r in rows if (_place(r) < mark if descending else _place(r) > mark)]


class StubNotes:
    def __init__(self, world):
        self.world = world

    def _narrowed(self, rows, columns):
        hidden = {"body", "updated_at", "post_id"} - columns
        return [replace(row, **dict.fromkeys(hidden)) for row in rows]

    def _matching(self, conditions):
        return [
            note
            for note in self.world.notes
            if (conditions.body_contains or "").lower() in note.body.lower()
            and conditions.post_id in (None, note.post_id)
            and (conditions.created_after or "") < note.created_at
            and note.created_at < (conditions.created_before or "9")
        ]

    async def by_ids(self, ids, *, columns):
        await self.world.called("notes.by_ids", ids=list(ids), columns=columns)
        found = [note for note in self.world.notes if note.id in ids]
        return self._narrowed(found, columns)

    async def page(self, *, limit, descending, beyond, conditions, columns, count):
        await self.world.called(
            "notes.page",
            limit=limit,
            descending=descending,
            beyond=beyond,
            conditions=conditions,
            columns=columns,
            count=count,
        )
        matching = self._matching(conditions)
        rows = _beyond(matching, beyond, descending=descending)[:limit]
        total = len(matching) if count and beyond is None else None
        return FluxNotePage(self._narrowed(rows, columns), total)

    async def count(self, conditions):
        await self.world.called("notes.count", conditions=conditions)
        return len(self._matching(conditions))

    async def by_posts(self, post_ids, *, per_post, beyond, columns):
        await self.world.called(
            "notes.by_posts",
            post_ids=list(post_ids),
            per_post=per_post,
            beyond=beyond,
            columns=columns,
        )
        rows = _beyond(self.world.notes, beyond, descending=True)
        return {
            wanted: self._narrowed(
                [note for note in rows if note.post_id == wanted][:per_post], columns
            )
            for wanted in post_ids
        }

    async def create(self, *, id, body, post_id, owner_id, columns):
        note = FluxNote(
            id, body, flux_time(5000 + len(self.world.notes)), None, post_id
        )
        await self.world.wrote(
            "notes.create",
            lambda: self.world.notes.append(note),
            id=id,
            body=body,
            post_id=post_id,
            owner_id=owner_id,
        )
        return self._narrowed([note], columns)[0]

    async def update(self, id, *, body, columns):
        def change():
            self.world.notes = [
                replace(note, body=body, updated_at=flux_time(9000))
                if note.id == id
                else note
                for note in self.world.notes
            ]

        await self.world.wrote("notes.update", change, id=id, body=body)
        found = [note for note in self.world.notes if note.id == id]
        return self._narrowed(found, columns)[0] if found else None

    async def delete(self, id):
        kept = [note for note in self.world.notes if note.id != id]
        was_there = len(kept) < len(self.world.notes)
        await self.world.wrote(
            "notes.delete", lambda: setattr(self.world, "notes", kept), id=id
        )
        return was_there

    async def counts_by_posts(self, post_ids):
        await self.world.called("notes.counts_by_posts", post_ids=list(post_ids))
        about = [note.post_id for note in self.world.notes]
        return {wanted: about.count(wanted) for wanted in post_ids if wanted in about}


class StubPosts:
    def __init__(self, world):
        self.world = world

    def _populated(self, post, populate):
        if "author" in populate:
            author = next((u for u in self.world.users if u.id == post.author_id), None)
            post = replace(post, author_ref=author)
        if "coverFile" in populate:
            files = self.world.files
            cover = next((f for f in files if f.id == post.cover_file_id), None)
            post = replace(post, cover_ref=cover)
        return post

    def _page(self, rows, count, populate):
        return ConduitPage([self._populated(row, populate) for row in rows], count)

    async def by_ids(self, ids, *, populate, scope=None):
        more = {} if scope is None else {"scope": scope}
        await self.world.called(
            "posts.by_ids", ids=list(ids), populate=populate, **more
        )
        found = [post for post in self.world.posts if post.id in ids]
        return [self._populated(post, populate) for post in found]

    async def list_page(
        self,
        *,
        limit,
        skip=0,
        sort=("createdAt", True),
        author_id=None,
        title_contains=None,
        scope=None,
        populate=frozenset(),
    ):
        more = {} if scope is None else {"scope": scope}
        await self.world.called(
            "posts.list_page",
            limit=limit,
            skip=skip,
            sort=sort,
            author_id=author_id,
            title_contains=title_contains,
            populate=populate,
            **more,
        )
        column, descending = sort
        names = {"createdAt": "created_at", "updatedAt": "updated_at"}
        rows = sorted(
            self._matching(author_id, title_contains),
            key=lambda post: (getattr(post, names.get(column, column)), post.id),
            reverse=descending,
        )
        return self._page(rows[skip : skip + limit], len(rows), populate)

    def _matching(self, author_id, title_contains):
        return [
            post
            for post in self.world.posts
            if author_id in (None, post.author_id)
            and (title_contains or "").lower() in post.title.lower()
        ]

    async def count(self, *, author_id=None, title_contains=None, scope=None):
        more = {} if scope is None else {"scope": scope}
        await self.world.called(
            "posts.count", author_id=author_id, title_contains=title_contains, **more
        )
        return len(self._matching(author_id, title_contains))

    async def beyond(
        self, *, limit, keyset, descending, author_id, scope=None, populate
    ):
        more = {} if scope is None else {"scope": scope}
        await self.world.called(
            "posts.beyond",
            limit=limit,
            keyset=keyset,
            descending=descending,
            author_id=author_id,
            populate=populate,
            **more,
        )
        rows = [p for p in self.world.posts if author_id in (None, p.author_id)]
        rest = _beyond(rows, keyset, descending=descending)
        return self._page(rest[:limit], len(rest), populate)

    async def get(self, id):
        await self.world.called("posts.get", id=id)
        found = [post for post in self.world.posts if post.id == id]
        if not found:
            raise NotFoundError("Document does not exist", service="conduit")
        return found[0]

    async def create(self, *, title, body, author_id, cover_file_id, scope):
        number = 700 + len(self.world.posts)
        post = ConduitPost(
            id=post_id(number),
            title=title,
            body=body,
            created_at=conduit_time(number),
            updated_at=conduit_time(number),
            author_ref=author_id,
            cover_ref=cover_file_id,
        )
        await self.world.wrote(
            "posts.create",
            lambda: self.world.posts.append(post),
            title=title,
            body=body,
            author_id=author_id,
            cover_file_id=cover_file_id,
            scope=scope,
        )
        return post

    async def update(self, id, changes):
        fields = {
            "cover_ref" if name == "cover_file_id" else name: value
            for name, value in changes.items()
        }

        def change():
            self.world.posts = [
                replace(post, **fields) if post.id == id else post
                for post in self.world.posts
            ]

        await self.world.wrote("posts.update", change, id=id, changes=changes)
        return next(post for post in self.world.posts if post.id == id)

    async def may_edit(self, id):
        await self.world.called("posts.may_edit", id=id)
        return True

    async def delete(self, id):
        kept = [post for post in self.world.posts if post.id != id]
        await self.world.wrote(
            "posts.delete", lambda: setattr(self.world, "posts", kept), id=id
        )


class StubUsers:
    def __init__(self, world):
        self.world = world

    async def by_ids(self, ids):
        await self.world.called("users.by_ids", ids=list(ids))
        return [user for user in self.world.users if user.id in ids]


class StubStorage:
    def __init__(self, world):
        self.world = world

    async def by_ids(self, ids):
        await self.world.called("files.by_ids", ids=list(ids))
        return [file for file in self.world.files if file.id in ids]

    async def page(self, *, limit, beyond):
        await self.world.called("files.page", limit=limit, beyond=beyond)
        rest = _beyond(self.world.files, beyond, descending=True)
        return ConduitPage(rest[:limit], len(rest))

    async def get(self, id):
        await self.world.called("files.get", id=id)
        found = [file for file in self.world.files if file.id == id]
        if not found:
            raise NotFoundError("File does not exist", service="conduit")
        return found[0]

    async def delete(self, id):
        kept = [file for file in self.world.files if file.id != id]
        await self.world.wrote(
            "files.delete", lambda: setattr(self.world, "files", kept), id=id
        )

    async def data(self, id):
        await self.world.called("files.data", id=id)
        return base64.b64encode(f"bytes of {id}".encode()).decode()


class StubFlux:
    def __init__(self, world):
        self.notes = StubNotes(world)

    async def bearer(self):
        return "a token"


class StubConduit:
    def __init__(self, world):
        self.world = world
        self.posts = StubPosts(world)
        self.users = StubUsers(world)
        self.storage = StubStorage(world)

    async def viewer(self):
        await self.world.called("viewer")
        return self.world.viewer

    async def bearer(self):
        return "a token"


class StubSessions:
    """Knows one account: first@example.com / secret."""

    def __init__(self, world):
        self.world = world

    async def sign_up(self, email, password, scope, *, client_address=None):
        await self.world.called("sign_up", email=email, client_address=client_address)
        return ConduitUser(user_id(9), None)

    async def sign_in(
        self,
        session,
        email,
        password,
        scope,
        *,
        user_agent=None,
        client_address=None,
        transport="cookie",
    ):
        await self.world.called(
            "sign_in",
            email=email,
            user_agent=user_agent,
            client_address=client_address,
            transport=transport,
        )
        if (email, password) != (VIEWER.email, "secret"):
            raise InvalidCredentialsError("Invalid login credentials")
        session.open(ME, "a new vault key", source=transport)

    async def sign_out(self, session, scope, *, everywhere=False):
        await self.world.called("sign_out", everywhere=everywhere)
        session.close()

    def sealed_token(self, session):
        return f"sealed for {session.user_id}"


def make_context(world, *, signed_in=True, **more):
    """A request's context; must be made while an event loop runs.

    `more` of `Shared` and of `RequestContext`.
    """
    session = Session()
    if signed_in:
        session.open(ME, "a vault key")
    shared = {name: more.pop(name) for name in Shared.__struct_fields__ if name in more}
    return RequestContext(
        session=session,
        shared=Shared(sessions=StubSessions(world), claims=MemoryVault(), **shared),
        flux=StubFlux(world),
        conduit=StubConduit(world),
        scope=CallScope(request_id="request-1", deadline=1e9),
        user_agent=lambda: "a browser",
        client_address="192.0.2.1",
        **more,
    )
