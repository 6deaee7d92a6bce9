"""A client of graphql-transport-ws that does as it is told, and event streams.

Used by `tests/live`; the well-behaved reference clients are in `tests/interop_live`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from processes_harness import Device
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

NOTES = "subscription { noteChanged { kind id note { databaseId body } } }"
POSTS = "subscription { postChanged { kind id post { databaseId title } } }"
CREATE_NOTE = """mutation ($input: CreateNoteInput!) { createNote(input: $input) {
  ... on CreateNoteSuccess { note { id } } } }"""
UPDATE_NOTE = """mutation ($input: UpdateNoteInput!) { updateNote(input: $input) {
  ... on UpdateNoteSuccess { note { id } } } }"""
DELETE_NOTE = """mutation ($id: ID!) { deleteNote(id: $id) {
  ... on DeleteNoteSuccess { deletedId } } }"""
CREATE_POST = """mutation ($input: CreatePostInput!) { createPost(input: $input) {
  ... on CreatePostSuccess { post { id } } } }"""
UPDATE_POST = """mutation ($input: UpdatePostInput!) { updatePost(input: $input) {
  ... on UpdatePostSuccess { post { id } } } }"""
DELETE_POST = """mutation ($id: ID!) { deletePost(id: $id) {
  ... on DeletePostSuccess { deletedId } } }"""
SIGN_OUT = "mutation ($all: Boolean) { signOut(everywhere: $all) { ok } }"


@dataclass(slots=True)
class Socket:
    """One WebSocket; `seen` are messages that nobody has asked for yet."""

    line: ClientConnection
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, **message: Any) -> None:
        await self.line.send(json.dumps(message))

    async def hear(self, limit_s: float = 20) -> dict[str, Any]:
        """The next message."""
        if self.seen:
            return self.seen.pop(0)
        async with asyncio.timeout(limit_s):
            message: dict[str, Any] = json.loads(await self.line.recv())
        return message

    async def init(self, payload: dict[str, Any] | None = None) -> None:
        await self.say(type="connection_init", payload=payload)
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, id: str, query: str, **variables: Any) -> None:
        """Subscribe, and wait until it is surely in force."""
        payload = {"query": query, "variables": variables}
        await self.say(type="subscribe", id=id, payload=payload)
        await asyncio.sleep(0.3)

    async def event(self, limit_s: float = 20) -> dict[str, Any]:
        """The data of the next event, which must have no errors."""
        message = await self.hear(limit_s)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]  # type: ignore[no-any-return]

    async def silence(self, for_s: float = 0.5) -> bool:
        """True if nothing is said for a while."""
        try:
            self.seen.append(await self.hear(for_s))
        except TimeoutError:
            return True
        return False

    async def closed(self, limit_s: float = 20) -> tuple[int, str]:
        """Code and reason of the close; messages before it are passed over."""
        async with asyncio.timeout(limit_s):
            try:
                while True:
                    await self.line.recv()
            except ConnectionClosed as closed:
                frame = closed.rcvd
        return (frame.code, frame.reason) if frame else (1006, "")


@asynccontextmanager
async def socket(
    url: str,
    device: Device | None = None,
    *,
    headers: dict[str, str] | None = None,
    subprotocol: str = "graphql-transport-ws",
) -> AsyncIterator[Socket]:
    """Connected, with the device's cookie or bearer; not yet initialised."""
    sent = (device.headers if device else {}) | (headers or {})
    async with connect(
        url.replace("http://", "ws://") + "/graphql",
        subprotocols=[Subprotocol(subprotocol)],
        additional_headers=sent,
        compression=None,
        proxy=None,
    ) as line:
        yield Socket(line)


@dataclass(slots=True)
class Stream:
    """One event stream."""

    response: httpx.Response
    lines: AsyncIterator[str]

    async def event(self, limit_s: float = 20) -> tuple[str, Any]:
        """Name and data of the next event."""
        name = ""
        async with asyncio.timeout(limit_s):
            async for line in self.lines:
                if line.startswith("event:"):
                    name = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    text = line.removeprefix("data:").strip()
                    return name, json.loads(text) if text else None
        return "", None

    async def data(self, limit_s: float = 20) -> dict[str, Any]:
        """The data of the next event, which must be a result without errors."""
        name, payload = await self.event(limit_s)
        assert name == "next", name
        assert "errors" not in payload, payload
        return payload["data"]  # type: ignore[no-any-return]


@asynccontextmanager
async def stream(device: Device, url: str, query: str) -> AsyncIterator[Stream]:
    """A subscription as an event stream, surely in force."""
    device.http.cookies.clear()
    async with device.http.stream(
        "POST",
        f"{url}/graphql/stream",
        json={"query": query},
        headers={**device.headers, "accept": "text/event-stream"},
    ) as response:
        await asyncio.sleep(0.3)
        yield Stream(response, response.aiter_lines())


async def create_note(device: Device, url: str, body: str, **more: Any) -> str:
    """The new note's id."""
    data = await device.data(url, CREATE_NOTE, input={"body": body, **more})
    return data["createNote"]["note"]["id"]  # type: ignore[no-any-return]


async def create_post(device: Device, url: str, title: str, **more: Any) -> str:
    """The new post's id."""
    data = await device.data(url, CREATE_POST, input={"title": title, **more})
    return data["createPost"]["post"]["id"]  # type: ignore[no-any-return]
