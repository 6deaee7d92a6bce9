"""The server to compare with: stock Strawberry, FastAPI, httpx and DataLoader.

Started by `servers.py` as `uvicorn benchmarks.plain_server:app`. Written as the
documentation of those libraries shows it, with nothing tuned and nothing spoiled: one
kept-alive httpx client, one DataLoader per relation and request, redis-py for the
session, PyJWT for the Flux token. It answers the same documents as our graph for the
named queries, makes the same upstream calls, and has less to do: no sealed cookie, no
limits, no log, no time budget.

A module-level app and client are how those documentations do it; our own code must
not (house rule), which is why this stands here and not in `tests/`.
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import jwt
import redis.asyncio as redis
import strawberry
from fastapi import Cookie, FastAPI
from strawberry.dataloader import DataLoader
from strawberry.fastapi import BaseContext, GraphQLRouter
from strawberry.types.nodes import FragmentSpread, InlineFragment, SelectedField

FLUX_TOKEN_S = 300
NOTE_COLUMNS = "id,body,created_at,updated_at,post_id"

flux = httpx.AsyncClient(base_url=os.environ["FLUX_URL"])
conduit = httpx.AsyncClient(base_url=os.environ["CLIENT_BASE_URL"])
vault = redis.from_url(os.environ["REDIS_URL"])

# JSON of an upstream, read as the tutorials read it: without a model.
Json = dict[str, Any]


def global_id(kind: str, key: str) -> strawberry.ID:
    raw = base64.urlsafe_b64encode(f"{kind}:{key}".encode())
    return strawberry.ID(raw.rstrip(b"=").decode())


def parse_global_id(value: str) -> tuple[str, str]:
    raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    kind, _, key = raw.decode().partition(":")
    return kind, key


@dataclass
class Tokens:
    conduit: dict[str, str]
    flux: dict[str, str]


class Context(BaseContext):
    """Tokens of the person who asks, and loaders for this request."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()
        self.tokens = tokens
        self.posts = DataLoader(self.load_posts)
        self.files = DataLoader(self.load_files)
        self.notes = DataLoader(self.load_notes)
        self.newest_notes = DataLoader(self.load_newest_notes)
        self.populate = ""

    async def load_posts(self, ids: list[str]) -> list["Post | None"]:
        params = {"ids": ",".join(ids)}
        if self.populate:
            params["populate"] = self.populate
        rows = await self.conduit_get("/database/function/GetPostsByIds", params)
        found = {row["_id"]: Post.from_row(row) for row in rows}
        return [found.get(id_) for id_ in ids]

    async def load_files(self, ids: list[str]) -> list["File | None"]:
        rows = await self.conduit_get(
            "/database/function/GetFilesByIds", {"ids": ",".join(ids)}
        )
        found = {row["_id"]: File.from_row(row) for row in rows}
        return [found.get(id_) for id_ in ids]

    async def load_notes(self, ids: list[str]) -> list["Note | None"]:
        params = {"select": NOTE_COLUMNS, "id": f"in.({','.join(ids)})"}
        response = await flux.get("/notes", params=params, headers=self.tokens.flux)
        response.raise_for_status()
        found = {row["id"]: Note.from_row(row) for row in response.json()}
        return [found.get(id_) for id_ in ids]

    async def load_newest_notes(
        self, keys: list[tuple[str, int]]
    ) -> list[list["Note"]]:
        response = await flux.post(
            "/rpc/notes_by_post",
            params={"select": NOTE_COLUMNS},
            json={"post_ids": [id_ for id_, _ in keys], "per_post": keys[0][1]},
            headers=self.tokens.flux,
        )
        response.raise_for_status()
        groups: dict[str, list[Note]] = {id_: [] for id_, _ in keys}
        for row in response.json():
            groups[row["post_id"]].append(Note.from_row(row))
        return [groups[id_] for id_, _ in keys]

    async def conduit_get(self, path: str, params: dict[str, str]) -> Any:
        headers = {"Cache-Control": "no-cache", **self.tokens.conduit}
        response = await conduit.get(path, params=params, headers=headers)
        response.raise_for_status()
        return response.json()


Info = strawberry.Info[Context, None]


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class User(Node):
    username: str | None

    @classmethod
    def from_row(cls, row: Json) -> "User":
        return cls(id=global_id("User", row["_id"]), username=row["username"])


@strawberry.type
class File(Node):
    name: str
    mime_type: str | None

    @classmethod
    def from_row(cls, row: Json) -> "File":
        return cls(
            id=global_id("File", row["_id"]),
            name=row["name"],
            mime_type=row["mimeType"],
        )


@strawberry.type
class Note(Node):
    body: str
    created_at: str
    updated_at: str | None
    post_id: strawberry.Private[str | None]

    @strawberry.field
    async def post(self, info: Info) -> "Post | None":
        if self.post_id is None:
            return None
        info.context.populate = selected_relations(info)
        return await info.context.posts.load(self.post_id)

    @classmethod
    def from_row(cls, row: Json) -> "Note":
        return cls(
            id=global_id("Note", row["id"]),
            body=row["body"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            post_id=row["post_id"],
        )


@strawberry.type
class NoteConnection:
    nodes: list[Note]


@strawberry.type
class Post(Node):
    key: strawberry.Private[str]
    title: str
    body: str | None
    created_at: str
    author: User | None
    cover_file: File | None

    @strawberry.field
    async def notes(self, info: Info, first: int = 10) -> NoteConnection:
        return NoteConnection(
            nodes=await info.context.newest_notes.load((self.key, first))
        )

    @classmethod
    def from_row(cls, row: Json) -> "Post":
        author, cover = row["author"], row["coverFile"]
        return cls(
            id=global_id("Post", row["_id"]),
            key=row["_id"],
            title=row["title"],
            body=row["body"],
            created_at=row["createdAt"],
            author=User.from_row(author) if isinstance(author, dict) else None,
            cover_file=File.from_row(cover) if isinstance(cover, dict) else None,
        )


@strawberry.type
class PostConnection:
    nodes: list[Post]


def selected_relations(info: Info) -> str:
    """Which relations the query asks for, as Conduit's `populate` wants them."""

    def names(selections: Iterable[Any]) -> set[str]:
        found: set[str] = set()
        for selection in selections:
            if isinstance(selection, SelectedField):
                found.add(selection.name)
            if isinstance(selection, SelectedField | InlineFragment | FragmentSpread):
                found |= names(selection.selections)
        return found

    selected = names(info.selected_fields)
    return ",".join(name for name in ("author", "coverFile") if name in selected)


@strawberry.type
class Query:
    @strawberry.field
    async def posts(self, info: Info, first: int = 20) -> PostConnection:
        params = {"skip": "0", "limit": str(first), "sort": "-createdAt,-_id"}
        if populate := selected_relations(info):
            params["populate"] = populate
        page = await info.context.conduit_get("/database/Post", params)
        return PostConnection(nodes=[Post.from_row(row) for row in page["documents"]])

    @strawberry.field
    async def notes(self, info: Info, first: int = 20) -> NoteConnection:
        params = {
            "select": NOTE_COLUMNS,
            "order": "created_at.desc,id.desc",
            "limit": str(first),
        }
        tokens = info.context.tokens
        response = await flux.get("/notes", params=params, headers=tokens.flux)
        response.raise_for_status()
        return NoteConnection(nodes=[Note.from_row(row) for row in response.json()])

    @strawberry.field
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        return await load_node(info, id)

    @strawberry.field
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        return await asyncio.gather(*(load_node(info, id_) for id_ in ids))


async def load_node(info: Info, value: str) -> Node | None:
    kind, key = parse_global_id(value)
    loaders: dict[str, DataLoader[str, Any]] = {
        "Post": info.context.posts,
        "Note": info.context.notes,
        "File": info.context.files,
    }
    found: Node | None = await loaders[kind].load(key)
    return found


@strawberry.type
class UpdateNoteSuccess:
    note: Note


@strawberry.type
class NotFound:
    message: str


@strawberry.input
class UpdateNoteInput:
    id: strawberry.ID
    body: str


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def update_note(
        self, info: Info, input: UpdateNoteInput
    ) -> Annotated[
        UpdateNoteSuccess | NotFound, strawberry.union(name="UpdateNoteResult")
    ]:
        _, key = parse_global_id(input.id)
        response = await flux.patch(
            "/notes",
            params={"id": f"eq.{key}", "select": NOTE_COLUMNS},
            json={"body": input.body},
            headers={"Prefer": "return=representation", **info.context.tokens.flux},
        )
        response.raise_for_status()
        rows = response.json()
        if not rows:
            return NotFound(message="There is no such note.")
        return UpdateNoteSuccess(note=Note.from_row(rows[0]))


async def get_context(session: Annotated[str, Cookie()]) -> Context:
    """The tokens of the session: one read of Redis, and a fresh Flux token."""
    stored = await vault.get(f"plain:{session}")
    if stored is None:
        raise PermissionError("no such session")
    record = json.loads(stored)
    claims = {
        "sub": record["userId"],
        "role": "authenticated",
        "exp": int(time.time()) + FLUX_TOKEN_S,
    }
    flux_token = jwt.encode(claims, os.environ["FLUX_JWT_SECRET"], algorithm="HS256")
    return Context(
        Tokens(
            conduit={"Authorization": f"Bearer {record['accessToken']}"},
            flux={"Authorization": f"Bearer {flux_token}"},
        )
    )


schema = strawberry.Schema(Query, Mutation, types=[Post, Note, File, User])
app = FastAPI()
app.include_router(GraphQLRouter(schema, context_getter=get_context), prefix="/graphql")
