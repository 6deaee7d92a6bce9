"""A Conduit client over a loopback router and a loopback storage host."""

from collections.abc import AsyncIterator

import pytest
from clients_harness import LIMITS, Tokens, Upstream

from clients.conduit.calls import ConduitCalls
from clients.conduit.client import ConduitClient, conduit_http, storage_http
from clients.http import CallScope


@pytest.fixture
async def storage_host() -> AsyncIterator[Upstream]:
    """The storage host, another address than the router's."""
    server = Upstream()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def conduit(
    upstream: Upstream, storage_host: Upstream, scope: CallScope
) -> ConduitClient:
    """The client of a signed-in person."""
    return ConduitClient(
        ConduitCalls(
            conduit_http(upstream.url, upstream.transport(), LIMITS), Tokens(), scope
        ),
        storage_http(storage_host.transport(), LIMITS),
    )
