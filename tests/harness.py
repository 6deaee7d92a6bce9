"""What tests hold in their hands: the running sandbox and clients of the app.

`tests/conftest.py` makes them; test files import their types from here.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from forked_server import ForkedServer
from serving import NO_TLS

from clients.transports import DEFAULT_TRANSPORT

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "mainstem-demo"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The running stand-ins, seen from a test."""

    flux: str
    conduit: str
    files: str
    admin: str
    redis: str
    flux_jwt_secret: str
    session_secret: str
    admin_master_key: str = field(repr=False)
    admin_user: str
    admin_password: str = field(repr=False)
    http: httpx.Client = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a server over this sandbox."""
        return {
            "FLUX_URL": self.flux,
            "FLUX_JWT_SECRET": self.flux_jwt_secret,
            "CLIENT_BASE_URL": self.conduit,
            "REDIS_URL": self.redis,
            "SESSION_SECRET": self.session_secret,
            # `ENGINE=reference make test` runs everything on graphql-core.
            "ENGINE": os.environ.get("ENGINE", "compiled"),
            "STORAGE_HOSTS": self.files.removeprefix("http://"),
            # The stand-ins of the tests count nothing, unless a test wants them to.
            "FLUX_RATE_LIMIT": "off",
            "CONDUIT_RATE_LIMIT": "off",
            # Given by who runs the tests, for all of them.
            "UPSTREAM_TRANSPORT": os.environ.get(
                "UPSTREAM_TRANSPORT", DEFAULT_TRANSPORT
            ),
        }

    def calls(self) -> list[tuple[str, str, str]]:
        """What reached the upstreams since `forget`: (upstream, method, path)."""
        return [
            (name, record["method"], record["path"])
            for name, url in (("flux", self.flux), ("conduit", self.conduit))
            for record in self.http.get(f"{url}/_sandbox/requests").json()
        ]

    def forget(self) -> None:
        """Start counting anew."""
        self.http.delete(f"{self.flux}/_sandbox/all/requests").raise_for_status()

    def fail(self, upstream: str, path: str, **fault: Any) -> None:
        """Make one upstream fail; fields as in sandbox/faults.py."""
        answer = self.http.post(
            f"{self._urls[upstream]}/_sandbox/faults", json={"path": path, **fault}
        )
        answer.raise_for_status()

    def heal(self) -> None:
        """Take all faults away."""
        self.http.delete(f"{self.flux}/_sandbox/all/faults").raise_for_status()

    @property
    def _urls(self) -> dict[str, str]:
        return {
            "flux": self.flux,
            "conduit": self.conduit,
            "files": self.files,
            "admin": self.admin,
        }


@contextmanager
def started_sandbox(ready: Path, *options: str) -> Iterator[Sandbox]:
    """The stand-ins as a process of their own, on free ports; `ready` is to be made."""
    command = [sys.executable, "-m", "sandbox", "--upstreams-only", *options]
    for name in ("flux", "conduit", "files", "admin"):
        command += [f"--{name}-port", "0"]
    with subprocess.Popen([*command, "--ready-file", str(ready)], cwd=ROOT) as process:
        try:
            wait_for(ready, process)
            with httpx.Client(trust_env=False, verify=NO_TLS) as http:
                yield Sandbox(**json.loads(ready.read_text()), http=http)
        finally:
            process.terminate()
            process.wait(60)


def wait_for(
    path: Path, process: subprocess.Popen[bytes], limit_s: float = 180
) -> None:
    """Wait until a started program has written its ready file."""
    deadline = time.monotonic() + limit_s
    while not path.exists():
        assert process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < deadline, f"not ready after {limit_s} s"
        time.sleep(0.05)


@dataclass(slots=True)
class Caller:
    """One client of the app: its cookies, and GraphQL over POST."""

    http: httpx.AsyncClient

    async def __call__(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer to an operation, as JSON."""
        answer = await self.post({"query": query, "variables": variables})
        return answer.json()  # type: ignore[no-any-return]

    async def post(self, body: object, **options: Any) -> httpx.Response:
        """The HTTP answer to a JSON body."""
        return await self.http.post("/graphql", json=body, **options)

    async def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an operation that must have no errors."""
        answer = await self(query, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]  # type: ignore[no-any-return]

    async def sign_in(self, name: str = "first", password: str = PASSWORD) -> None:
        """Open a session as a demo account; the cookie is kept."""
        query = """mutation ($input: SignInInput!) {
          signIn(input: $input) { __typename }
        }"""
        email = f"{name}@example.com"
        data = await self.data(query, input={"email": email, "password": password})
        assert data["signIn"]["__typename"] == "SignInSuccess"


@asynccontextmanager
async def running_app(environment: dict[str, str]) -> AsyncIterator[Any]:
    """The app with its pools and vault open, in this process."""
    from server.app import create_app
    from server.settings import Settings

    app = create_app(Settings.from_env(environment))
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def caller_of(app: Any) -> AsyncIterator[Caller]:
    """A new client without cookies."""
    transport = httpx.ASGITransport(app)
    base = "http://127.0.0.1:8000"
    async with httpx.AsyncClient(transport=transport, base_url=base) as http:
        yield Caller(http)


@contextmanager
def server_process(sandbox: Sandbox, **environment: str) -> Iterator[str]:
    """The server as its own process over the sandbox; gives its address."""
    port = free_port()
    process = start_server(sandbox, port, **environment)
    try:
        wait_until_alive(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def start_server(sandbox: Sandbox, port: int, **environment: str) -> ForkedServer:
    """Start a server; its log goes nowhere."""
    settings = os.environ | sandbox.environment | environment | {"PORT": str(port)}
    return ForkedServer(settings, Path(os.devnull))


def wait_until_alive(
    url: str, process: ForkedServer | subprocess.Popen[bytes], limit_s: float = 180
) -> None:
    """Wait until a started server answers."""
    deadline = time.monotonic() + limit_s
    with httpx.Client(trust_env=False, verify=NO_TLS) as http:
        while True:
            assert process.poll() is None, f"ended with {process.returncode}"
            assert time.monotonic() < deadline, "the server does not answer"
            try:
                http.get(f"{url}/health/live").raise_for_status()
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
