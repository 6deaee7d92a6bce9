"""Whether the server holds its rate as more and more connections ask at once.

Twice: with an upstream that answers at once, and with one that takes 200 ms, when
nearly all operations of all connections are under way at any time.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.figures import Window
from benchmarks.processes import LOAD_CORE, pinned
from benchmarks.report import FIGURES
from benchmarks.surroundings import stage
from benchmarks.windows import BrokenError, window

from .sweep import Q2, WARM_UP_S, Sweep, SweepOptions, Tell, ours

Windows = Mapping[int, list[Window]]

CONNECTIONS = (16, 64, 256, 1024)
SLOW_MS = 200
# The server's default of 50 connections to an upstream bounds it to 50 / 0.2 s, which
# would measure that setting and not the server.
SLOW_SETTINGS = {"UPSTREAM_MAX_CONNECTIONS": "1024"}
LEAST_SHARE = 0.8
WARM_UP = -1  # the round that does not count


async def run(options: SweepOptions, tell: Tell) -> list[Sweep]:
    """With an instant upstream. Raises: ProgramError, AnswerError."""
    return [await _measure(options, tell, delay_ms=0)]


async def run_slow(options: SweepOptions, tell: Tell) -> list[Sweep]:
    """With a slow one. Raises: ProgramError, AnswerError."""
    return [await _measure(options, tell, delay_ms=SLOW_MS)]


async def _measure(options: SweepOptions, tell: Tell, *, delay_ms: int) -> Sweep:
    windows: Windows = {number: [] for number in CONNECTIONS}
    failures: list[str] = []
    settings = SLOW_SETTINGS if delay_ms else {}
    people = CONNECTIONS[-1]
    with pinned(LOAD_CORE):
        async with (
            stage(delay_ms=delay_ms) as set_up,
            ours(set_up, settings=settings, people=people) as server,
        ):
            entrant = server.entrant(Q2)

            async def press(number: int, connections: int, seconds: float) -> None:
                tell(f"upstream {delay_ms} ms: {connections} connections")
                try:
                    found = await window(
                        entrant,
                        set_up,
                        number=number,
                        connections=connections,
                        seconds=seconds,
                    )
                except BrokenError as error:
                    failures.append(f"{connections} connections: {error}")
                else:
                    windows[connections].append(found)

            for connections in CONNECTIONS:
                await press(WARM_UP, connections, WARM_UP_S)
            for number in range(options.rounds):
                for connections in CONNECTIONS:
                    await press(number, connections, options.seconds)
    return sweep("slow" if delay_ms else "instant", windows, failures)


def share_of_best(rates: Sequence[float]) -> float:
    """The last rate, as a share of the best of all."""
    return rates[-1] / max(rates) if any(rates) else 0.0


def sweep(upstream: str, windows: Windows, failures: Sequence[str] = ()) -> Sweep:
    """The table and the bar for one upstream; a number that only failed has rate 0."""
    rates, rows = [], []
    for connections, pressed in windows.items():
        found = [one for one in pressed if one.round != WARM_UP]
        rates.append(median(one.per_second for one in found) if found else 0.0)
        cells = [
            format(median(figure(one) for one in found), spec) if found else "-"
            for _, figure, spec in FIGURES
        ]
        rows.append([f"{connections:,}", *cells])
    share = share_of_best(rates)
    delay = f"{SLOW_MS} ms" if upstream == "slow" else "no time"
    return Sweep(
        name=f"connections_{upstream}",
        title=f"More connections (Q2), an upstream that takes {delay}",
        method="Each connection asks again once it is answered; numbers by turns.",
        heading=["connections", *(name for name, _, _ in FIGURES)],
        rows=rows,
        bar=f"requests/s at {CONNECTIONS[-1]:,} are at least {LEAST_SHARE:.0%} of the"
        f" best (here {share:.0%})",
        holds=share >= LEAST_SHARE,
        failures=failures,
        figures={f"rps_at_{CONNECTIONS[-1]}_of_best_{upstream}": round(share, 3)},
    )
