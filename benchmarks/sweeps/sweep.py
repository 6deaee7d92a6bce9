"""What all sweeps share: their options, their outcome, and our server running.

Used by the modules beside it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from benchmarks.load import Credentials
from benchmarks.operations import MEASURED, Measured
from benchmarks.processes import SERVER_CORE, Cores
from benchmarks.report import table
from benchmarks.servers import OURS, Running, start
from benchmarks.surroundings import PEOPLE, Stage
from benchmarks.windows import Entrant, load, prepare

Tell = Callable[[str], None]
Q2 = next(query for query in MEASURED if query.name == "Q2")
WARM_UP_S = 1.0
# All sign in from one address, and as many as there are connections: equal reads of
# one person that wait side by side are sent once, which would flatter the figures.
SIGN_IN_SETTINGS = {"SIGN_IN_PER_ADDRESS": "10000"}


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """Seconds of one window, windows of each cell, requests of the memory sweep."""

    seconds: float = 2.0
    rounds: int = 3
    requests: int = 100_000


@dataclass(frozen=True, slots=True)
class Sweep:
    """One table, the figures for the line of JSON, and whether the bar is held.

    `failures` are what went wrong on the way, in words.
    """

    name: str
    title: str
    method: str
    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    bar: str
    holds: bool
    figures: Mapping[str, object] = field(default_factory=dict)
    failures: Sequence[str] = ()

    def as_text(self) -> str:
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return (
            f"{self.title}\n{self.method}\n{table(self.heading, self.rows)}\n"
            f"bar: {self.bar}: {verdict}"
        )


@dataclass(frozen=True, slots=True)
class Ours:
    """Our server, and the people who ask it."""

    running: Running
    people: Sequence[Credentials]

    def entrant(self, query: Measured) -> Entrant:
        """Ready to be loaded with a query. Raises: AnswerError, OSError."""
        return prepare(query, self.running, self.people)

    @property
    def pid(self) -> int:
        return self.running.program.pid


@asynccontextmanager
async def ours(
    set_up: Stage,
    *,
    core: Cores = SERVER_CORE,
    settings: Mapping[str, str] | None = None,
    people: int = PEOPLE,
) -> AsyncIterator[Ours]:
    """Start our server with further settings, and sign people in.

    Raises: ProgramError, AnswerError.
    """
    env = {**OURS.env, **SIGN_IN_SETTINGS, **(settings or {})}
    running = start(replace(OURS, env=env), set_up.around, core=core)
    try:
        yield Ours(running, set_up.people(running, people))
    finally:
        running.program.stop()


async def warm_up(entrant: Entrant, connections: int) -> None:
    """Load it for a moment. Raises: BrokenError."""
    await load(entrant, connections=connections, seconds=WARM_UP_S)
