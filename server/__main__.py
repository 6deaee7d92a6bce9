"""`python -m server` starts the server; `--check` only tests the connections.

Exit codes: 0 well, 1 a failed check or start, 2 settings at fault.
"""

import argparse
import asyncio
import contextlib
import resource
import socket
import sys
from collections.abc import Sequence
from math import ceil

from .app import create_app, create_app_from_env
from .check import run_check
from .logs import configure_logging
from .protocols import (
    AbortingSocketProtocol,
    ConnectionRules,
    ServingConfig,
    StreamingHTTPProtocol,
)
from .settings import Settings, SettingsError
from .workers import ServingProcess, Supervisor

# Connections that the kernel holds until they are taken on.
BACKLOG = 2048
# Pools towards the upstreams, files, pipes: what clients may not take.
OTHER_DESCRIPTORS = 500
# How long a worker may take to start, or to say that it lives, before it is replaced.
WORKER_ANSWER_S = 30


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m server", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="call Redis, Flux and Conduit once"
    )
    options = parser.parse_args(arguments)
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        _tell_mistakes(error)
        return 2
    configure_logging(settings.log_level)
    if options.check:
        return asyncio.run(run_check(settings, sys.stdout))
    return serve(settings)


def serve(settings: Settings) -> int:
    """Serve until a signal; requests in flight may finish within the bound."""
    try:
        listening = _listen(settings)
    except OSError as error:
        where = f"{settings.listen.host}:{settings.listen.port}"
        print(f"Cannot listen on {where}: {error.strerror}", file=sys.stderr)
        return 1
    _announce(listening)
    config = serving_config(settings)
    if settings.listen.workers > 1:
        Supervisor(config, [listening]).run()
    else:
        ServingProcess(config).run(sockets=[listening])
    return 0


def serving_config(settings: Settings) -> ServingConfig:
    """What uvicorn is told. It takes whole seconds; half a second must not be none."""
    listen = settings.listen
    several = listen.workers > 1
    factory = f"{create_app_from_env.__module__}:{create_app_from_env.__name__}"
    config = ServingConfig(
        factory if several else create_app(settings),
        factory=several,
        workers=listen.workers,
        backlog=BACKLOG,
        loop="uvloop",
        http=StreamingHTTPProtocol,
        ws=AbortingSocketProtocol,
        ws_max_size=settings.live.max_message_bytes,
        ws_ping_interval=settings.live.ping_s,
        ws_ping_timeout=settings.live.ping_s,
        ws_per_message_deflate=False,  # events are small, and inflating is a risk
        lifespan="on",
        access_log=False,  # telemetry.py writes one line per request
        log_config=None,
        server_header=False,
        proxy_headers=False,  # context.py reads X-Forwarded-For by its own rule
        timeout_keep_alive=ceil(listen.keepalive_s),
        timeout_graceful_shutdown=ceil(listen.shutdown_s),
        timeout_worker_healthcheck=WORKER_ANSWER_S,
    )
    config.rules = ConnectionRules(
        head_s=listen.head_s, leave_s=listen.leave_s, most=_most_connections()
    )
    return config


def _most_connections() -> int:
    """The system's limit is taken up whole: the usual 1024 are soon used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(soft - OTHER_DESCRIPTORS, soft // 2)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.listen.host, settings.listen.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.set_inheritable(True)
    return listening


def _announce(listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"Mainstem listens on http://{shown}:{port}/graphql", flush=True)


def _tell_mistakes(error: SettingsError) -> None:
    print(f"{len(error.mistakes)} settings need attention:", file=sys.stderr)
    for mistake in error.mistakes:
        print(f"  {mistake}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
