"""What a request costs: our server beside others, in one run, by turns.

Called by `__main__.py`. All servers run at once on one core, of which only the one
under load uses any; the load and the stub are on the other. For each query and round
every server gets a window of load in turn, so that whatever else the machine does
hits all of them alike; what counts is the ratio within a round, and of those the
median. README.md tells how to read the figures.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .agreement import difference
from .figures import CostReport, Window
from .load import Load, LoadError, Target, press
from .operations import KnownIds, Measured
from .processes import (
    LOAD_CORE,
    SERVER_CORE,
    ProgramError,
    Usage,
    can_pin,
    core_busy_s,
    pinned,
)
from .servers import AnswerError, Running, Server, data_of, post, start
from .surroundings import Stage, stage


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
                cookies = _cookies(running, set_up, report)
                comparison = _Comparison(options, set_up, report, tell)
                for query in options.queries:
                    if query.is_offered:
                        await comparison.measure(query, running, cookies)
                    else:
                        report.notes.append(f"{query.name} needs {query.needs}")
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


def _cookies(
    started: Iterable[Running], set_up: Stage, report: CostReport
) -> dict[str, str]:
    """A Cookie header for each kind of session; the first server to offer it signs in.

    The handwritten server has no sign-in of its own: it reads the sessions that ours
    has opened, with the same secret and out of the same store.
    """
    cookies: dict[str, str] = {}
    for running in started:
        kind = running.server.session
        if kind in cookies:
            continue
        try:
            cookies[kind] = set_up.sign_in(running)
        except (AnswerError, OSError) as error:
            report.failures.append(f"{running.server.name} lets nobody in: {error}")
    return cookies


@dataclass(frozen=True, slots=True)
class _Entrant:
    """A server that answers a query as the others do, ready to be loaded with it."""

    running: Running
    target: Target
    answer: bytes
    data: dict[str, object]

    @property
    def name(self) -> str:
        return self.running.server.name


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One query after the other, over servers that run already."""

    options: CostOptions
    set_up: Stage
    report: CostReport
    tell: Callable[[str], None]

    async def measure(
        self,
        query: Measured,
        started: Iterable[Running],
        cookies: dict[str, str],
    ) -> None:
        entrants: list[_Entrant] = []
        for running in started:
            if (cookie := cookies.get(running.server.session)) is not None:
                self._admit(query, running, cookie, entrants)
        for entrant in entrants:
            await self._press(query, entrant, self.options.warm_up_s)
        for number in range(self.options.rounds):
            for entrant in entrants:
                self.tell(f"{query.name} round {number + 1}: {entrant.name}")
                window = await self._window(query, entrant, number)
                if window is not None:
                    self.report.windows.append(window)

    def _admit(
        self,
        query: Measured,
        running: Running,
        cookie: str,
        entrants: list[_Entrant],
    ) -> None:
        """Let a server take part if its answer is that of the first one."""
        name = running.server.name
        try:
            ids = running.ask("ids_of_three_kinds", {}, cookie)
            body = query.body(KnownIds.of(json.loads(ids.body)["data"]))
            answer = post(running.port, body, cookie)
            data = data_of(answer, f"{name}, {query.name}")
        except (AnswerError, OSError) as error:
            self.report.failures.append(f"{query.name}: {error}")
            return
        if entrants and data != entrants[0].data:
            where = difference(entrants[0].data, data)
            self.report.failures.append(
                f"{query.name}: {name} answers otherwise than {entrants[0].name}:"
                f" {where}"
            )
            return
        target = Target.graphql(running.port, body, cookie)
        entrants.append(_Entrant(running, target, answer.body, data))

    async def _window(
        self, query: Measured, entrant: _Entrant, number: int
    ) -> Window | None:
        pid = entrant.running.program.pid
        calls_before = self.set_up.upstream_calls()
        busy_before, before = core_busy_s(SERVER_CORE), Usage.of(pid)
        load = await self._press(query, entrant, self.options.seconds)
        after, busy_after = Usage.of(pid), core_busy_s(SERVER_CORE)
        calls = self.set_up.upstream_calls() - calls_before
        if load is None:
            return None
        cpu_s = after.cpu_s - before.cpu_s
        others_s = busy_after - busy_before - cpu_s if can_pin() else 0.0
        return Window(
            query=query.name,
            server=entrant.name,
            round=number,
            per_second=load.per_second,
            p50_ms=load.latency_ms(0.50),
            p99_ms=load.latency_ms(0.99),
            cpu_us=cpu_s / load.requests * 1e6,
            upstream_calls=calls / load.requests,
            rss_mb=after.rss_bytes / 2**20,
            core_share=cpu_s / load.duration_s,
            others=max(0.0, others_s / load.duration_s),
        )

    async def _press(
        self, query: Measured, entrant: _Entrant, seconds: float
    ) -> Load | None:
        """Load one server; None, and a failure told, if it broke or lied."""
        try:
            load = await press(
                entrant.target,
                expected=entrant.answer,
                connections=self.options.connections,
                seconds=seconds,
            )
        except (LoadError, OSError) as error:
            failure = entrant.running.program.post_mortem(f"broke: {error}")
            self.report.failures.append(f"{query.name}: {failure}")
            return None
        if load.wrong:
            self.report.failures.append(
                f"{query.name}: {entrant.name} gave {load.wrong} wrong answers of"
                f" {load.requests}, such as {load.sample[:200]!r}"
            )
            return None
        return load
