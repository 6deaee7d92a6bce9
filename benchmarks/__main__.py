"""`python -m benchmarks`: the call table, the price of a session, the cost, the sweeps.

The last line printed is one line of JSON. Exits with 1 if a server fails, answers
differ, or an operation does not make the upstream calls that were promised.
"""

import argparse
import http.client
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

import uvloop

from . import calls, chart, cost, page, report, results, session_cost, sweeps
from .operations import MEASURED
from .peers.table import PEERS, installed
from .processes import ProgramError
from .servers import PLAIN, SERVERS, AnswerError
from .sweeps import SweepOptions

SECTIONS = ("calls", "session", "cost")
# Minutes more, so only when asked for.
FURTHER_SECTIONS = ("sweeps",)
WARM_UP_S = 0.7
# V8 compiles what is hot after some thousand requests.
PEERS_WARM_UP_S = 2.0
QUERIES = {query.name: query for query in MEASURED}
NAMED_SERVERS = {server.name: server for server in SERVERS}
# What a broken server or upstream looks like from here.
FAILURES = (ProgramError, AnswerError, OSError, http.client.HTTPException)


@dataclass(slots=True)
class Outcome:
    """The figures for the JSON line, and what went wrong."""

    figures: dict[str, object] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    details: dict[str, object] = field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    signal.signal(signal.SIGTERM, _exit)
    outcome = Outcome()
    if "calls" in options.only:
        _count_calls(outcome)
    if "session" in options.only:
        _price_session(outcome)
    if "cost" in options.only:
        _compare_cost(options, outcome)
    if "sweeps" in options.only:
        _sweep(options, outcome)
    for failure in outcome.failures:
        print(f"FAILED: {failure}")
    if options.save:
        for path in _save(outcome):
            print(f"written: {path}")
    print(json.dumps({**outcome.figures, "failures": len(outcome.failures)}))
    return 1 if outcome.failures else 0


def _save(outcome: Outcome) -> list[Path]:
    """The figures, the page made of them and, if they can fill it, the chart."""
    path = results.save(
        {**outcome.figures, **outcome.details, "failures": outcome.failures}
    )
    written = [path]
    if chart.has_bars(results.read(path)):
        written.append(chart.write(path))
    return [*written, page.write(path)]


def _exit(number: int, frame: FrameType | None) -> None:
    """On SIGTERM unwind, so that everything that was started is stopped."""
    raise SystemExit(128 + number)


def _count_calls(outcome: Outcome) -> None:
    print("Upstream calls of one operation, counted at the stand-ins", flush=True)
    try:
        counts = calls.count_calls()
    except FAILURES as error:
        outcome.failures.append(f"call table: {error}")
        return
    print(report.call_table(counts) + "\n", flush=True)
    outcome.figures["calls_as_promised"] = all(count.as_promised for count in counts)
    outcome.failures += [
        f"{count.operation.title}, {count.rows} rows: {count.total} upstream calls"
        f" and {count.vault_reads} vault reads, promised"
        f" {count.operation.promised} and 1"
        for count in counts
        if not count.as_promised
    ]
    outcome.failures += [
        f"{count.operation.title}: {count.answered} rows instead of"
        f" {calls.expected_rows(count)}"
        for count in counts
        if count.answered != calls.expected_rows(count)
    ]
    outcome.details["calls"] = [count.as_json() for count in counts]


def _price_session(outcome: Outcome) -> None:
    print("Cost of resolving a session in a request", flush=True)
    try:
        price = uvloop.run(session_cost.measure())
    except FAILURES as error:
        outcome.failures.append(f"session: {error}")
        return
    print(
        f"{price.total_us:,.0f} µs: {price.unseal_us:,.0f} to unseal the cookie,"
        f" {price.vault_us:,.0f} for both tokens by one round trip to the vault\n"
        f"CPU: {price.unseal_cpu_us:,.0f} + {price.vault_cpu_us:,.0f} µs; with"
        f" {session_cost.AT_ONCE} requests in flight {price.unseal_cpu_us:,.0f} +"
        f" {price.busy_vault_cpu_us:,.0f} µs\n",
        flush=True,
    )
    outcome.figures["session_us"] = round(price.total_us, 1)
    outcome.figures["session_cpu_us"] = round(price.cpu_us, 1)
    outcome.figures["session_busy_cpu_us"] = round(price.busy_cpu_us, 1)


def _compare_cost(options: argparse.Namespace, outcome: Outcome) -> None:
    peers = installed(options.peers, _progress)
    _progress("")
    servers = [NAMED_SERVERS[name] for name in options.servers] + peers.servers
    chosen = cost.CostOptions(
        servers=servers,
        queries=[QUERIES[name] for name in options.queries],
        seconds=options.seconds,
        rounds=options.rounds,
        connections=options.connections,
        warm_up_s=PEERS_WARM_UP_S if peers.servers else WARM_UP_S,
    )
    base = PLAIN.name if PLAIN in servers else servers[0].name
    print(
        f"Cost: {options.connections} connections, {options.rounds} rounds of"
        f" {options.seconds:g} s by turns; medians, and in brackets the ratio to"
        f" {base}",
        flush=True,
    )
    found = uvloop.run(cost.measure(chosen, _progress))
    _progress("")
    titles = {query.name: query.title for query in chosen.queries}
    print(report.cost_tables(found, titles, base) + "\n")
    for note in [*peers.missing, *found.notes]:
        print(f"note: {note}")
    noise = report.noise(found)
    if noise["disturbed_cells"]:
        print("note: ! other programs were on the server's core: trust ratios only")
    if noise["starved_cells"]:
        print("note: ~ the server had to wait for load: trust CPU and calls only")
    outcome.figures |= {**report.ratios(found), **noise}
    outcome.failures += found.failures
    outcome.details |= {
        "windows": [asdict(window) for window in found.windows],
        "titles": titles,
        "servers": {server.name: server.title for server in servers},
        "notes": [*peers.missing, *found.notes],
    }
    if peers.servers:
        outcome.details["peer_packages"] = peers.versions


def _sweep(options: argparse.Namespace, outcome: Outcome) -> None:
    found = uvloop.run(sweeps.run(SweepOptions(requests=options.requests), _progress))
    outcome.figures |= found.figures
    outcome.failures += found.failures
    outcome.details["sweeps"] = [asdict(sweep) for sweep in found.sweeps]


def _progress(text: str) -> None:
    """One line that overwrites itself, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Upstream calls and cost of the named queries.",
    )
    for name, choices in (
        ("queries", list(QUERIES)),
        ("servers", list(NAMED_SERVERS)),
    ):
        parser.add_argument(f"--{name}", nargs="+", choices=choices, default=choices)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*SECTIONS, *FURTHER_SECTIONS],
        default=list(SECTIONS),
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=list(PEERS),
        default=[],
        help="further servers for the cost; all that can be installed, without names",
    )
    parser.add_argument("--seconds", type=float, default=1.5, help="of one window")
    parser.add_argument("--rounds", type=int, default=4, help="windows of each server")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument(
        "--requests",
        type=int,
        default=SweepOptions().requests,
        help="of the sweep of memory",
    )
    parser.add_argument(
        "--save",
        action="store_true",
        help="write benchmarks/results/<date>.json, and chart and tables out of it",
    )
    options = parser.parse_args(argv)
    if options.peers == [] and "--peers" in (sys.argv[1:] if argv is None else argv):
        options.peers = list(PEERS)
    return options


if __name__ == "__main__":
    sys.exit(main())
