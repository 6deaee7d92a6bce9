"""Starts programs on a core of their own, and reads what they cost from /proc.

Used by `cost.py`, `calls.py` and `profile.py`. Linux only. A program ends with the
benchmark whatever happens: the kernel signals it when its parent dies.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE = 0
LOAD_CORE = 1
BOTH_CORES = frozenset({SERVER_CORE, LOAD_CORE})
STOP_S = 10.0
LOG_TAIL = 3000

_PR_SET_PDEATHSIG = 1
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ProgramError(Exception):
    """A program did not start, or broke; the message ends with its log's tail."""


def can_pin() -> bool:
    """Whether server and load can have a core each.

    Tried, not read: the present affinity may be one that we have set ourselves.
    """
    before = os.sched_getaffinity(0)
    try:
        for core in (SERVER_CORE, LOAD_CORE):
            os.sched_setaffinity(0, {core})
    except OSError:
        return False
    finally:
        os.sched_setaffinity(0, before)
    return True


# One core, or several to choose from.
Cores = int | frozenset[int]


def _set_of(cores: Cores) -> frozenset[int]:
    return frozenset({cores}) if isinstance(cores, int) else cores


@contextmanager
def pinned(cores: Cores) -> Iterator[None]:
    """Run there meanwhile, if there are enough of them."""
    before = os.sched_getaffinity(0)
    if can_pin():
        os.sched_setaffinity(0, _set_of(cores))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Program:
    """One child process and its descendants; ended on leaving the context."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        core: Cores | None = None,
        pipe: bool = False,
    ) -> None:
        """`pipe` keeps standard output for `read_line`; else it goes to the log."""
        self.name = name
        # Closed in `stop`: it lives as long as the program.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(os.environ if env is None else env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else self._log,
            stderr=self._log,
            preexec_fn=_child_setup(core if can_pin() else None),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def read_line(self) -> str:
        """The next line that the program prints. Raises: ProgramError when it ends."""
        if self._process.stdout is None:
            raise RuntimeError(f"{self.name} has no pipe")
        line = self._process.stdout.readline().decode().strip()
        if not line:
            raise self.failure("ended while starting")
        return line

    def failure(self, what: str) -> ProgramError:
        """An exception that carries the end of the program's log."""
        self._log.seek(0)
        tail = self._log.read()[-LOG_TAIL:].decode(errors="replace")
        return ProgramError(f"{self.name} {what}\n{tail}")

    def post_mortem(self, what: str) -> ProgramError:
        """End a program that hangs; with PYTHONFAULTHANDLER its log tells where."""
        if self.running:
            self.send(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        return self.failure(what)

    def send(self, what: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(what)

    def stop(self) -> None:
        """End it, by force if it takes too long."""
        if self.running:
            self.send(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process tree has used so far; descendants that ended are included."""

    cpu_s: float
    rss_bytes: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        pids = _tree(pid)
        return cls(sum(map(_cpu_s, pids)), sum(map(_rss_bytes, pids)))

    @staticmethod
    def of_each_child(pid: int) -> list[float]:
        """Seconds of CPU of each descendant, in the order they were started."""
        return [_cpu_s(child) for child in _tree(pid)[1:]]


def core_busy_s(core: int) -> float:
    """Seconds that a core has worked since the machine started, for whomever."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            ticks = [int(field) for field in line.split()[1:]]
            idle, iowait = ticks[3], ticks[4]
            return (sum(ticks[:8]) - idle - iowait) / _TICKS_PER_S
    raise LookupError(f"no core {core}")


def _child_setup(core: Cores | None) -> Callable[[], None]:
    """What the child calls before its program: its core, and to die with us."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def setup() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(1)
        if core is not None:
            os.sched_setaffinity(0, _set_of(core))

    return setup


def _tree(pid: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:  # grows while it is walked
        found += children.get(parent, [])
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on (the name may hold blanks)."""
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    """User and system time of a process and of its children that have ended."""
    fields = _stat(pid)
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS_PER_S


def _rss_bytes(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if fields else 0
