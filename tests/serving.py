"""`served`: an ASGI application on a real socket, within the test's own event loop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

import uvicorn
from starlette.types import ASGIApp

# For clients of what speaks plain HTTP; httpx reads all authorities for each (40 ms).
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Server(uvicorn.Server):
    """Driven by hand: uvicorn's own loop sees only every 100 ms that it is to end."""

    async def begin(self, listener: socket.socket) -> None:
        if not self.config.loaded:
            self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.on_tick(0)  # the headers of all answers
        await self.startup(sockets=[listener])

    async def end(self) -> None:
        """As `shutdown`, with a look every 2 ms at what is still under way."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        state = self.server_state
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while state.connections or state.tasks:  # noqa: ASYNC110 no event
                    await asyncio.sleep(0.002)
        for task in state.tasks:
            task.cancel()
        for server in self.servers:
            await server.wait_closed()


@contextlib.asynccontextmanager
async def served(
    app: ASGIApp, config: uvicorn.Config | None = None
) -> AsyncIterator[str]:
    """Serve on a free port; gives the address."""
    config = config or uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
        # With 5 s a busy loop closes what the client's pool still holds for good.
        timeout_keep_alive=20,
    )
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.begin(listener)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await server.end()
