"""A Conduit stand-in over conduit-init.json, in process and over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from sandbox.conduit import (
    ConduitSettings,
    ConduitState,
    create_conduit_app,
    load_declarations,
)

ROOT = Path(__file__).resolve().parents[3]

Serve = Callable[[ASGIApp], AbstractAsyncContextManager[str]]


@pytest.fixture
def state() -> ConduitState:
    settings = ConduitSettings(rate_limit=None, renew_step_s=0.0)
    return ConduitState(load_declarations(ROOT / "conduit-init.json"), settings)


@pytest.fixture
async def conduit(state: ConduitState) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_conduit_app(state))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        yield client


@pytest.fixture
async def signed_in(conduit: httpx.AsyncClient, state: ConduitState) -> str:
    """Signs `conduit` in; the user's id."""
    user = state.add_user("first@example.com", "secret-1")
    credentials = {"email": "first@example.com", "password": "secret-1"}
    answer = await conduit.post("/authentication/local", json=credentials)
    token = answer.json()["accessToken"]
    conduit.headers["Authorization"] = f"Bearer {token}"
    conduit.headers["Cache-Control"] = "no-cache"
    return str(user["_id"])


@pytest.fixture
def serve() -> Serve:
    """Serves an application on a free port; gives its address."""

    @asynccontextmanager
    async def served(app: ASGIApp) -> AsyncIterator[str]:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_level="error")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 (uvicorn offers no event for it)
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running

    return served
