"""Whether the server holds its rate as more and more connections ask at once.

Twice: with an upstream that answers at once, and with one that takes 200 ms, when
nearly all operations of all connections are under way at any time.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from benchmarks.figures import Window
from benchmarks.processes import LOAD_CORE, pinned
from benchmarks.surroundings import stage
from benchmarks.windows import window

from .sweep import Q2, Sweep, SweepOptions, Tell, ours, warm_up

CONNECTIONS = (16, 64, 256, 1024)
SLOW_MS = 200
# The server's default of 50 connections to an upstream bounds it to 50 / 0.2 s, which
# would measure that setting and not the server.
SLOW_SETTINGS = {"UPSTREAM_MAX_CONNECTIONS": "1024"}
LEAST_SHARE = 0.8


async def run(options: SweepOptions, tell: Tell) -> list[Sweep]:
    """Both upstreams. Raises: ProgramError, AnswerError, BrokenError."""
    instant = await _measure(options, tell, delay_ms=0)
    slow = await _measure(options, tell, delay_ms=SLOW_MS)
    return [sweep("instant", instant), sweep("slow", slow)]


async def _measure(
    options: SweepOptions, tell: Tell, *, delay_ms: int
) -> dict[int, list[Window]]:
    windows: dict[int, list[Window]] = {number: [] for number in CONNECTIONS}
    settings = SLOW_SETTINGS if delay_ms else {}
    with pinned(LOAD_CORE):
        async with (
            stage(delay_ms=delay_ms) as set_up,
            ours(set_up, settings=settings, people=CONNECTIONS[-1]) as server,
        ):
            entrant = server.entrant(Q2)
            for connections in CONNECTIONS:
                await warm_up(entrant, connections)
            for number in range(options.rounds):
                for connections in CONNECTIONS:
                    tell(f"upstream {delay_ms} ms: {connections} connections")
                    found = await window(
                        entrant,
                        set_up,
                        number=number,
                        connections=connections,
                        seconds=options.seconds,
                    )
                    windows[connections].append(replace(found, server=str(connections)))
    return windows


def share_of_best(rates: Sequence[float]) -> float:
    """The last rate, as a share of the best of all."""
    return rates[-1] / max(rates)


def sweep(upstream: str, windows: dict[int, list[Window]]) -> Sweep:
    """The table and the bar for one upstream."""
    rates, rows = [], []
    for connections, found in windows.items():
        rate = median(one.per_second for one in found)
        rates.append(rate)
        rows.append(
            [
                f"{connections:,}",
                f"{rate:,.0f}",
                f"{median(one.p50_ms for one in found):,.1f}",
                f"{median(one.p99_ms for one in found):,.1f}",
                f"{median(one.cpu_us for one in found):,.0f}",
                f"{median(one.upstream_calls for one in found):.2f}",
                f"{max(one.rss_mb for one in found):,.0f}",
            ]
        )
    share = share_of_best(rates)
    delay = f"{SLOW_MS} ms" if upstream == "slow" else "no time"
    return Sweep(
        name=f"connections_{upstream}",
        title=f"More connections (Q2), an upstream that takes {delay}",
        method="Each connection asks again once it is answered; numbers by turns.",
        heading=[
            *("connections", "requests/s", "p50 ms", "p99 ms"),
            *("CPU µs", "calls", "RSS MB"),
        ],
        rows=rows,
        bar=f"requests/s at {CONNECTIONS[-1]:,} are at least {LEAST_SHARE:.0%} of the"
        f" best (here {share:.0%})",
        holds=share >= LEAST_SHARE,
        figures={f"rps_at_{CONNECTIONS[-1]}_of_best_{upstream}": round(share, 3)},
    )
