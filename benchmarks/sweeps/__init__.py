"""How our server behaves as something grows: `make bench-sweeps`.

What lives here: one module for each sweep, each with a function `run` that measures
and a bar that it holds its figures against. Only our server takes part, started as in
production; a setting that a sweep has to raise stands in its module with the reason.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.processes import ProgramError
from benchmarks.servers import AnswerError
from benchmarks.windows import BrokenError

from . import connections, memory, objects, workers
from .sweep import Sweep as Sweep
from .sweep import SweepOptions as SweepOptions
from .sweep import Tell

SWEEPS: dict[str, Callable[[SweepOptions, Tell], Awaitable[Sequence[Sweep]]]] = {
    "objects": objects.run,
    "connections": connections.run,
    "slow": connections.run_slow,
    "memory": memory.run,
    "workers": workers.run,
}


@dataclass(slots=True)
class Swept:
    """What came of it."""

    sweeps: list[Sweep] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, object]:
        """For the line of JSON."""
        return {
            name: figure
            for sweep in self.sweeps
            for name, figure in sweep.figures.items()
        }


async def run(
    options: SweepOptions, tell: Tell, names: Sequence[str] = tuple(SWEEPS)
) -> Swept:
    """One sweep after the other; each is printed when it is done."""
    swept = Swept()
    for name in names:
        try:
            found = await SWEEPS[name](options, tell)
        except (ProgramError, AnswerError, BrokenError, OSError) as error:
            swept.failures.append(f"{name}: {error}")
            continue
        tell("")
        for sweep in found:
            print(sweep.as_text() + "\n", flush=True)
            swept.failures += sweep.failures
        swept.sweeps += found
    return swept
