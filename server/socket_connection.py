"""One WebSocket: graphql-transport-ws from the accept to the close.

Made by `websocket.py`. The session is told by the cookie, or by `authorization` in the
payload of `connection_init`, which takes the place of all cookies. Queries and
mutations stay with POST, where the guard, the deadline and the log of a request are.

Close codes::

    1000  no subscription for SOCKET_IDLE_S       1011  a fault of this server
    1009  a message above SOCKET_MESSAGE_BYTES    1012  this server process stops
    1013  changes were missed: connect and read anew; also while the vault is down
    4400  not a message of the protocol           4401  subscribe before the ack
    4403  not signed in, or the session ended     4406  another subprotocol
    4408  no connection_init in time              4409  an id that is in use
    4429  a second connection_init, or more sockets than a session may have
"""

import asyncio
import logging
import time
from contextlib import ExitStack, aclosing
from typing import Final, TypeVar

import orjson
from starlette.types import Receive, Scope, Send
from strawberry import Schema

from clients.errors import NotAuthenticatedError, UpstreamUnavailableError
from clients.http import milliseconds
from session.cookie import SessionCookie
from session.session import SessionRef

from .context import resources_of
from .cookies import LateSession
from .live import events_of, live_context, open_session
from .live_settings import LiveSettings
from .live_slots import too_many
from .refusals import RefusalError, error_of
from .socket_messages import (
    SUBPROTOCOL,
    Complete,
    Init,
    InvalidMessageError,
    Ping,
    SocketMessage,
    Subscribe,
    parse,
)
from .trace import trace_of

NORMAL: Final = 1000
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013
BAD_REQUEST: Final = 4400
UNAUTHORIZED: Final = 4401
FORBIDDEN: Final = 4403
SUBPROTOCOL_NOT_ACCEPTABLE: Final = 4406
INIT_TIMEOUT: Final = 4408
SUBSCRIBER_EXISTS: Final = 4409
TOO_MANY: Final = 4429

E = TypeVar("E", bound=BaseException)

log = logging.getLogger("mainstem.socket")


class CloseSocketError(Exception):
    """The connection is to be closed so; `reason` is written by us."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ClientGoneError(Exception):
    """The other side has closed, or takes nothing any more."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class SocketConnection:
    """One accepted socket. Whatever ends it is raised, and ends all of its tasks."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        schema: Schema,
        cookie: SessionCookie,
        late: LateSession,
        live: LiveSettings,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._schema = schema
        self._cookie = cookie
        self._late = late
        self._live = live
        self._resources = resources_of(scope)
        self._ref: SessionRef | None = None
        self._initialised = False
        self._running: dict[str, asyncio.Task[None]] = {}
        self._idle_since = asyncio.get_running_loop().time()
        self._subscribed = 0
        self._sent = 0

    async def serve(self) -> None:
        started = time.perf_counter()
        code = NORMAL
        await self._send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        with ExitStack() as self._slots:
            try:
                async with asyncio.TaskGroup() as self._tasks:
                    self._tasks.create_task(self._read())
                    self._tasks.create_task(self._wait_for_silence())
            except* ClientGoneError as gone:
                code = _first(gone).code
            except* CloseSocketError as closing:
                cause = _first(closing)
                code = cause.code
                await self._say_goodbye(cause)
            except* Exception:
                log.exception("unexpected failure")
                code = INTERNAL_ERROR
                await self._say_goodbye(CloseSocketError(code, "Something went wrong."))
        self._log(code, time.perf_counter() - started)

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                raise ClientGoneError(message.get("code", 1005))
            text = message.get("text")
            if text is None:
                raise CloseSocketError(BAD_REQUEST, "Messages are text.")
            try:
                await self._take(parse(text))
            except InvalidMessageError as error:
                raise CloseSocketError(BAD_REQUEST, str(error)) from None

    async def _take(self, message: SocketMessage) -> None:
        if isinstance(message, Init):
            await self._open(message)
        elif isinstance(message, Ping):
            await self._tell({"type": "pong", **_payload(message.payload)})
        elif isinstance(message, Subscribe):
            await self._subscribe(message)
        elif isinstance(message, Complete):
            task = self._running.pop(message.id, None)
            if task is not None:
                task.cancel()

    async def _open(self, init: Init) -> None:
        """Who is it? One vault read; then the session is watched."""
        if self._initialised:
            raise CloseSocketError(TOO_MANY, "Too many initialisation requests")
        self._initialised = True
        session = (
            self._late.read()
            if init.bearer is None
            else self._cookie.read_bearer(init.bearer)
        )
        if session.ref is None:
            raise CloseSocketError(FORBIDDEN, "Sign in first.")
        try:
            await open_session(self._scope, session.ref)
            self._slots.enter_context(
                self._resources.slots.taken("sockets", session.ref)
            )
        except NotAuthenticatedError:
            raise CloseSocketError(FORBIDDEN, "The session has ended.") from None
        except UpstreamUnavailableError:
            raise CloseSocketError(TRY_AGAIN_LATER, "Try again later.") from None
        except RefusalError as refusal:
            raise CloseSocketError(TOO_MANY, refusal.message) from None
        self._ref = session.ref
        self._tasks.create_task(self._watch(session.ref))
        await self._tell({"type": "connection_ack"})

    async def _watch(self, ref: SessionRef) -> None:
        await self._resources.watch.until_end(ref)
        raise CloseSocketError(FORBIDDEN, "The session has ended.")

    async def _wait_for_silence(self) -> None:
        """End a connection that does not say who it is, or wants nothing."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._live.init_timeout_s)
        if not self._initialised:
            raise CloseSocketError(INIT_TIMEOUT, "Connection initialisation timeout")
        while True:
            if self._running:
                self._idle_since = loop.time()
            left_s = self._idle_since + self._live.idle_s - loop.time()
            if left_s <= 0:
                raise CloseSocketError(NORMAL, "No subscription for a while.")
            await asyncio.sleep(left_s)

    async def _subscribe(self, message: Subscribe) -> None:
        if self._ref is None:
            raise CloseSocketError(UNAUTHORIZED, "Unauthorized")
        if message.id in self._running:
            reason = f"Subscriber for {message.id} already exists"
            raise CloseSocketError(SUBSCRIBER_EXISTS, reason[:120])
        if len(self._running) >= self._live.per_socket:
            most = self._live.per_socket
            refusal = too_many(f"This socket has {most} subscriptions open.")
            await self._refuse(message.id, refusal)
            return
        task = self._tasks.create_task(self._run(message, self._ref))
        self._running[message.id] = task
        task.add_done_callback(lambda task: self._forget(message.id, task))
        self._subscribed += 1

    async def _run(self, message: Subscribe, ref: SessionRef) -> None:
        try:
            with self._resources.slots.taken("subscriptions", ref):
                await self._pass_on(message, ref)
        except RefusalError as refusal:
            await self._refuse(message.id, refusal)

    async def _pass_on(self, message: Subscribe, ref: SessionRef) -> None:
        context = live_context(self._scope, ref)
        request = self._resources.documents.resolve(message.request)
        events = events_of(self._schema, request, context)
        async with aclosing(events):
            async for event in events:
                if event.missed:
                    raise CloseSocketError(TRY_AGAIN_LATER, "Changes were missed.")
                if event.refused:
                    errors = event.payload.get("errors")
                    await self._answer(message.id, "error", errors)
                    return
                await self._answer(message.id, "next", event.payload)
        await self._tell({"id": message.id, "type": "complete"})

    def _forget(self, id: str, task: asyncio.Task[None]) -> None:
        if self._running.get(id) is task:
            del self._running[id]
        self._idle_since = asyncio.get_running_loop().time()

    async def _refuse(self, id: str, refusal: RefusalError) -> None:
        await self._answer(id, "error", [error_of(self._scope, refusal)])

    async def _answer(self, id: str, type: str, payload: object) -> None:
        self._sent += 1
        await self._tell({"id": id, "type": type, "payload": payload})

    async def _tell(self, message: dict[str, object]) -> None:
        """Waits while the client takes nothing: that is the back-pressure."""
        text = orjson.dumps(message).decode()
        try:
            async with asyncio.timeout(self._live.send_s):
                await self._send({"type": "websocket.send", "text": text})
        except (TimeoutError, OSError):  # uvicorn's ClientDisconnected is an OSError
            raise ClientGoneError(1006) from None

    async def _say_goodbye(self, cause: CloseSocketError) -> None:
        try:
            async with asyncio.timeout(self._live.send_s):
                await self._send(close_message(cause.code, cause.reason))
        except (TimeoutError, OSError, RuntimeError):
            log.debug("nobody heard the close")

    def _log(self, code: int, duration_s: float) -> None:
        fields = {
            "closeCode": code,
            "durationMs": milliseconds(duration_s),
            "subscriptions": self._subscribed,
            "sent": self._sent,
            "requestId": trace_of(self._scope).request_id,
        }
        log.info("socket closed", extra={"fields": fields})


def close_message(code: int, reason: str) -> dict[str, object]:
    return {"type": "websocket.close", "code": code, "reason": reason}


def _payload(payload: object) -> dict[str, object]:
    return {} if payload is None else {"payload": payload}


def _first(group: BaseExceptionGroup[E]) -> E:
    """One of the reasons to end; the others came at the same time."""
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
