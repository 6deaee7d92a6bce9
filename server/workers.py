"""The server process, and the supervisor of several: start, reload, leave, end.

Used by `__main__.py`. uvicorn's own, with what a deployment needs besides: a process
that stops says so before it refuses anybody, and no worker outlives its supervisor.

On SIGTERM a process is first `leaving`: readiness fails and every answer says
`Connection: close`, while new connections are still taken (`SHUTDOWN_DELAY_S`). Then it
listens no more, takes whom the kernel had connected by then, requests in flight finish,
sockets and streams are told, and it ends.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.supervisors import multiprocess

from . import memory
from .protocols import LEAVING, ServingConfig, StreamingHTTPProtocol

# Beyond what requests may take: uploads that are given up clean up behind themselves.
CLEAN_UP_S: Final = 15.0

log = logging.getLogger("mainstem.workers")


class ServingProcess(uvicorn.Server):
    """One process that serves."""

    config: ServingConfig

    def __init__(self, config: ServingConfig) -> None:
        super().__init__(config)
        self._hurried = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        memory.keep_what_is_freed()
        memory.set_aside_what_stays()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second signal, or Ctrl-C, leaves the delay out."""
        self._hurried = self.should_exit or sig == signal.SIGINT
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._take_leave()
        await self._take_the_last(sockets or [])
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGHUP ends a process without a supervisor as SIGTERM does."""
        alone = multiprocessing.parent_process() is None
        with super().capture_signals():
            previous = signal.signal(
                signal.SIGHUP, self.handle_exit if alone else signal.SIG_IGN
            )
            try:
                yield
            finally:
                signal.signal(signal.SIGHUP, previous)

    async def _take_leave(self) -> None:
        leaving = self.lifespan.state.get(LEAVING)
        if isinstance(leaving, asyncio.Event):
            leaving.set()
        for connection in self.server_state.connections:
            if isinstance(connection, StreamingHTTPProtocol):
                connection.leave()
        ends_at = time.monotonic() + self.config.rules.leave_s
        # A signal's handler cannot wake the loop, so it is looked for.
        while time.monotonic() < ends_at and not self._hurried:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def _take_the_last(self, listening: list[socket.socket]) -> None:
        """End listening, and serve whom the kernel has connected but nobody taken on.

        The loop takes one a turn, and the kernel resets the others as listening ends:
        for who connected, the question is lost. Nothing runs between the two here.
        """
        most = self.config.backlog
        queued = [taken for each in listening for taken in _queued(each, most)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for taken in queued:
            await loop.connect_accepted_socket(self._protocol, taken)

    def _protocol(self) -> StreamingHTTPProtocol:
        """As uvicorn makes it for a connection; its own maker is out of reach."""
        return StreamingHTTPProtocol(
            self.config, self.server_state, self.lifespan.state
        )


class Worker(multiprocess.Process):
    """A process under a supervisor; it ends when the supervisor is gone."""

    config: ServingConfig

    @property
    def server(self) -> ServingProcess:
        if not isinstance(self._server, ServingProcess):
            self._server = ServingProcess(self.config)
        return self._server

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        super().target(sockets)


class Supervisor(multiprocess.Multiprocess):
    """Keeps as many workers as it was told; a dead one is replaced within a second.

    SIGHUP replaces all, one after the other, each by one that already serves.
    """

    config: ServingConfig

    def __init__(self, config: ServingConfig, sockets: list[socket.socket]) -> None:
        # uvicorn makes its workers by this name, and has no other way to say which.
        multiprocess.Process = Worker  # type: ignore[misc]
        super().__init__(config, sockets)

    def terminate_all(self) -> None:
        """Workers listen for as long as they want to, and nobody after them."""
        super().terminate_all()
        for listening in self.sockets:
            listening.close()

    def join_all(self) -> None:
        """Wait for the workers, and end by force who takes longer than it may."""
        allowed_s = float(self.config.timeout_graceful_shutdown or 0)
        allowed_s += self.config.rules.leave_s + CLEAN_UP_S
        ends_at = time.monotonic() + allowed_s
        for worker in self.processes:
            worker.process.join(max(0.0, ends_at - time.monotonic()))
            if worker.process.is_alive():
                log.error("worker %s does not end and is killed", worker.pid)
                worker.process.kill()
                worker.process.join()


def _queued(listening: socket.socket, most: int) -> Iterator[socket.socket]:
    """Those that the kernel has connected, and that nobody has taken on yet."""
    for _ in range(most):
        try:
            yield listening.accept()[0]
        except ConnectionError:
            continue  # it went while it waited
        except OSError:
            return  # nobody is left, or no descriptor


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
