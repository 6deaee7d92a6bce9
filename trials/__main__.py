"""`python -m trials soak|chaos|connections`. Exit code 1 if a bar is missed.

`soak`: one fault at a time, with quiet between them, at 70 % of what was measured.
`chaos`: several at once, without a rest. `connections`: very many of them, some slow on
purpose. The last line printed is one line of JSON.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import uvloop

from benchmarks.processes import ProgramError

from . import connections, report
from .audit import AuditError
from .people import CrowdError
from .place import Place, place
from .trial import Outcome, Plan, Trial

SHORT_S = 120.0
Result = tuple[list[str], dict[str, object]]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _exit)
    try:
        if options.trial == "connections":
            failures, figures = _try_connections(options)
        else:
            failures, figures = _try_faults(_plan(options))
    except (ProgramError, CrowdError, AuditError, OSError) as error:
        print(f"FAILED: {type(error).__name__}: {error}")
        return 1
    for failure in failures:
        print(f"FAILED: {failure}")
    print(json.dumps({**figures, "failures": len(failures)}))
    return 1 if failures else 0


def _try_faults(plan: Plan) -> Result:
    with place() as here:
        outcome = uvloop.run(_run(plan, here))
    latency = outcome.journal.latency(report.LEAST_SAMPLES)
    life = report.life_of(outcome.samples)
    print(report.table(outcome, latency, life))
    failures = report.missed(outcome, latency, life)
    return failures, report.as_json(outcome, latency, life)


def _try_connections(options: argparse.Namespace) -> Result:
    plan = connections.CrowdPlan(
        idle=options.idle,
        active=options.active,
        hostile=options.hostile,
        active_s=options.seconds,
        head_s=options.time_out,
        body_s=options.time_out,
    )
    with place(**plan.settings) as here:
        found = uvloop.run(connections.crowd(plan, here, _say))
    print(connections.table(plan, found))
    return connections.missed(found), connections.as_json(plan, found)


async def _run(plan: Plan, here: Place) -> Outcome:
    return await Trial(plan, here, _say).run()


def _plan(options: argparse.Namespace) -> Plan:
    trial_s = options.minutes * 60
    short = trial_s < SHORT_S
    soak = options.trial == "soak"
    quiet_s = (2.0, 3.0) if short else (9.0, 18.0)
    fault_s = (1.0, 2.0) if short else (3.0, 8.0)
    return Plan(
        name=options.trial,
        seed=options.seed,
        trial_s=trial_s,
        at_once=1 if soak else 3,
        quiet_s=quiet_s if soak else (0.3, 2.0),
        fault_s=fault_s,
        rate=options.rate,
        measure_s=2.0 if short else 15.0,
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trials", description=__doc__)
    parser.add_argument("trial", choices=("soak", "chaos", "connections"))
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--rate", type=float, help="operations a second, instead of 70 %% of capacity"
    )
    usual = connections.CrowdPlan()
    for name in ("idle", "active", "hostile"):
        parser.add_argument(f"--{name}", type=int, default=getattr(usual, name))
    parser.add_argument("--seconds", type=float, default=usual.active_s)
    parser.add_argument("--time-out", type=float, default=usual.head_s)
    options = parser.parse_args(arguments)
    if options.minutes is None:
        options.minutes = 60.0 if options.trial == "soak" else 5.0
    return options


def _say(text: str) -> None:
    print(f"trial  {text}", flush=True)


def _exit(number: int, frame: FrameType | None) -> None:
    """On SIGTERM unwind, so that everything that was started is stopped."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
