"""Fixtures for the whole project: the sandbox, the app over it, a signed-in caller.

The sandbox runs once for all tests, as its own process with real sockets; the app runs
in the test's process, over ASGI, with its real settings, pools and vault.
"""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import hypothesis
import pytest
import redis

from harness import Caller, Sandbox, caller_of, running_app, started_sandbox

# How long an example takes says more about the machine's other work than about us.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


# The folders whose files take longest; begun first, the workers are busy to the end.
BEGUN_FIRST = ("trials", "benchmarks", "flow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of `BEGUN_FIRST`, the rest as it was collected.

    Raises: pytest.UsageError: a name is another one in each process, and so the
    workers of `make test` would not find the same tests.
    """
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError("names with an address in them: " + unstable[0])
    place = {folder: n for n, folder in enumerate(BEGUN_FIRST)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(place)))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With FAIL_ON_SKIP=1 (CI), a skipped test fails the run."""
    if os.environ.get("FAIL_ON_SKIP") != "1" or exitstatus != 0:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped:
        reporter.write_line(f"FAIL_ON_SKIP: {len(skipped)} tests were skipped")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    ready = tmp_path_factory.mktemp("sandbox") / "ready.json"
    with started_sandbox(ready, "--unlimited") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The sandbox with no session, nothing counted and no fault in force."""
    running_sandbox.heal()
    running_sandbox.forget()
    with redis.Redis.from_url(running_sandbox.redis) as vault:
        vault.flushall()
    yield running_sandbox
    running_sandbox.heal()


@pytest.fixture
async def app(sandbox: Sandbox) -> AsyncIterator[Any]:
    async with running_app(sandbox.environment) as app:
        sandbox.forget()  # what the start asks Conduit
        yield app


@pytest.fixture
async def anonymous(app: Any) -> AsyncIterator[Caller]:
    async with caller_of(app) as caller:
        yield caller


@pytest.fixture
async def first(app: Any, sandbox: Sandbox) -> AsyncIterator[Caller]:
    """Signed in as first@example.com; the sign-in's own calls are forgotten."""
    async with caller_of(app) as caller:
        await caller.sign_in("first")
        sandbox.forget()
        yield caller


@pytest.fixture
async def second(app: Any, sandbox: Sandbox) -> AsyncIterator[Caller]:
    """Signed in as second@example.com."""
    async with caller_of(app) as caller:
        await caller.sign_in("second")
        sandbox.forget()
        yield caller
