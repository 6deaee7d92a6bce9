"""What stands around the servers while their cost is measured.

Used by `cost.py`, `session_cost.py` and `profile.py`: the stub upstream and a real
Valkey, both on the load's core, and sessions in it for the servers to find.
"""

import http.client
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis.asyncio

from sandbox.launch import ValkeyServer

from . import upstream_data
from .processes import LOAD_CORE, Program
from .servers import Running, Surroundings
from .stub_answers import StubAnswers

PERSON = ("person0@example.com", "a-long-password-for-the-stub")
PLAIN_SESSION = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Stage:
    """The stub and the session store, running."""

    around: Surroundings
    stub_port: int

    def upstream_calls(self) -> int:
        """How many calls the stub has answered so far."""
        connection = http.client.HTTPConnection("127.0.0.1", self.stub_port, timeout=10)
        try:
            connection.request("GET", "/_stub/calls")
            found: dict[str, int] = json.loads(connection.getresponse().read())
            return found["calls"]
        finally:
            connection.close()

    def sign_in(self, running: Running) -> str:
        """The Cookie header of the person whom the stub knows."""
        if running.server.session == "plain":
            return f"session={PLAIN_SESSION}"
        return running.sign_in(*PERSON)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Start the stub and Valkey; the calling process should be on the load's core."""
    command = [sys.executable, "-m", "benchmarks.stub"]
    with Program("stub", command, core=LOAD_CORE, pipe=True) as stub:
        port = int(stub.read_line())
        url = f"http://127.0.0.1:{port}"
        async with ValkeyServer() as valkey:
            await _open_plain_session(valkey.url)
            yield Stage(Surroundings(flux=url, conduit=url, redis=valkey.url), port)


async def _open_plain_session(redis_url: str) -> None:
    """What `plain_server.py` would have stored at its sign-in."""
    signed_in = StubAnswers().answer("POST", "/authentication/local", b"{}")
    record = {**json.loads(signed_in.body), "userId": upstream_data.user(0)["_id"]}
    async with redis.asyncio.from_url(redis_url) as store:
        await store.set(f"plain:{PLAIN_SESSION}", json.dumps(record))
