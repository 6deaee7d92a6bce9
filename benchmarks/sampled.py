"""Runs a module as `python -m` does, and samples where it spends its CPU time.

Started by `profile.py` as `python -m benchmarks.sampled FILE MODULE`. SIGUSR1 starts
sampling, SIGUSR2 ends it and writes FILE. The kernel sends SIGPROF as the process uses
CPU time, as often as its clock allows (100 to 1,000 times a second); Python then calls
us between two byte codes and we note the stack. Unlike a tracing profiler this does
not make code with many small calls look dearer than it is. Time inside a C function
counts for the Python function that called it.
"""

import json
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.001

# File and qualified name, innermost first.
Stack = tuple[tuple[str, str], ...]


class Sampler:
    """Counts stacks of the main thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stacks: Counter[Stack] = Counter()

    def install(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            stack.append((frame.f_code.co_filename, frame.f_code.co_qualname))
            frame = frame.f_back
        self._stacks[tuple(stack)] += 1

    def _begin(self, number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _end(self, number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        # Renamed when it is whole: the reader waits for the name.
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(list(self._stacks.items())))
        partial.rename(self._file)


def main() -> None:
    file, module = Path(sys.argv[1]), sys.argv[2]
    Sampler(file).install()
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
