"""The servers that are measured, as a table, and how one of them is started.

Used by `cost.py`, `calls.py`, `profile.py` and `sweeps/`. A further server is a row of
`SERVERS`, or of the table in `peers/` if it needs other tools: a command, and an
environment whose values may name what surrounds the server, see `Surroundings`.
"""

import http.client
import json
import os
import secrets
import string
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .load import Credentials
from .operations import request_body
from .processes import ROOT, Cores, Program, free_port

# Nothing else: a setting in somebody's shell must not change what is measured.
_INHERITED = ("PATH", "HOME", "LANG")
BUILD = ROOT / ".build" / "benchmarks"
READY_S = 40.0
ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """One row of the table.

    `session` is how it is told who asks: `sealed`, our cookie, `plain`, the unsealed
    one of `plain_server.py`, or `bearer`, an upstream token that it passes on.
    `dialect` are the documents of a server that cannot take ours, by query; it takes
    part in those only, and its answers name rows by the upstreams' ids (`bare`).
    `config` is a file in which `$port` and the like are filled in before it starts;
    `{config}` names the filled one.
    """

    name: str
    title: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    session: Literal["sealed", "plain", "bearer"]
    dialect: Mapping[str, Path] | None = None
    config: Path | None = None

    def answers(self, query: str) -> bool:
        """Whether it takes part in a query."""
        return self.dialect is None or query in self.dialect


_UPSTREAMS = {
    "FLUX_URL": "{flux}",
    "CLIENT_BASE_URL": "{conduit}",
    "REDIS_URL": "{redis}",
    "FLUX_JWT_SECRET": "{flux_jwt_secret}",
    # The stub counts nothing.
    "FLUX_RATE_LIMIT": "off",
    "CONDUIT_RATE_LIMIT": "off",
}
_UVICORN = (
    *(sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}"),
    *("--no-access-log", "--log-level", "warning"),
)

OURS = Server(
    name="ours",
    title="this server",
    command=(sys.executable, "-m", "server"),
    env={
        **_UPSTREAMS,
        "ENVIRONMENT": "production",
        "SESSION_SECRET": "{session_secret}",
        "HOST": "127.0.0.1",
        "PORT": "{port}",
        "SHUTDOWN_DELAY_S": "0",  # nobody balances load between benchmarks
    },
    session="sealed",
)
PLAIN = Server(
    name="stock",
    title="stock Strawberry, FastAPI, httpx, DataLoader",
    command=(*_UVICORN, "benchmarks.plain_server:app"),
    env=_UPSTREAMS,
    session="plain",
)
HANDWRITTEN = Server(
    name="handwritten",
    title="no GraphQL: bare ASGI over our clients and session",
    command=(*_UVICORN, "--factory", "benchmarks.handwritten_server:create_app"),
    env={**_UPSTREAMS, "SESSION_SECRET": "{session_secret}"},
    session="sealed",
)
SERVERS = (OURS, PLAIN, HANDWRITTEN)


def _secret() -> str:
    return "".join(secrets.choice(string.ascii_letters) for _ in range(64))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a server is told of: the upstreams, the session store, the secrets."""

    flux: str
    conduit: str
    redis: str
    flux_jwt_secret: str = field(default_factory=_secret, repr=False)
    session_secret: str = field(default_factory=_secret, repr=False)

    def values(self, port: int) -> dict[str, str]:
        """What `{...}` in a command or an environment stands for."""
        return {
            "port": str(port),
            "flux": self.flux,
            "conduit": self.conduit,
            "redis": self.redis,
            "flux_jwt_secret": self.flux_jwt_secret,
            "session_secret": self.session_secret,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def cookie(self) -> str:
        """The cookies that were set, as a client sends them back."""
        values = [value for name, value in self.headers if name == "set-cookie"]
        return "; ".join(value.partition(";")[0] for value in values)


class AnswerError(Exception):
    """A server gave no answer, or one with errors."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started server and where it listens."""

    server: Server
    program: Program
    port: int

    def ask(
        self, name: str, variables: Mapping[str, object], who: Credentials
    ) -> Answer:
        """Send one of our documents. Raises: AnswerError unless it went well."""
        answer = post(self.port, request_body(name, variables), who)
        data_of(answer, f"{self.server.name}, {name}")
        return answer

    def sign_in(self, email: str, password: str) -> Credentials:
        """Sign in through the graph; returns the header to send from now on."""
        answer = self.ask("sign_in", {"email": email, "password": password}, {})
        if not answer.cookie:
            raise AnswerError(f"no session was opened: {answer.body[:300]!r}")
        return {"Cookie": answer.cookie}


def start(server: Server, around: Surroundings, *, core: Cores | None) -> Running:
    """Start a server and wait until it answers. Raises: ProgramError, OSError."""
    port = free_port()
    values = around.values(port)
    if server.config is not None:
        values["config"] = str(_filled(server.config, values))
    program = Program(
        server.name,
        [part.format_map(values) for part in server.command],
        env={
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            "PYTHONFAULTHANDLER": "1",  # for Program.post_mortem
            **{name: value.format_map(values) for name, value in server.env.items()},
        },
        core=core,
    )
    running = Running(server, program, port)
    try:
        _wait_until_it_answers(running)
    except BaseException:
        program.stop()
        raise
    return running


def _filled(template: Path, values: Mapping[str, str]) -> Path:
    """The file with its `$names` replaced, among the things that may be deleted."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / template.name
    path.write_text(string.Template(template.read_text()).substitute(values))
    return path


def _wait_until_it_answers(running: Running) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            post(running.port, b'{"query":"{__typename}"}', {})
        except (OSError, http.client.HTTPException):
            if not running.program.running:
                raise running.program.failure("ended while starting") from None
            if time.monotonic() > deadline:
                raise running.program.failure("does not answer") from None
            time.sleep(0.1)
        else:
            return


def post(port: int, body: bytes, who: Credentials) -> Answer:
    """Post a GraphQL request. Raises: OSError, http.client.HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    headers = {"Content-Type": "application/json", "Accept": "application/json", **who}
    try:
        connection.request("POST", "/graphql", body, headers)
        response = connection.getresponse()
        found = [(name.lower(), value) for name, value in response.getheaders()]
        return Answer(response.status, found, response.read())
    finally:
        connection.close()


def data_of(answer: Answer, what: str) -> dict[str, object]:
    """`data` of an answer without errors. Raises: AnswerError."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = {}
    if answer.status != 200 or "errors" in found or not found.get("data"):
        raise AnswerError(f"{what}: status {answer.status}, {answer.body[:400]!r}")
    data: dict[str, object] = found["data"]
    return data
