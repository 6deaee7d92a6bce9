"""What a request costs: our server beside others, in one run, by turns.

Called by `__main__.py`. All servers run at once on one core, of which only the one
under load uses any; the load and the stub are on the other. For each query and round
every server gets a window of load in turn, so that whatever else the machine does
hits all of them alike; what counts is the ratio within a round, and of those the
median. README.md tells how to read the figures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .agreement import bare, difference
from .figures import CostReport
from .load import Credentials
from .operations import Measured
from .processes import LOAD_CORE, SERVER_CORE, ProgramError, can_pin, pinned
from .servers import AnswerError, Running, Server, start
from .surroundings import Stage, stage
from .windows import BrokenError, Entrant, load, prepare, window

# Calls under way when a window ends belong to the next one.
CALLS_TOLERANCE = 0.02
# As whom the connections ask, by the kind of session that a server understands.
People = Mapping[str, Sequence[Credentials]]


@dataclass(frozen=True, slots=True)
class CostOptions:
    """Who takes part, in what, and for how long (seconds of one window)."""

    servers: Sequence[Server]
    queries: Sequence[Measured]
    seconds: float
    rounds: int
    connections: int
    warm_up_s: float = 0.7


async def measure(options: CostOptions, tell: Callable[[str], None]) -> CostReport:
    """Start everything, check the answers, then measure. Failures are reported."""
    report = CostReport()
    if not can_pin():
        report.notes.append("only one core: server, stub and load share it")
    with pinned(LOAD_CORE):
        async with stage() as set_up:
            with _started(options.servers, set_up, report) as running:
                people = _people(running, set_up, report)
                comparison = _Comparison(options, set_up, report, tell)
                for query in options.queries:
                    if query.is_offered:
                        await comparison.measure(query, running, people)
                    else:
                        report.notes.append(f"{query.name} needs {query.needs}")
    report.notes += unequal_calls(report)
    return report


@contextmanager
def _started(
    servers: Iterable[Server], set_up: Stage, report: CostReport
) -> Iterator[list[Running]]:
    """Those of the servers that start."""
    started: list[Running] = []
    try:
        for server in servers:
            try:
                started.append(start(server, set_up.around, core=SERVER_CORE))
            except (ProgramError, OSError) as error:
                report.failures.append(str(error))
        yield started
    finally:
        for running in started:
            running.program.stop()


def _people(
    started: Iterable[Running], set_up: Stage, report: CostReport
) -> dict[str, Sequence[Credentials]]:
    """For each kind of session; the first server to offer it signs them in.

    The handwritten server has no sign-in of its own: it reads the sessions that ours
    has opened, with the same secret and out of the same store.
    """
    people: dict[str, Sequence[Credentials]] = {}
    for running in started:
        kind = running.server.session
        if kind in people:
            continue
        try:
            people[kind] = set_up.people(running)
        except (AnswerError, OSError) as error:
            report.failures.append(f"{running.server.name} lets nobody in: {error}")
    return people


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One query after the other, over servers that run already."""

    options: CostOptions
    set_up: Stage
    report: CostReport
    tell: Callable[[str], None]

    async def measure(
        self, query: Measured, started: Iterable[Running], people: People
    ) -> None:
        entrants: list[Entrant] = []
        for running in started:
            who = people.get(running.server.session)
            if who is not None and running.server.answers(query.name):
                self._admit(query, running, who, entrants)
        for entrant in entrants:
            self.tell(f"{query.name} warm-up: {entrant.name}")
            await self._warm_up(entrant)
        for number in range(self.options.rounds):
            for entrant in entrants:
                self.tell(f"{query.name} round {number + 1}: {entrant.name}")
                await self._measure(entrant, number)

    def _admit(
        self,
        query: Measured,
        running: Running,
        people: Sequence[Credentials],
        entrants: list[Entrant],
    ) -> None:
        """Let a server take part if its answer is that of the first one."""
        try:
            entrant = prepare(query, running, people)
        except (AnswerError, OSError) as error:
            self.report.failures.append(f"{query.name}: {error}")
            return
        if entrants and (where := _difference(entrants[0], entrant)):
            self.report.failures.append(
                f"{query.name}: {entrant.name} answers otherwise than"
                f" {entrants[0].name}: {where}"
            )
            return
        entrants.append(entrant)

    async def _warm_up(self, entrant: Entrant) -> None:
        try:
            await load(
                entrant,
                connections=self.options.connections,
                seconds=self.options.warm_up_s,
            )
        except BrokenError as error:
            self.report.failures.append(str(error))

    async def _measure(self, entrant: Entrant, number: int) -> None:
        """One window into the report; a failure told if the server broke or lied."""
        try:
            found = await window(
                entrant,
                self.set_up,
                number=number,
                connections=self.options.connections,
                seconds=self.options.seconds,
            )
        except BrokenError as error:
            self.report.failures.append(str(error))
        else:
            self.report.windows.append(found)


def _difference(expected: Entrant, found: Entrant) -> str:
    """Where two answers part, in words; read as the poorer dialect has them."""
    one: object = expected.data
    other: object = found.data
    if any(each.running.server.dialect for each in (expected, found)):
        one, other = bare(one), bare(other)
    return "" if one == other else difference(one, other)


def unequal_calls(report: CostReport) -> list[str]:
    """Servers that made other upstream calls than the first one of a query."""
    notes = []
    for query in report.queries():
        first, *others = report.servers(query)
        calls = report.median(query, first, lambda window: window.upstream_calls) or 0
        for server in others:
            theirs = report.median(query, server, lambda w: w.upstream_calls) or 0
            if abs(theirs - calls) > CALLS_TOLERANCE * calls:
                notes.append(
                    f"{query}: {server} made {theirs:.2f} upstream calls a request"
                    f" where {first} made {calls:.2f}: not the same work"
                )
    return notes
