"""`python -m benchmarks.profile`: where our server spends its CPU, by layer.

Starts our server under `sampled.py`, loads it with Q2 (or another of the named
queries) as `cost.py` does, and prints two shares for each layer: of the samples whose
innermost frame is in it ("itself"), and of those that it asked for, which is every
sample in which it is the innermost of our own layers ("with what it calls").
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from .load import Target, press
from .operations import MEASURED, KnownIds, Measured
from .processes import LOAD_CORE, ROOT, SERVER_CORE, pinned
from .report import table
from .sampled import Stack
from .servers import OURS, post, start
from .surroundings import stage

OWN_LAYERS = ("server", "schema", "resolvers", "session", "clients", "engine")
WARM_UP_S = 1.0
WRITTEN_S = 20.0
CONNECTIONS = 16
NOBODY = "(none of ours)"
# Packages that are one thing to the reader.
_TOGETHER = {
    "graphql": "graphql-core",
    "httpx": "httpx, httpcore, h11, anyio",
    "httpcore": "httpx, httpcore, h11, anyio",
    "h11": "httpx, httpcore, h11, anyio",
    "anyio": "httpx, httpcore, h11, anyio",
    "fastapi": "fastapi, starlette, uvicorn",
    "starlette": "fastapi, starlette, uvicorn",
    "uvicorn": "fastapi, starlette, uvicorn",
    "asyncio": "asyncio, uvloop",
    "uvloop": "asyncio, uvloop",
}

Samples = list[tuple[Stack, int]]


def layer(file: str) -> str:
    """What a source file belongs to, as the reader of a profile thinks of it."""
    if file.startswith("<frozen importlib"):
        return "import system"
    if file.startswith("<string"):
        return "generated code (dataclasses, named tuples)"
    path = Path(file)
    parts = path.parts
    if "site-packages" in parts:
        package = parts[parts.index("site-packages") + 1].removesuffix(".py")
        return _TOGETHER.get(package, package)
    if path.is_relative_to(ROOT):
        return path.relative_to(ROOT).parts[0]
    if path.parent.name == "asyncio":
        return _TOGETHER["asyncio"]
    return "standard library"


def shares(samples: Samples, key: Callable[[Stack], str]) -> dict[str, float]:
    """Parts of the whole, the largest first."""
    counts: Counter[str] = Counter()
    for stack, count in samples:
        counts[key(stack)] += count
    total = counts.total()
    return {name: count / total for name, count in counts.most_common()}


def itself(stack: Stack) -> str:
    return layer(stack[0][0])


def on_behalf_of(stack: Stack) -> str:
    """The innermost of our own layers."""
    layers = (layer(file) for file, _ in stack)
    return next((name for name in layers if name in OWN_LAYERS), NOBODY)


def function(stack: Stack) -> str:
    file, name = stack[0]
    return f"{layer(file)}: {name} ({Path(file).name})"


def tables(samples: Samples, top: int) -> str:
    """By layer, then the dearest functions."""
    alone, together = shares(samples, itself), shares(samples, on_behalf_of)
    rows = [
        [name, f"{alone.get(name, 0):.1%}", _share(together.get(name))]
        for name in dict.fromkeys([*alone, *together])
    ]
    functions = list(shares(samples, function).items())[:top]
    return "\n\n".join(
        (
            table(["layer", "itself", "with what it calls"], rows),
            table(
                ["function", "itself"],
                [[name, f"{share:.1%}"] for name, share in functions],
            ),
        )
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


async def sample(query: Measured, seconds: float) -> tuple[Samples, float]:
    """Stacks of our server under load, and how many requests per second it gave."""
    with pinned(LOAD_CORE), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples.json"
        command = (sys.executable, "-m", "benchmarks.sampled", str(file), "server")
        async with stage() as set_up:
            server = replace(OURS, command=command)
            running = start(server, set_up.around, core=SERVER_CORE)
            try:
                people = set_up.people(running)
                ids = running.ask("ids_of_three_kinds", {}, people[0])
                body = query.body(KnownIds.of(json.loads(ids.body)["data"]))
                expected = post(running.port, body, people[0]).body
                target = Target.graphql(running.port, body, people)
                await _press(target, expected, WARM_UP_S)
                running.program.send(signal.SIGUSR1)
                per_second = await _press(target, expected, seconds)
                running.program.send(signal.SIGUSR2)
                return await _read(file, target, expected), per_second
            finally:
                running.program.stop()


async def _press(target: Target, expected: bytes, seconds: float) -> float:
    load = await press(
        target, expected=expected, connections=CONNECTIONS, seconds=seconds
    )
    return load.per_second


async def _read(file: Path, target: Target, expected: bytes) -> Samples:
    """The samples, as soon as the server has written them."""
    deadline = time.monotonic() + WRITTEN_S
    while (found := _stacks(file)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the server wrote no samples")
        await asyncio.sleep(0.1)
        # A Python signal handler waits for the next byte code.
        await press(target, expected=expected, connections=1, seconds=0)
    return found


def _stacks(file: Path) -> Samples | None:
    """What is in the file; JSON has no tuples."""
    if not file.exists():
        return None
    return [
        (tuple((name, function) for name, function in stack), count)
        for stack, count in json.loads(file.read_text())
    ]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile")
    queries = {query.name: query for query in MEASURED}
    parser.add_argument("--query", choices=list(queries), default="Q2")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--top", type=int, default=15, help="functions to show")
    options = parser.parse_args(argv)
    query = queries[options.query]
    found, per_second = uvloop.run(sample(query, options.seconds))
    count = sum(number for _, number in found)
    print(f"{query.name}, {query.title}: {count} samples, {per_second:,.0f} requests/s")
    print("(slower than unsampled; the shares are what counts)\n")
    print(tables(found, options.top))


if __name__ == "__main__":
    main()
