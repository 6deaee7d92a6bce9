"""What one returned object costs, from 20 of them in an answer to 1,000.

The query is Q2 with more rows: each row is a post, its author, its cover and a note.
A request has a cost of its own besides (the way in, the session, two upstream calls),
so the cost of a further object is told by the difference to the smallest answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.figures import Window
from benchmarks.processes import LOAD_CORE, pinned
from benchmarks.surroundings import stage
from benchmarks.windows import window

from .sweep import Q2, Sweep, SweepOptions, Tell, ours, warm_up

OBJECTS_PER_ROW = 4
ROWS = (5, 30, 60, 125, 250)
CONNECTIONS = 16
FLAT = 1.15
# Windows of each size in a round. The bar compares differences between what is
# measured, so that it takes more of them than other figures.
WINDOWS = 5
# The limits stay on; 250 rows are more than they allow.
SETTINGS = {"LIMIT_PAGE_SIZE": "250", "LIMIT_COST": "1000000"}


@dataclass(frozen=True, slots=True)
class Size:
    """An answer's number of objects, CPU µs of the request, and the server's share of
    its core: medians of turns. A server that has to wait pays for each time it wakes.
    """

    objects: int
    cpu_us: float
    core_share: float = 1.0


async def run(options: SweepOptions, tell: Tell) -> list[Sweep]:
    """All sizes by turns. Raises: ProgramError, AnswerError, BrokenError."""
    costs: dict[int, list[Window]] = {rows: [] for rows in ROWS}
    with pinned(LOAD_CORE):
        async with stage() as set_up, ours(set_up, settings=SETTINGS) as server:
            entrants = {rows: server.entrant(replace(Q2, rows=rows)) for rows in ROWS}
            for entrant in entrants.values():
                await warm_up(entrant, CONNECTIONS)
            for number in range(options.rounds * WINDOWS):
                for rows, entrant in entrants.items():
                    tell(f"objects, turn {number + 1}: {rows * OBJECTS_PER_ROW}")
                    found = await window(
                        entrant,
                        set_up,
                        number=number,
                        connections=CONNECTIONS,
                        seconds=options.seconds,
                    )
                    costs[rows].append(found)
    return [sweep([_size(rows, costs[rows]) for rows in ROWS])]


def _size(rows: int, windows: Sequence[Window]) -> Size:
    return Size(
        rows * OBJECTS_PER_ROW,
        median(window.cpu_us for window in windows),
        median(window.core_share for window in windows),
    )


def further_costs(sizes: Sequence[Size]) -> list[float]:
    """CPU µs of one object more than the smallest answer has, for the other sizes."""
    least, *others = sizes
    return [
        (size.cpu_us - least.cpu_us) / (size.objects - least.objects) for size in others
    ]


def growth(costs: Sequence[float]) -> float:
    """How many times one of them is one before it, at most; 1.0 at least."""
    return max(
        [1.0]
        + [
            later / earlier
            for index, earlier in enumerate(costs)
            for later in costs[index + 1 :]
            if earlier > 0
        ]
    )


def sweep(sizes: Sequence[Size]) -> Sweep:
    """The table and the bar, out of the medians."""
    further = further_costs(sizes)
    grown = growth(further)
    rows = [
        [
            f"{size.objects:,}",
            f"{size.cpu_us:,.0f}",
            f"{size.cpu_us / size.objects:.2f}",
            "" if cost is None else f"{cost:.2f}",
            f"{size.core_share:.0%}",
        ]
        for size, cost in zip(sizes, [None, *further], strict=True)
    ]
    return Sweep(
        name="objects",
        title="Cost of an answer's objects (Q2 with more rows)",
        method=f"{CONNECTIONS} connections, an instant upstream, sizes by turns.",
        heading=[
            "objects",
            "CPU µs a request",
            "CPU µs an object",
            f"beyond {sizes[0].objects}",
            "its core",
        ],
        rows=rows,
        bar=f"one more object never costs over {FLAT:.2f} times what it did at a"
        f" smaller size (here {grown:.2f})",
        holds=grown <= FLAT,
        figures={"object_cost_growth": round(grown, 3)},
    )
