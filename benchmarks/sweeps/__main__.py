"""`python -m benchmarks.sweeps`: all sweeps, or some of them.

The last line printed is one line of JSON. Exits with 1 if our server fails or gives a
wrong answer; a bar that is not held is told, not failed, for it takes a quiet machine.
"""

import argparse
import json
import sys
from collections.abc import Sequence

import uvloop

from . import SWEEPS, run
from .sweep import SweepOptions


def main(argv: Sequence[str] | None = None) -> int:
    defaults = SweepOptions()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps")
    parser.add_argument("--only", nargs="+", choices=list(SWEEPS), default=list(SWEEPS))
    parser.add_argument("--seconds", type=float, default=defaults.seconds)
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument(
        "--requests",
        type=int,
        default=defaults.requests,
        help="of the memory sweep; 1000000 is its full form",
    )
    options = parser.parse_args(argv)
    chosen = SweepOptions(options.seconds, options.rounds, options.requests)
    swept = uvloop.run(run(chosen, _progress, options.only))
    for failure in swept.failures:
        print(f"FAILED: {failure}")
    print(json.dumps({**swept.figures, "failures": len(swept.failures)}))
    return 1 if swept.failures else 0


def _progress(text: str) -> None:
    """One line that overwrites itself, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
