"""A Conduit stand-in over conduit-init.json, in process and over real sockets."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sandbox.conduit import (
    ConduitSettings,
    ConduitState,
    create_conduit_app,
    load_declarations,
)

ROOT = Path(__file__).resolve().parents[3]


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
