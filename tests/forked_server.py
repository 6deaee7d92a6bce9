"""`ForkedServer`: `python -m server` as a process of its own that starts at once.

Reading the server's code takes more than a second of CPU, and the tests start more than
a hundred servers. So one process reads it (multiprocessing's fork server), and each
server is forked from that: its memory, signals, sockets, end are its own all the same.
The command itself is tried in `tests/server/test_main.py`, and with several workers in
`tests/flow/test_life_cycle.py`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["server.__main__"])


def _serve(environment: Mapping[str, str], log: str) -> None:
    """The server's whole life."""
    from server.__main__ import main

    told = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(told, 1)
    os.dup2(told, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main([]))


class ForkedServer:
    """As much of `subprocess.Popen` as the tests need."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """What it tells is appended to `log`."""
        self._process = _CONTEXT.Process(
            target=_serve, args=(dict(environment), str(log)), daemon=True
        )
        with _nameless_main():
            self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises: subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("server", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@contextmanager
def _nameless_main() -> Iterator[None]:
    """Each child would import the main module, which is pytest."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
