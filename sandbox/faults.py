"""Records what reaches a stand-in and makes it fail on demand.

Both stand-ins are wrapped in `FaultyUpstream` by `sandbox/__main__.py`; tests talk to
it over HTTP (`/_sandbox/requests`, `/_sandbox/faults`) or in process (`record`,
`faults`). It knows neither Flux nor Conduit, only ASGI, and for cut connections the
transport of uvicorn's request cycle.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections import deque
from collections.abc import MutableSequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal
from urllib.parse import parse_qsl, quote_plus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTROL_PREFIX = "/_sandbox/"
MAX_FAULTS = 1_000
MAX_CONTROL_BODY_BYTES = 1_000_000
MAX_HANG_S = 300.0

_HIDDEN = "<hidden>"
_SECRET_HEADERS = frozenset(
    {"authorization", "apikey", "clientsecret", "cookie", "masterkey"}
)
_SECRET_PARAMETERS = frozenset({"sig", "token", "apikey", "accesstoken"})
_LINGER_ZERO = struct.pack("ii", 1, 0)  # close() then sends RST, not FIN


@dataclass(slots=True)
class RecordedRequest:
    """One request as it arrived; `status` is None until (or unless) one was sent."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int | None = None


@dataclass(slots=True)
class Fault:
    """What to do to requests that match.

    `path` is a prefix when it starts with `/`, otherwise a regular expression that is
    searched for. `after` says whether the wrapped application does its work first
    ("after": a write is then committed although its answer is lost). A fault without
    `status`, `body`, `reset` and `hang` passes the true answer on, late (`delay_s`)
    or cut off after `truncate` bytes of its body.
    """

    path: str
    method: str | None = None
    status: int | None = None
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    reset: bool = False
    hang: bool = False
    truncate: int | None = None
    times: int | None = None
    after: Literal["before", "after"] = "before"

    def __post_init__(self) -> None:
        """Refuse what could never match or never act. Raises: ValueError."""
        re.compile(self.path)
        if self.after not in ("before", "after"):
            raise ValueError("after must be 'before' or 'after'")
        if self.times is not None and self.times < 1:
            raise ValueError("times must be at least 1")

    @property
    def replaces_answer(self) -> bool:
        """Whether the client gets an answer of ours in place of the true one."""
        return self.status is not None or self.body is not None

    def matches(self, method: str, path: str) -> bool:
        """Whether a request for `path` by `method` is meant."""
        if self.method is not None and self.method.upper() != method:
            return False
        if self.path.startswith("/"):
            return path.startswith(self.path)
        return re.search(self.path, path) is not None


class Faults:
    """The faults in force, oldest first; the first that matches is applied."""

    def __init__(self) -> None:
        self._active: list[Fault] = []
        self._cleared = asyncio.Event()

    def add(self, fault: Fault) -> None:
        """Put one in force. Raises: ValueError when there are too many."""
        if len(self._active) >= MAX_FAULTS:
            raise ValueError(f"more than {MAX_FAULTS} faults")
        self._active.append(fault)

    def clear(self) -> None:
        """Take all away and let go of the requests that hang."""
        self._active.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted as used."""
        for fault in self._active:
            if fault.matches(method, path):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._active.remove(fault)
                return fault
        return None

    def active(self) -> list[Fault]:
        """Those in force now."""
        return list(self._active)

    async def until_cleared(self) -> None:
        """Wait for `clear`, or for the longest time that anything may hang."""
        cleared = self._cleared
        try:
            async with asyncio.timeout(MAX_HANG_S):
                await cleared.wait()
        except TimeoutError:
            return


class FaultyUpstream:
    """ASGI middleware; must be the outermost, next to the server.

    `together`: a list that several share, so that one can be asked to clear all.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        recent: int = 10_000,
        together: MutableSequence[FaultyUpstream] | None = None,
    ) -> None:
        self._app = app
        self._together = [] if together is None else together
        self._together.append(self)
        self.requests: deque[RecordedRequest] = deque(maxlen=recent)
        self.faults = Faults()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the control routes, otherwise record, and fail if told to."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(CONTROL_PREFIX):
            await self._control(scope, receive, send)
            return
        record = _recorded(scope)
        self.requests.append(record)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
            await send(message)

        fault = self.faults.take(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, noting)
        else:
            await self._fail(fault, scope, receive, noting, send)

    async def _fail(
        self, fault: Fault, scope: Scope, receive: Receive, send: Send, raw: Send
    ) -> None:
        """Apply one fault; `send` notes the status, `raw` leads to the transport."""
        answer: list[Message] | None = None
        if fault.after == "after":
            answer = await _answer_of(self._app, scope, receive)
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.hang:
            await self._hang(receive)
            _cut(raw)
            return
        if answer is None and (fault.reset or fault.replaces_answer):
            await _drain(receive)
        if fault.reset:
            _cut(raw)
            return
        if fault.replaces_answer:
            answer = _made_up(fault)
        elif answer is None and fault.truncate is None:
            await self._app(scope, receive, send)
            return
        elif answer is None:
            answer = await _answer_of(self._app, scope, receive)
        await _replay(answer, fault.truncate, send, raw)

    async def _hang(self, receive: Receive) -> None:
        """Keep silent until the client leaves or the faults are cleared."""
        left = asyncio.ensure_future(_until_disconnect(receive))
        freed = asyncio.ensure_future(self.faults.until_cleared())
        try:
            await asyncio.wait({left, freed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            freed.cancel()

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `/_sandbox/requests`, `/_sandbox/faults`, and `all/` before them."""
        body = await _body(receive)
        path = scope["path"].removeprefix(CONTROL_PREFIX)
        cleared = self._together if path.startswith("all/") else [self]
        match scope["method"], path:
            case "GET", "requests":
                await _json(send, 200, [asdict(record) for record in self.requests])
            case "DELETE", "requests" | "all/requests":
                for each in cleared:
                    each.requests.clear()
                await _json(send, 200, {"requests": 0})
            case "GET", "faults":
                await _json(send, 200, [asdict(f) for f in self.faults.active()])
            case "POST", "faults":
                await self._add_fault(body, send)
            case "DELETE", "faults" | "all/faults":
                for each in cleared:
                    each.faults.clear()
                await _json(send, 200, {"faults": 0})
            case _:
                await _json(send, 404, {"error": "no such control route"})

    async def _add_fault(self, body: bytes, send: Send) -> None:
        try:
            self.faults.add(_fault_from(json.loads(body)))
        except (ValueError, TypeError, re.error) as error:
            await _json(send, 400, {"error": str(error)})
        else:
            await _json(send, 201, {"faults": len(self.faults.active())})


def _fault_from(value: object) -> Fault:
    """A fault out of the JSON of a control request. Raises: ValueError, TypeError."""
    if not isinstance(value, dict):
        raise ValueError("a fault is a JSON object")
    known = {each.name for each in fields(Fault)}
    unknown = sorted(set(value) - known)
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(unknown)}")
    return Fault(**value)


def _recorded(scope: Scope) -> RecordedRequest:
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
    }
    return RecordedRequest(
        method=scope["method"],
        path=scope["path"],
        query=_without_secrets(scope["query_string"].decode("latin-1")),
        headers={
            name: _hidden(value) if name in _SECRET_HEADERS else value
            for name, value in headers.items()
        },
    )


def _hidden(value: str) -> str:
    """The scheme of a credential without the credential."""
    scheme, blank, _ = value.partition(" ")
    return f"{scheme} {_HIDDEN}" if blank and scheme.isalpha() else _HIDDEN


def _without_secrets(query: str) -> str:
    """The query as sent, unless it carries a signature or token."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(name.lower() in _SECRET_PARAMETERS for name, _ in pairs):
        return query
    return "&".join(
        f"{quote_plus(name)}="
        + (_HIDDEN if name.lower() in _SECRET_PARAMETERS else quote_plus(value))
        for name, value in pairs
    )


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
    """Let the application work and keep its answer back."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages


def _made_up(fault: Fault) -> list[Message]:
    text = isinstance(fault.body, str)
    body = b"" if fault.body is None else json.dumps(fault.body).encode()
    if isinstance(fault.body, str):
        body = fault.body.encode()
    headers = {
        "content-type": "text/html; charset=utf-8" if text else "application/json",
        "content-length": str(len(body)),
    } | {name.lower(): value for name, value in fault.headers.items()}
    return [
        {
            "type": "http.response.start",
            "status": fault.status or 200,
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in headers.items()
            ],
        },
        {"type": "http.response.body", "body": body},
    ]


async def _replay(
    answer: list[Message], truncate: int | None, send: Send, raw: Send
) -> None:
    """Send a kept answer, whole or cut off with the connection."""
    if truncate is None:
        for message in answer:
            await send(message)
        return
    body = b"".join(message.get("body", b"") for message in answer)
    await send(answer[0])
    if truncate:
        part = {"type": "http.response.body", "body": body[:truncate]}
        await send({**part, "more_body": True})
    cycle = _cycle(raw)
    cycle.transport.close()  # no reset: that could take the part back
    cycle.disconnected = True


def _cut(send: Send) -> None:
    """Close the connection with a reset and no answer."""
    cycle = _cycle(send)
    raw_socket = cycle.transport.get_extra_info("socket")
    if raw_socket is not None:
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    cycle.transport.abort()
    # Otherwise uvicorn, on our return, would report a missing answer as an error.
    cycle.disconnected = True


def _cycle(send: Send) -> Any:  # uvicorn's request cycle has no public type
    """What holds the transport; `send` is a bound method of it.

    Raises: ConnectionResetError when there is no transport (an in-process client).
    """
    cycle = getattr(send, "__self__", None)
    if not hasattr(cycle, "transport"):
        raise ConnectionResetError("the sandbox was told to cut this connection")
    return cycle


async def _drain(receive: Receive) -> None:
    """Read the request's body to its end."""
    while (message := await receive())["type"] == "http.request":
        if not message.get("more_body", False):
            return


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _body(receive: Receive) -> bytes:
    """The body of a control request. Raises: ValueError above the bound."""
    parts = bytearray()
    while (message := await receive())["type"] == "http.request":
        parts += message.get("body", b"")
        if len(parts) > MAX_CONTROL_BODY_BYTES:
            raise ValueError("control request too large")
        if not message.get("more_body", False):
            break
    return bytes(parts)


async def _json(send: Send, status: int, value: object) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
