"""What stands around the servers while their cost is measured.

Used by `cost.py`, `session_cost.py`, `profile.py` and `sweeps/`: the stub upstream and
a real Valkey, both on the load's core, and sessions in it for the servers to find.
"""

import http.client
import json
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import repeat

import redis.asyncio

from sandbox.launch import ValkeyServer

from . import upstream_data
from .load import Credentials
from .processes import LOAD_CORE, Cores, Program, pinned
from .servers import Running, Surroundings
from .stub_answers import StubAnswers

# Each connection asks as somebody else, so that no server can share a person's reads
# between requests; fewer than may sign in from one address within a minute.
PEOPLE = 16
SIGN_INS_AT_ONCE = 16
PASSWORD = "a-long-password-for-the-stub"  # noqa: S105 - nobody checks it
PERSON = ("person0@example.com", PASSWORD)
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

    def people(self, running: Running, count: int = PEOPLE) -> list[Credentials]:
        """As whom the connections ask, in the way that the server understands.

        Raises: AnswerError, OSError: it lets nobody in.
        """
        numbers = range(count)
        match running.server.session:
            case "plain":
                return [{"Cookie": f"session={PLAIN_SESSION}{n}"} for n in numbers]
            case "bearer":
                return [{"Authorization": f"Bearer person-{n}"} for n in numbers]
            case "sealed":
                # Side by side: a thousand behind a slow upstream take minutes.
                with ThreadPoolExecutor(SIGN_INS_AT_ONCE) as pool:
                    names = map(_email, numbers)
                    return list(pool.map(running.sign_in, names, repeat(PASSWORD)))


@asynccontextmanager
async def stage(*, cores: Cores = LOAD_CORE, delay_ms: int = 0) -> AsyncIterator[Stage]:
    """Start the stub, which answers after a while, and Valkey, on the same cores."""
    command = [sys.executable, "-m", "benchmarks.stub", str(delay_ms)]
    with Program("stub", command, core=cores, pipe=True) as stub:
        port = int(stub.read_line())
        url = f"http://127.0.0.1:{port}"
        with pinned(cores):
            valkey = ValkeyServer()
            await valkey.start()
        try:
            await _open_plain_sessions(valkey.url)
            yield Stage(Surroundings(flux=url, conduit=url, redis=valkey.url), port)
        finally:
            await valkey.stop()


def _email(number: int) -> str:
    return f"person{number}@example.com"


async def _open_plain_sessions(redis_url: str) -> None:
    """What `plain_server.py` would have stored at its sign-in."""
    answers = StubAnswers()
    async with redis.asyncio.from_url(redis_url) as store:
        for number in range(PEOPLE):
            body = json.dumps({"email": _email(number)}).encode()
            signed_in = answers.answer("POST", "/authentication/local", body)
            record = {
                **json.loads(signed_in.body),
                "userId": upstream_data.user(number)["_id"],
            }
            await store.set(f"plain:{PLAIN_SESSION}{number}", json.dumps(record))
