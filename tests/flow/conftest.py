"""A Conduit of the test's own, beside the shared Flux and Redis.

Its state is in the test's hands: writes leave nothing behind for other tests, and an
administrator's changes (an endpoint taken away, authorization on) touch nobody else.
"""

from collections.abc import AsyncIterator

import pytest
from own_conduit import OwnConduit
from serving import served
from writes import signed_in

from harness import ROOT, Caller, Sandbox
from sandbox.conduit import (
    ConduitSettings,
    ConduitState,
    create_conduit_app,
    create_file_server,
    load_declarations,
)
from sandbox.faults import FaultyUpstream


@pytest.fixture
async def conduit(sandbox: Sandbox) -> AsyncIterator[OwnConduit]:
    """Provisioned, and empty."""
    settings = ConduitSettings(rate_limit=None, route_limits=False, route_delay_s=0)
    state = ConduitState(load_declarations(ROOT / "conduit-init.json"), settings)
    faulty = FaultyUpstream(create_conduit_app(state))
    storage = FaultyUpstream(create_file_server(state))
    async with served(storage) as files, served(faulty) as url:
        settings.file_server_url = files
        yield OwnConduit(
            url=url, files=files, state=state, faulty=faulty, storage=storage
        )


@pytest.fixture
async def me(sandbox: Sandbox, conduit: OwnConduit) -> AsyncIterator[Caller]:
    """Signed in as a new person, over an app on this Conduit."""
    async with signed_in(sandbox, conduit, "me") as caller:
        yield caller
