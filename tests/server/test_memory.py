"""What a process does about its memory once it serves."""

import ctypes
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
ROUNDS = 200
BODIES = 16

# Bodies of 300 KB, 74 pages each, as of as many requests at once.
_LARGE_BODIES = dedent(
    f"""
    import resource

    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def serve():
        return [b"%d" % n + b"x" * 300_000 for n in range({BODIES})]

    serve()
    begun = faults()
    for _ in range({ROUNDS}):
        serve()
    print(faults() - begun)
    """
)
_STARTED = dedent(
    """
    import asyncio, socket
    from server.workers import ServingConfig, ServingProcess

    async def app(scope, receive, send):
        raise NotImplementedError

    async def start():
        config = ServingConfig(app, lifespan="off", log_config=None)
        config.load()
        process = ServingProcess(config)
        process.lifespan = config.lifespan_class(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            await process.startup(sockets=[listener])
            await process.shutdown(sockets=[listener])

    asyncio.run(start())
    """
)


def told_by(program: str) -> int:
    """The number that a process of its own prints; nothing of our shell is in it."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return int(done.stdout)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc"
)
def test_a_process_that_serves_uses_the_memory_of_large_bodies_again() -> None:
    assert told_by(_LARGE_BODIES) > BODIES * ROUNDS
    assert told_by(_STARTED + _LARGE_BODIES) < ROUNDS


def test_a_process_that_serves_spares_the_collector_what_stays() -> None:
    assert told_by(_STARTED + "import gc; print(gc.get_freeze_count())") > 10_000
