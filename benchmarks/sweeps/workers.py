"""What a second worker process brings on a second core.

Stub, load and Valkey need cores too, and there may be two in all. So the whole set-up
is measured twice: everything on one core with one worker, and everything on two cores
with two workers. The work of a request is then the same on both sides, stub and load
included, and the ratio of requests/s is what two cores bring over one. CPU per request
of the server alone is told beside it: where that stays, workers do not hinder each
other.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from benchmarks.processes import BOTH_CORES, SERVER_CORE, Cores, Usage, can_pin, pinned
from benchmarks.surroundings import Stage, stage
from benchmarks.windows import Entrant, window

from .sweep import Q2, Sweep, SweepOptions, Tell, ours, warm_up

CONNECTIONS = 64
LEAST = 1.8


@dataclass(frozen=True, slots=True)
class Side:
    """A number of workers on as many cores, with all that they need."""

    workers: int
    cores: Cores
    set_up: Stage
    entrant: Entrant


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one window: requests/s, the server's CPU µs, the busier worker's share."""

    per_second: float
    cpu_us: float
    busiest: float


async def run(options: SweepOptions, tell: Tell) -> list[Sweep]:
    """Both sides by turns. Raises: ProgramError, AnswerError, BrokenError."""
    if not can_pin():
        return []
    one: list[Figures] = []
    two: list[Figures] = []
    async with _side(1, SERVER_CORE) as single, _side(2, BOTH_CORES) as double:
        for number in range(options.rounds):
            for side, figures in ((single, one), (double, two)):
                tell(f"workers, round {number + 1}: {side.workers}")
                figures.append(await _measure(side, number, options.seconds))
    return [sweep(one, two)]


@asynccontextmanager
async def _side(workers: int, cores: Cores) -> AsyncIterator[Side]:
    settings = {"WORKERS": str(workers)}
    async with (
        stage(cores=cores) as set_up,
        ours(set_up, core=cores, settings=settings, people=CONNECTIONS) as server,
    ):
        entrant = server.entrant(Q2)
        with pinned(cores):
            await warm_up(entrant, CONNECTIONS)
        yield Side(workers, cores, set_up, entrant)


async def _measure(side: Side, number: int, seconds: float) -> Figures:
    pid = side.entrant.running.program.pid
    before = Usage.of_each_child(pid)
    with pinned(side.cores):
        found = await window(
            side.entrant,
            side.set_up,
            number=number,
            connections=CONNECTIONS,
            seconds=seconds,
        )
    after = Usage.of_each_child(pid)
    used = [late - early for early, late in zip(before, after, strict=True)]
    return Figures(found.per_second, found.cpu_us, busiest_share(used))


def busiest_share(used: Sequence[float]) -> float:
    """Of several workers the largest share of their CPU; 1.0 of a single one."""
    return max(used) / sum(used) if sum(used) > 0 else 1.0


def sweep(one: Sequence[Figures], two: Sequence[Figures]) -> Sweep:
    """The table and the bar; the ratio is the median of the rounds' ratios."""
    ratio = median(b.per_second / a.per_second for a, b in zip(one, two, strict=True))
    rows = [
        [
            str(workers),
            f"{median(each.per_second for each in found):,.0f}",
            f"{median(each.cpu_us for each in found):,.0f}",
            f"{median(each.busiest for each in found):.0%}",
        ]
        for workers, found in ((1, one), (2, two))
    ]
    return Sweep(
        name="workers",
        title="Two workers on two cores, against one on one (Q2)",
        method=f"{CONNECTIONS} connections. Stub, load and Valkey share the cores of"
        " each side, so both sides do the same work for a request.",
        heading=["workers", "requests/s", "server CPU µs", "busier worker"],
        rows=rows,
        bar=f"two bring at least {LEAST:.1f} times one (here {ratio:.2f})",
        holds=ratio >= LEAST,
        figures={"two_workers": round(ratio, 3)},
    )
