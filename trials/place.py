"""Where a trial takes place: the stand-ins, our server, and the hand on their switches.

Everything runs as child processes on free ports of the loopback and ends with the
trial, whatever happens.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import Program, free_port
from benchmarks.stand_ins import StandIns, ask, stand_ins

from .faults import FaultKind, Target

WORKERS: Final = 2
READY_S: Final = 60.0
# A worker that was just started has its imports before it.
START_S: Final = 4.0
TOKEN_LIFE_S: Final = 60

SETTINGS: Final = {
    "ENVIRONMENT": "production",
    "HOST": "127.0.0.1",
    "WORKERS": str(WORKERS),
    "LOG_LEVEL": "ERROR",
    # Shorter than the defaults, so that more faults fit into an hour.
    "UPSTREAM_TIMEOUT_S": "4",
    "UPSTREAM_READ_TIMEOUT_S": "4",
    # All people share one address here.
    "SIGN_IN_PER_ADDRESS": "100000",
    "SIGN_IN_PER_ACCOUNT": "100000",
    # The stand-ins count nothing.
    "FLUX_RATE_LIMIT": "off",
    "CONDUIT_RATE_LIMIT": "off",
}
_INHERITED: Final = ("PATH", "HOME", "LANG")


@dataclass(frozen=True, slots=True)
class Sample:
    """One worker at one time; descriptors and resident memory."""

    at: float
    pid: int
    rss_bytes: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Place:
    """Started, and answering."""

    upstreams: StandIns
    server: Program
    url: str

    def workers(self) -> list[int]:
        """The processes that serve, the oldest first."""
        pid = self.server.pid
        listed = _text(Path(f"/proc/{pid}/task/{pid}/children")).split()
        found = [child for child in listed if "spawn_main" in _command(child)]
        return sorted(map(int, found), key=_started)

    def sample(self, at: float) -> list[Sample]:
        return [
            Sample(at, pid, _rss_bytes(pid), _descriptors(pid))
            for pid in self.workers()
        ]

    async def begin(self, kind: FaultKind) -> None:
        """Put a fault in force."""
        if kind.target == "worker":
            # Always the youngest, so that the oldest shows what a long life does.
            os.kill(self.workers()[-1], signal.SIGKILL)
        elif kind.target == "redis":
            self.upstreams.program.send(signal.SIGUSR1)
        else:
            url = self._url(kind.target)
            for rule in kind.rules:
                await asyncio.to_thread(ask, url, "POST", "/_sandbox/faults", rule)

    async def end(self, kind: FaultKind) -> None:
        """Take it away again; until everything is as it was before."""
        if kind.target == "worker":
            while len(self.workers()) < WORKERS:  # noqa: ASYNC110 - asks the system
                await asyncio.sleep(0.1)
            await asyncio.sleep(START_S)
        elif kind.target == "redis":
            self.upstreams.program.send(signal.SIGUSR2)
        else:
            url = self._url(kind.target)
            await asyncio.to_thread(ask, url, "DELETE", "/_sandbox/faults")

    def _url(self, target: Target) -> str:
        urls: Mapping[Target, str] = {
            "flux": self.upstreams.flux,
            "conduit": self.upstreams.conduit,
            "files": self.upstreams.files,
        }
        return urls[target]


@contextmanager
def place(**settings: str) -> Iterator[Place]:
    """Stand-ins with a store that survives, and two workers. Raises: ProgramError."""
    with stand_ins("--durable") as upstreams:
        _shorten_tokens(upstreams)
        port = free_port()
        with _server(upstreams, port, settings) as server:
            here = Place(upstreams, server, f"http://127.0.0.1:{port}")
            _wait_until_it_answers(here)
            yield here


def _server(upstreams: StandIns, port: int, settings: Mapping[str, str]) -> Program:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    addresses = {
        "PORT": str(port),
        "FLUX_URL": upstreams.flux,
        "FLUX_JWT_SECRET": upstreams.flux_jwt_secret,
        "CLIENT_BASE_URL": upstreams.conduit,
        "REDIS_URL": upstreams.redis,
        "SESSION_SECRET": secrets.token_urlsafe(48),
        "STORAGE_HOSTS": upstreams.files.removeprefix("http://"),
    }
    command = [sys.executable, "-m", "server"]
    environment |= {**SETTINGS, **addresses, **settings}
    return Program("server", command, env=environment)


def _wait_until_it_answers(here: Place) -> None:
    deadline = time.monotonic() + READY_S
    while len(here.workers()) < WORKERS or not _answers(here.url):
        if not here.server.running:
            raise here.server.failure("ended while starting")
        if time.monotonic() > deadline:
            raise here.server.failure("does not answer")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        ask(url, "GET", "/health/live")
    except OSError:
        return False
    return True


def _shorten_tokens(upstreams: StandIns) -> None:
    """So that they are renewed while everything fails. As an administrator would."""
    master = {"masterkey": upstreams.admin_master_key}
    signed_in = ask(
        upstreams.admin,
        "POST",
        "/login",
        {"username": upstreams.admin_user, "password": upstreams.admin_password},
        more_headers=master,
    )
    if not isinstance(signed_in, dict):
        raise TypeError("the stand-in's Admin API did not sign in")
    ask(
        upstreams.admin,
        "PATCH",
        "/config/authentication",
        {"config": {"accessTokens": {"expiryPeriod": TOKEN_LIFE_S * 1000}}},
        token=signed_in["token"],
        more_headers=master,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _command(pid: str) -> str:
    return _text(Path(f"/proc/{pid}/cmdline"))


def _started(pid: int) -> int:
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else sys.maxsize


def _rss_bytes(pid: int) -> int:
    fields = _text(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _descriptors(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
