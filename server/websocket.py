"""`/graphql` as a WebSocket: subscriptions over graphql-transport-ws.

One connection is one session (`socket_connection.py`). A page of a foreign origin does
not get that far: the cookie comes with it, and no preflight asks first.
"""

from starlette.types import Receive, Scope, Send
from strawberry import Schema

from session.cookie import SessionCookie

from .cookies import LateSession
from .guard import is_allowed
from .head import put_head
from .live_settings import LiveSettings
from .settings import GuardSettings
from .socket_connection import (
    SUBPROTOCOL_NOT_ACCEPTABLE,
    SocketConnection,
    close_message,
)
from .socket_messages import SUBPROTOCOL
from .trace import start_trace


class SocketEndpoint:
    """An ASGI application for WebSockets at one path."""

    def __init__(
        self,
        schema: Schema,
        cookie: SessionCookie,
        *,
        guard: GuardSettings,
        live: LiveSettings,
    ) -> None:
        self._schema = schema
        self._cookie = cookie
        self._guard = guard
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = put_head(scope)
        await receive()  # websocket.connect
        if not is_allowed(head, self._guard.cors_origins):
            await send({"type": "websocket.close"})  # before the accept: a 403
            return
        if SUBPROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.accept"})
            reason = f"Speak {SUBPROTOCOL}."
            await send(close_message(SUBPROTOCOL_NOT_ACCEPTABLE, reason))
            return
        start_trace(scope, head)
        late = LateSession(self._cookie, head)
        connection = SocketConnection(
            scope, receive, send, self._schema, self._cookie, late, self._live
        )
        await connection.serve()
