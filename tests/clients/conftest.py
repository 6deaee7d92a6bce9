"""Loopback upstreams for the tests of the clients."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from clients_harness import TRANSPORT, Upstream, background
from clients_tls import Authority

from clients.http import CallScope, TransportName
from clients.tls import tls_context


@pytest.fixture(scope="session", autouse=True)
def system_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """The one authority in the system's store, as far as these tests go.

    What this process has read of the real store is forgotten, and then this one.
    """
    folder: Path = tmp_path_factory.mktemp("store")
    authority = Authority("system", folder)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(authority.file))
        environment.delenv("SSL_CERT_DIR", raising=False)
        tls_context.cache_clear()
        yield authority
    tls_context.cache_clear()


@pytest.fixture
def transport_name() -> TransportName:
    """Overridden by the modules that are the contract of both transports."""
    return TRANSPORT


@pytest.fixture
async def upstream(transport_name: TransportName) -> AsyncIterator[Upstream]:
    """A scripted HTTP server on a real socket."""
    server = Upstream(transport_name)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def scope() -> CallScope:
    """Ten seconds, as a request would have."""
    return background(10.0)
