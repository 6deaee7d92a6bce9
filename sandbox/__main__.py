"""`python -m sandbox`: everything on one machine, with nothing else needed.

Starts a real PostgreSQL and a real Valkey, the stand-ins for Flux and Conduit with the
demo data, and then the server itself as a child process that is configured by its
environment like any other deployment. `--upstreams-only` leaves the server out. Ctrl-C
or a kill ends the whole tree; nothing is kept.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.flux.dialect import DIALECTS
from sandbox.launch import LaunchError, ValkeyServer, die_with_parent
from sandbox.upstreams import Ports, Upstreams

DEMO_SESSION_SECRET = "sandbox-session-secret-0123456789-abcdefghij"
ROOT = Path(__file__).resolve().parent.parent
# Upstreams that count nothing need no counting before them.
UNLIMITED = {"FLUX_RATE_LIMIT": "off", "CONDUIT_RATE_LIMIT": "off"}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    port: int
    ports: Ports
    upstreams_only: bool
    unlimited: bool
    postgrest: int
    durable: bool
    ready_file: Path | None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Flux, Conduit and the server on this machine, with demo data.",
    )
    parser.add_argument("--upstreams-only", action="store_true")
    for name, port in (
        ("--port", int(os.environ.get("PORT", "8000"))),
        ("--flux-port", 8101),
        ("--conduit-port", 8102),
        ("--files-port", 8103),
        ("--admin-port", 8104),
    ):
        parser.add_argument(name, type=int, default=port, metavar="N")
    parser.add_argument(
        "--unlimited",
        action="store_true",
        help="switch the upstreams' rate limits off (for tests and benchmarks)",
    )
    parser.add_argument(
        "--postgrest",
        type=int,
        choices=tuple(DIALECTS),
        default=12,
        help="the version that Flux's stand-in speaks (default 12, which Flux pins)",
    )
    parser.add_argument(
        "--durable",
        action="store_true",
        help="Valkey keeps what it has; SIGUSR1 kills it, SIGUSR2 starts it again",
    )
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="PATH",
        help="write the addresses there as JSON once everything answers",
    )
    given = parser.parse_args(arguments)
    return Options(
        port=given.port,
        ports=Ports(
            flux=given.flux_port,
            conduit=given.conduit_port,
            files=given.files_port,
            admin=given.admin_port,
        ),
        upstreams_only=given.upstreams_only,
        unlimited=given.unlimited,
        postgrest=given.postgrest,
        durable=given.durable,
        ready_file=given.ready_file,
    )


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything answers; written to the ready file."""

    flux: str
    conduit: str
    files: str
    admin: str
    redis: str
    flux_jwt_secret: str
    session_secret: str
    admin_master_key: str
    admin_user: str
    admin_password: str

    def environment(self) -> dict[str, str]:
        """The settings that make a server use this sandbox."""
        return {
            "FLUX_URL": self.flux,
            "FLUX_JWT_SECRET": self.flux_jwt_secret,
            "CLIENT_BASE_URL": self.conduit,
            "REDIS_URL": self.redis,
            "SESSION_SECRET": self.session_secret,
            "STORAGE_HOSTS": self.files.removeprefix("http://"),
        }


async def run(options: Options) -> int:
    """Start everything, wait for a signal or a failed child, end everything."""
    started = time.monotonic()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    flux_jwt_secret = secrets.token_urlsafe(36)
    async with AsyncExitStack() as stack:
        say("starting PostgreSQL and Valkey")
        upstreams = Upstreams(
            options.ports,
            jwt_secret=flux_jwt_secret,
            unlimited=options.unlimited,
            dialect=DIALECTS[options.postgrest],
        )
        _, valkey = await asyncio.gather(
            stack.enter_async_context(upstreams),
            stack.enter_async_context(ValkeyServer(append_only=options.durable)),
        )
        if options.durable:
            stack.push_async_callback(obey_outages(valkey).aclose)
        addresses = Addresses(
            flux=upstreams.flux_url,
            conduit=upstreams.conduit_url,
            files=upstreams.files_url,
            admin=upstreams.admin_url,
            redis=valkey.url,
            flux_jwt_secret=flux_jwt_secret,
            session_secret=DEMO_SESSION_SECRET,
            admin_master_key=upstreams.conduit_settings.admin_master_key,
            admin_user=upstreams.conduit_settings.admin_user,
            admin_password=upstreams.conduit_settings.admin_password,
        )
        say(f"Flux     {addresses.flux}")
        say(f"Conduit  {addresses.conduit}  (files {addresses.files})")
        say(f"Admin    {addresses.admin}")
        server = None
        if not options.upstreams_only:
            environment = addresses.environment()
            if options.unlimited:
                environment |= UNLIMITED
            server = await stack.enter_async_context(Server(environment, options.port))
        if options.ready_file is not None:
            write_whole(options.ready_file, json.dumps(asdict(addresses)))
        say(f"ready in {time.monotonic() - started:.1f} s")
        if server is not None:
            greet(options.port)
        return await wait(stopping, server)


def obey_outages(valkey: ValkeyServer) -> "Outages":
    """From now on signals take Valkey away and give it back."""
    outages = Outages(valkey)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, outages.begin)
    loop.add_signal_handler(signal.SIGUSR2, outages.end)
    return outages


class Outages:
    """Kills Valkey and starts it again, one step after the other."""

    def __init__(self, valkey: ValkeyServer) -> None:
        self._valkey = valkey
        self._last: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Hard, as a machine that loses its power."""
        self._then(self._kill)

    def end(self) -> None:
        """With all that had been answered before."""
        self._then(self._valkey.start)

    async def aclose(self) -> None:
        """Wait for the step under way."""
        if self._last is not None:
            await self._last

    def _then(self, step: Callable[[], Awaitable[None]]) -> None:
        before = self._last

        async def run() -> None:
            if before is not None:
                await before
            await step()

        self._last = asyncio.create_task(run())

    async def _kill(self) -> None:
        os.kill(self._valkey.pid, signal.SIGKILL)
        await self._valkey.halt()


class Server:
    """The server as a child process, ended with this one."""

    def __init__(self, environment: dict[str, str], port: int) -> None:
        self._environment = os.environ | environment | {"PORT": str(port)}
        self._port = port
        self.process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> "Server":
        self.process = self._spawn()
        await self._until_it_answers(self.process)
        return self

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "server"],
            cwd=ROOT,
            env=self._environment,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )

    async def __aexit__(self, *_: object) -> None:
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 10)
        except subprocess.TimeoutExpired:
            process.kill()

    async def _until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(300):
            if process.poll() is not None:
                raise LaunchError(f"the server ended with {process.returncode}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return
        raise LaunchError("the server does not answer")


async def wait(stopping: asyncio.Event, server: Server | None) -> int:
    """Wait for a signal (0) or for the server's own end (its code)."""
    while not stopping.is_set():
        process = server.process if server else None
        if process is not None and process.poll() is not None:
            say(f"the server ended with {process.returncode}")
            return process.returncode or 1
        try:
            async with asyncio.timeout(0.5):
                await stopping.wait()
        except TimeoutError:
            continue
    say("stopping")
    return 0


def greet(port: int) -> None:
    """What a newcomer wants to know next."""
    say("")
    say(f"Open     http://127.0.0.1:{port}/graphql")
    say("Sign in  first@example.com or second@example.com, password mainstem-demo")
    say("Ctrl-C   ends everything; nothing is kept")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader never sees half of it."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


def say(text: str) -> None:
    """One line for the person who started this."""
    print(f"sandbox  {text}".rstrip(), flush=True)  # the command's own output


def main() -> int:
    """Run until ended; a failed start is one clear line and code 1."""
    try:
        return asyncio.run(run(parse()))
    except (LaunchError, OSError) as error:
        say(f"could not start: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
