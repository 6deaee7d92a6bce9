"""uvicorn's protocols, with the two things that live connections need of them.

Named in `__main__.py`; made by uvicorn for every connection. Relies on uvicorn handing
the lifespan's state to each protocol as `app_state`.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)

# The lifespan's state holds an asyncio.Event under this name.
STOPPING = "stopping"


class StreamingHTTPProtocol(HttpToolsProtocol):
    """Tells the streams that the server stops; uvicorn waits for them to end."""

    def shutdown(self) -> None:
        super().shutdown()
        stopping = self.app_state.get(STOPPING)
        if isinstance(stopping, asyncio.Event):
            stopping.set()


class AbortingSocketProtocol(WebSocketsSansIOProtocol):
    """Cuts off a client that neither answers a ping nor reads what it was sent.

    uvicorn closes such a connection, which waits for the client to read the rest.
    """

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
