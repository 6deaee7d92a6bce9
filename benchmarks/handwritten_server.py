"""The floor: the named queries written by hand over our clients, without GraphQL.

Started by `servers.py` as `uvicorn --factory benchmarks.handwritten_server:create_app`.
Bare ASGI; the pools, the transport, the session from cookie and vault and the tokens
are those of our server, opened by its own `open_resources`. Everything between is the
least that answers the same: the name of the operation picks a function, which makes
the upstream calls and builds the answer. No limits, no log, no checks of the input.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from clients.conduit.calls import ConduitCalls
from clients.conduit.client import ConduitClient
from clients.conduit.records import ConduitFile, ConduitPost, ConduitUser
from clients.flux.calls import FluxCalls
from clients.flux.client import FluxClient
from clients.flux.records import FluxNote, NoteConditions
from clients.http import CallScope
from resolvers.ids import global_id, parse_global_id
from server.resources import Resources, open_resources
from server.settings import Settings
from session.auth import ConduitAuth, FluxAuth
from session.cookie import SessionCookie

Json = dict[str, object]
# Values of a request's JSON, which these few functions take on trust.
Variables = Mapping[str, Any]

NOTE_COLUMNS: Final = frozenset({"id", "body", "created_at"})
RELATIONS: Final = frozenset({"author", "coverFile"})
NEWEST_NOTES: Final = 5
_OPERATION = re.compile(r"(?:query|mutation) (\w+)")


@dataclass(frozen=True, slots=True)
class Clients:
    """Both upstreams, bound to the person who asks."""

    conduit: ConduitClient
    flux: FluxClient

    async def newest_notes(
        self, limit: int, columns: frozenset[str] = NOTE_COLUMNS
    ) -> list[FluxNote]:
        page = await self.flux.notes.page(
            limit=limit,
            descending=True,
            beyond=None,
            conditions=NoteConditions(),
            columns=columns,
            count=False,
        )
        return page.notes


async def posts(clients: Clients, variables: Variables) -> Json:
    page = await clients.conduit.posts.list_page(limit=variables["rows"])
    nodes = [
        {
            "id": global_id("Post", post.id),
            "title": post.title,
            "createdAt": post.created_at,
        }
        for post in page.documents
    ]
    return {"posts": {"nodes": nodes}}


async def posts_and_notes(clients: Clients, variables: Variables) -> Json:
    limit = variables["rows"]
    page, notes = await asyncio.gather(
        clients.conduit.posts.list_page(limit=limit, populate=RELATIONS),
        clients.newest_notes(limit),
    )
    nodes = [_full_post(post) for post in page.documents]
    return {"posts": {"nodes": nodes}, "notes": {"nodes": _notes(notes)}}


async def posts_and_notes_with_their_posts(
    clients: Clients, variables: Variables
) -> Json:
    limit = variables["rows"]
    page, notes = await asyncio.gather(
        clients.conduit.posts.list_page(limit=limit, populate=RELATIONS),
        clients.newest_notes(limit, NOTE_COLUMNS | {"post_id"}),
    )
    ids = list(dict.fromkeys(note.post_id for note in notes if note.post_id))
    rows = await clients.conduit.posts.by_ids(ids, populate=RELATIONS)
    found = {
        post.id: {
            "id": global_id("Post", post.id),
            "title": post.title,
            "author": _author(post.author),
            "coverFile": _file(post.cover_file),
        }
        for post in rows
    }
    return {
        "posts": {"nodes": [_full_post(post) for post in page.documents]},
        "notes": {
            "nodes": [
                {**_note(note), "post": found.get(note.post_id or "")} for note in notes
            ]
        },
    }


async def posts_with_their_notes(clients: Clients, variables: Variables) -> Json:
    page = await clients.conduit.posts.list_page(
        limit=variables["rows"], populate=RELATIONS
    )
    notes = await clients.flux.notes.by_posts(
        [post.id for post in page.documents],
        per_post=NEWEST_NOTES,
        beyond=None,
        columns=NOTE_COLUMNS,
    )
    nodes = [
        {
            "id": global_id("Post", post.id),
            "title": post.title,
            "author": _author(post.author),
            "coverFile": _file(post.cover_file),
            "notes": {"nodes": _notes(notes[post.id])},
        }
        for post in page.documents
    ]
    return {"posts": {"nodes": nodes}}


async def nodes_of_three_kinds(clients: Clients, variables: Variables) -> Json:
    asked = [parse_global_id(value) for value in variables["ids"]]
    wanted: dict[str, list[str]] = {"Post": [], "Note": [], "File": []}
    for kind, key in asked:
        wanted[kind].append(key)
    posts, notes, files = await asyncio.gather(
        clients.conduit.posts.by_ids(wanted["Post"]),
        clients.flux.notes.by_ids(wanted["Note"], columns=NOTE_COLUMNS),
        clients.conduit.storage.by_ids(wanted["File"]),
    )
    found = {("Post", post.id): _post_node(post) for post in posts}
    found |= {("Note", note.id): _note_node(note) for note in notes}
    found |= {("File", file.id): _file_node(file) for file in files}
    return {"nodes": [found.get(key) for key in asked]}


async def update_note(clients: Clients, variables: Variables) -> Json:
    _, key = parse_global_id(variables["id"])
    note = await clients.flux.notes.update(
        key,
        body=variables["body"],
        columns=NOTE_COLUMNS | {"updated_at", "post_id"},
    )
    if note is None or note.post_id is None:
        raise LookupError("the benchmark's note is gone")
    (post,) = await clients.conduit.posts.by_ids(
        [note.post_id], populate=frozenset({"author"})
    )
    shown = {
        "id": global_id("Post", post.id),
        "title": post.title,
        "author": _author(post.author),
    }
    return {
        "updateNote": {
            "__typename": "UpdateNoteSuccess",
            "note": {**_note(note), "updatedAt": note.updated_at, "post": shown},
        }
    }


async def ids_of_three_kinds(clients: Clients, _: Variables) -> Json:
    page, notes = await asyncio.gather(
        clients.conduit.posts.list_page(limit=40, populate=frozenset({"coverFile"})),
        clients.newest_notes(40),
    )
    nodes = [
        {
            "id": global_id("Post", post.id),
            "coverFile": post.cover_file
            and {"id": global_id("File", post.cover_file.id)},
        }
        for post in page.documents
    ]
    ids = [{"id": global_id("Note", note.id)} for note in notes]
    return {"posts": {"nodes": nodes}, "notes": {"nodes": ids}}


OPERATIONS: Final[Mapping[str, Callable[[Clients, Variables], Awaitable[Json]]]] = {
    "Posts": posts,
    "PostsAndNotes": posts_and_notes,
    "PostsAndNotesWithTheirPosts": posts_and_notes_with_their_posts,
    "PostsWithTheirNotes": posts_with_their_notes,
    "NodesOfThreeKinds": nodes_of_three_kinds,
    "UpdateNote": update_note,
    "IdsOfThreeKinds": ids_of_three_kinds,
}


def _full_post(post: ConduitPost) -> Json:
    return {
        "id": global_id("Post", post.id),
        "title": post.title,
        "body": post.body,
        "createdAt": post.created_at,
        "author": _author(post.author),
        "coverFile": _file(post.cover_file),
    }


def _author(user: ConduitUser | None) -> Json | None:
    if user is None:
        return None
    return {"id": global_id("User", user.id), "username": user.username}


def _file(file: ConduitFile | None) -> Json | None:
    if file is None:
        return None
    return {
        "id": global_id("File", file.id),
        "name": file.name,
        "mimeType": file.mime_type,
    }


def _note(note: FluxNote) -> Json:
    return {
        "id": global_id("Note", note.id),
        "body": note.body,
        "createdAt": note.created_at,
    }


def _notes(notes: Iterable[FluxNote]) -> list[Json]:
    return [_note(note) for note in notes]


def _post_node(post: ConduitPost) -> Json:
    return {
        "__typename": "Post",
        "id": global_id("Post", post.id),
        "title": post.title,
        "createdAt": post.created_at,
    }


def _note_node(note: FluxNote) -> Json:
    return {"__typename": "Note", **_note(note)}


def _file_node(file: ConduitFile) -> Json:
    return {
        "__typename": "File",
        "id": global_id("File", file.id),
        "name": file.name,
        "mimeType": file.mime_type,
    }


class HandwrittenServer:
    """The ASGI application."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cookie = SessionCookie(settings.session.cookie)
        self._resources: Resources | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            self._resources = await stack.enter_async_context(
                open_resources(self._settings, self._cookie)
            )
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = orjson.loads(await _body(receive))
        named = _OPERATION.match(request["query"])
        payload: Json = {"data": {"__typename": "Query"}}
        if named is not None:
            clients = self._clients(scope)
            payload = {
                "data": await OPERATIONS[named[1]](clients, request["variables"])
            }
        body = orjson.dumps(payload)
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _clients(self, scope: Scope) -> Clients:
        resources = self._resources
        if resources is None:
            raise RuntimeError("the lifespan has not begun")
        session = self._cookie.read(_cookies(scope))
        deadline = asyncio.get_running_loop().time() + self._settings.deadline_s
        calls = CallScope(request_id="-", deadline=deadline)
        conduit_auth = ConduitAuth(resources.keeper, session, calls)
        flux_auth = FluxAuth(resources.flux_tokens, session, conduit_auth)
        return Clients(
            conduit=ConduitClient(
                ConduitCalls(resources.conduit_http, conduit_auth, calls),
                resources.storage_http,
            ),
            flux=FluxClient(FluxCalls(resources.flux_http, flux_auth, calls, None)),
        )


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        chunk: bytes = message.get("body", b"")
        body += chunk
        if not message.get("more_body"):
            return body


def _cookies(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name == b"cookie":
            for pair in value.decode("latin-1").split("; "):
                key, _, text = pair.partition("=")
                found[key] = text
    return found


def create_app() -> ASGIApp:
    return HandwrittenServer(Settings.from_env())
