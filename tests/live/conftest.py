"""Server processes that the tests of live changes share, and signed-in people."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from processes_harness import Device, Servers, client, sign_in

from harness import Sandbox

LIMITS = {
    "SUBSCRIPTIONS_PER_SOCKET": "2",
    "SUBSCRIPTIONS_PER_SESSION": "3",
    "SUBSCRIPTION_BACKLOG": "5",
    "SOCKET_INIT_TIMEOUT_S": "1",
    "SOCKET_IDLE_S": "1.5",
    "SOCKET_MESSAGE_BYTES": "2048",
    "LIVE_PING_S": "1",
    "CORS_ORIGINS": "https://app.example.com",
}


@contextmanager
def _server(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    servers = Servers(folder)
    try:
        url = servers.start(environment)
        servers.wait()
        yield url
    finally:
        servers.end()


@pytest.fixture(scope="session")
def usual_server(
    running_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("usual")
    with _server(folder, running_sandbox.environment) as url:
        yield url


@pytest.fixture(scope="session")
def strict_server(
    running_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("strict")
    with _server(folder, running_sandbox.environment | LIMITS) as url:
        yield url


@pytest.fixture
def url(sandbox: Sandbox, usual_server: str) -> str:
    """The address of a server process."""
    return usual_server


@pytest.fixture
def strict_url(sandbox: Sandbox, strict_server: str) -> str:
    """The address of a server process with tight limits."""
    return strict_server


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as http:
        yield http


@pytest.fixture
async def first_device(http: httpx.AsyncClient, url: str) -> Device:
    return await sign_in(http, url, "first")


@pytest.fixture
async def second_device(http: httpx.AsyncClient, url: str) -> Device:
    return await sign_in(http, url, "second")
