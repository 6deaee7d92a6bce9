"""A server of several workers in a test's hands, and clients that never stop asking.

Used by `tests/flow/test_life_cycle.py`.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from serving import NO_TLS

from harness import ROOT, Sandbox, free_port, wait_until_alive

QUERY = {"query": "{ posts(first: 1) { nodes { title } } }"}


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running `python -m server`."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def workers(self) -> set[int]:
        """The processes that serve."""
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child) for child in listed if "spawn_main" in _command(child)}

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """No process serves, as on a machine without a free core."""
        stopped = self.workers() or {self.process.pid}
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def live_server(
    sandbox: Sandbox, workers: int = 2, **environment: str
) -> Iterator[LiveServer]:
    """With so many workers; ended by force if need be."""
    port = free_port()
    settings = {"WORKERS": str(workers), "PORT": str(port), **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "server"],
        cwd=ROOT,
        env=os.environ | sandbox.environment | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        server = LiveServer(process, port)
        wait_until_alive(server.url, process)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Guests:
    """Connections for one question each."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def come(self, number: int) -> None:
        """Until the kernel has connected them; nobody need have taken them on."""
        for _ in range(number):
            stream = await asyncio.open_connection("127.0.0.1", self._port)
            self._streams.append(stream)

    def ask(self) -> None:
        for _, writer in self._streams:
            writer.write(b"GET /health/live HTTP/1.1\r\nhost: here\r\n\r\n")

    async def answers(self) -> Counter[str]:
        """The first lines of what each was told to the end; or what failed."""
        told: Counter[str] = Counter()
        for reader, writer in self._streams:
            try:
                told[(await reader.read()).decode().partition("\r\n")[0]] += 1
            except OSError as error:
                told[type(error).__name__] += 1
            writer.close()
        return told


@dataclass(slots=True)
class Crowd:
    """Clients that ask, each on a connection that it keeps as long as it may."""

    url: str
    headers: dict[str, str]
    outcomes: Counter[str] = field(default_factory=Counter)
    done: bool = False

    async def ask(self) -> None:
        """One client. "cut" is a question that went out and got no answer."""
        async with httpx.AsyncClient(
            trust_env=False, timeout=30, verify=NO_TLS
        ) as http:
            while not self.done:
                try:
                    answer = await http.post(
                        f"{self.url}/graphql", json=QUERY, headers=self.headers
                    )
                except httpx.ConnectError:
                    self.outcomes["refused"] += 1
                    await asyncio.sleep(0.05)
                except httpx.TransportError:
                    self.outcomes["cut"] += 1
                else:
                    well = answer.status_code == 200 and "errors" not in answer.json()
                    self.outcomes["answered" if well else "failed"] += 1
                    await asyncio.sleep(0.1)

    async def until_answered(self, more: int) -> None:
        """Wait until so many further questions have been answered."""
        enough = self.outcomes["answered"] + more
        await until(lambda: self.outcomes["answered"] >= enough, within_s=120)


async def until(true: Callable[[], bool], *, within_s: float) -> float:
    """How long it took, in seconds."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < within_s
        await asyncio.sleep(0.05)
    return time.monotonic() - started


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    )


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
