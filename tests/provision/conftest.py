"""A Conduit in which nothing is declared, with its Admin API and its client API."""

from collections.abc import AsyncIterator

import pytest
from provision_harness import Stand, Swappable
from serving import served

from sandbox.conduit import (
    ConduitSettings,
    ConduitState,
    Declarations,
    create_admin_app,
    create_conduit_app,
)
from sandbox.faults import FaultyUpstream


@pytest.fixture
async def stand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stand]:
    monkeypatch.setattr("provision.routes.INTERVAL_S", 0.05)
    settings = ConduitSettings(rate_limit=None, route_delay_s=0.3)
    state = ConduitState(Declarations(), settings)
    app = Swappable(create_admin_app(state))
    faulty = FaultyUpstream(app)
    async with served(faulty) as admin, served(create_conduit_app(state)) as client:
        settings.host_url = client
        yield Stand(state, app, faulty, admin, client, capsys)
        faulty.faults.clear()
