"""`/graphql/stream`: one subscription as server-sent events.

The "distinct connections mode" of GraphQL over SSE, as npm `graphql-sse` 2 speaks it:
each subscription is a request of its own, by POST with a JSON body, or by GET for the
browser's own EventSource. Events are `next` with a result, and `complete` at the end.

A stream that ends without `complete` was cut: this server process stops, or the line
broke. Clients then connect anew by themselves.
"""

import asyncio
import logging
from contextlib import aclosing
from typing import Final

import orjson
from starlette.types import Receive, Scope, Send
from strawberry import Schema

from clients.errors import NotAuthenticatedError, UpstreamUnavailableError
from resolvers.context import RequestContext
from schema.errors import ErrorCode
from session.session import SessionRef

from .context import resources_of
from .cookies import session_of
from .graphql import loggable, read_body
from .graphql_request import GraphQLRequest, from_body, from_query_string
from .guard import is_forgeable, preflight_required
from .head import head_of
from .live import events_of, live_context, open_session
from .live_settings import LiveSettings
from .media_types import negotiate
from .refusals import RefusalCode, RefusalError, error_of, method_not_allowed
from .trace import trace_of

EVENT_STREAM: Final = "text/event-stream"
HEADERS: Final = {
    "content-type": f"{EVENT_STREAM}; charset=utf-8",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",  # nginx would otherwise keep events back
}
COMMENT: Final = b":\n\n"
COMPLETE: Final = b"event: complete\ndata:\n\n"

log = logging.getLogger("mainstem.stream")


class EventStreamEndpoint:
    """A plain ASGI route; refusals are answered by the guard."""

    def __init__(self, schema: Schema, *, cookie_name: str, live: LiveSettings) -> None:
        self._schema = schema
        self._cookie_name = cookie_name
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await self._request(scope, receive)
        request = resources_of(scope).documents.resolve(request)
        trace_of(scope).operation = loggable(request.operation_name)
        ref = await _open_session(scope)
        with resources_of(scope).slots.taken("subscriptions", ref):
            context = live_context(scope, ref)
            stream = _Stream(scope, receive, send, self._live)
            await stream.serve(self._schema, request, context, ref)

    async def _request(self, scope: Scope, receive: Receive) -> GraphQLRequest:
        """Raises: RefusalError."""
        head = head_of(scope)
        if scope["method"] not in ("GET", "POST"):
            raise method_not_allowed("GET", "POST")
        if negotiate(head.joined(b"accept"), (EVENT_STREAM,)) is None:
            raise RefusalError(
                406,
                RefusalCode.NOT_ACCEPTABLE,
                f"This path answers with {EVENT_STREAM}.",
            )
        if scope["method"] == "POST":
            body = await read_body(receive, resources_of(scope).bodies)
            return from_body(head.get(b"content-type"), body)
        # An EventSource can send no header, but browsers say whose page it is on.
        own_page = head.get(b"sec-fetch-site") == b"same-origin"
        if is_forgeable(head, self._cookie_name) and not own_page:
            raise preflight_required()
        return from_query_string(scope["query_string"])


async def _open_session(scope: Scope) -> SessionRef:
    """One vault read. Raises: RefusalError 401, 503."""
    ref = session_of(scope).ref
    try:
        if ref is not None:
            await open_session(scope, ref)
            return ref
    except NotAuthenticatedError:
        pass
    except UpstreamUnavailableError:
        code = ErrorCode.UPSTREAM_UNAVAILABLE
        raise RefusalError(503, code, "Try again later.") from None
    raise RefusalError(401, ErrorCode.UNAUTHENTICATED, "Sign in first.")


class _StreamEndError(Exception):
    """The stream is over; `farewell` is what is still to be sent."""

    def __init__(self, farewell: bytes = b"") -> None:
        super().__init__()
        self.farewell = farewell


class _Stream:
    """One answer that goes on. Whatever ends it is raised, and ends all its tasks."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, live: LiveSettings
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._live = live
        self._resources = resources_of(scope)

    async def serve(
        self,
        schema: Schema,
        request: GraphQLRequest,
        context: RequestContext,
        ref: SessionRef,
    ) -> None:
        raw = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})
        farewell = b""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(schema, request, context))
                tasks.create_task(self._ping())
                tasks.create_task(self._until_gone())
                tasks.create_task(self._until_session_ends(ref))
                tasks.create_task(self._until_server_stops())
        except* _StreamEndError as ends:
            farewell = _farewell(ends)
        await self._write(farewell, more=False)

    async def _pass_on(
        self, schema: Schema, request: GraphQLRequest, context: RequestContext
    ) -> None:
        async with aclosing(events_of(schema, request, context)) as events:
            async for event in events:
                await self._write(_next(event.payload))
        raise _StreamEndError(COMPLETE)

    async def _ping(self) -> None:
        while True:
            await self._write(COMMENT)
            await asyncio.sleep(self._live.ping_s)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise _StreamEndError

    async def _until_session_ends(self, ref: SessionRef) -> None:
        await self._resources.watch.until_end(ref)
        ended = RefusalError(401, ErrorCode.UNAUTHENTICATED, "The session has ended.")
        payload = {"errors": [error_of(self._scope, ended)]}
        raise _StreamEndError(_next(payload) + COMPLETE)

    async def _until_server_stops(self) -> None:
        await self._resources.stopping.wait()
        raise _StreamEndError

    async def _write(self, body: bytes, *, more: bool = True) -> None:
        """Waits while the client takes nothing: that is the back-pressure."""
        try:
            async with asyncio.timeout(self._live.send_s):
                await self._send(
                    {"type": "http.response.body", "body": body, "more_body": more}
                )
        except (TimeoutError, OSError):
            if more:
                raise _StreamEndError from None


def _next(payload: object) -> bytes:
    return b"event: next\ndata: " + orjson.dumps(payload) + b"\n\n"


def _farewell(ends: BaseExceptionGroup[_StreamEndError]) -> bytes:
    """What the first end that has something to say says."""
    said = (end.farewell for end in ends.exceptions if isinstance(end, _StreamEndError))
    return next((farewell for farewell in said if farewell), b"")
