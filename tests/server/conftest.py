"""The real app over upstreams that nobody listens to, and a client of it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from server.app import create_app
from server.settings import Settings

# Port 9 (discard) refuses connections on every machine that runs these tests.
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def environment() -> dict[str, str]:
    """The least that starts a server."""
    return {
        "FLUX_URL": NOBODY,
        "CLIENT_BASE_URL": NOBODY,
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "SESSION_SECRET": "kq3J0x7VbP1mZr9YtW5nH2cL8dF4gS6a",
    }


@pytest.fixture
async def http(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings.from_env({**environment, "CORS_ORIGINS": FRIEND}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
    ):
        yield client


FRIEND = "https://app.example.com"
