"""A server under load for a while, and what that told.

Used by `cost.py` and `sweeps/`: everything that is measured under load is measured
here, so that figures of different sections mean the same.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from .figures import Window
from .load import Credentials, Load, LoadError, Target, press
from .operations import NO_IDS, KnownIds, Measured
from .processes import SERVER_CORE, Usage, can_pin, core_busy_s
from .servers import Running, data_of, post
from .surroundings import Stage


class BrokenError(Exception):
    """A server broke under load, or gave a wrong answer; told in words."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A running server, what it is asked and what it must answer each time."""

    query: str
    running: Running
    target: Target
    answer: bytes
    data: dict[str, object]

    @property
    def name(self) -> str:
        return self.running.server.name


def prepare(
    query: Measured, running: Running, people: Sequence[Credentials]
) -> Entrant:
    """Ask once, in the server's own dialect. Raises: AnswerError, OSError."""
    dialect = running.server.dialect
    if dialect is None:
        ids = running.ask("ids_of_three_kinds", {}, people[0])
        body = query.body(KnownIds.of(json.loads(ids.body)["data"]))
    else:
        body = query.body(NO_IDS, dialect[query.name].read_text())
    answer = post(running.port, body, people[0])
    data = data_of(answer, f"{running.server.name}, {query.name}")
    target = Target.graphql(running.port, body, people)
    return Entrant(query.name, running, target, answer.body, data)


async def load(entrant: Entrant, *, connections: int, seconds: float) -> Load:
    """Load one server. Raises: BrokenError if it broke or lied."""
    try:
        found = await press(
            entrant.target,
            expected=entrant.answer,
            connections=connections,
            seconds=seconds,
        )
    except (LoadError, OSError) as error:
        raise broken(entrant, error) from None
    check(entrant, found)
    return found


def broken(entrant: Entrant, error: Exception) -> BrokenError:
    """What became of a server that does not answer any more; ends it."""
    told = entrant.running.program.post_mortem(f"broke: {error}")
    return BrokenError(f"{entrant.query}: {told}")


def check(entrant: Entrant, found: Load) -> None:
    """Raises: BrokenError if answers differ from the first one."""
    if found.wrong:
        raise BrokenError(
            f"{entrant.query}: {entrant.name} gave {found.wrong} wrong answers of"
            f" {found.requests}, such as {found.sample[:200]!r}"
        )


async def window(
    entrant: Entrant, set_up: Stage, *, number: int, connections: int, seconds: float
) -> Window:
    """Load one server and read its costs. Raises: BrokenError."""
    pid = entrant.running.program.pid
    calls_before = set_up.upstream_calls()
    busy_before, before = core_busy_s(SERVER_CORE), Usage.of(pid)
    found = await load(entrant, connections=connections, seconds=seconds)
    after, busy_after = Usage.of(pid), core_busy_s(SERVER_CORE)
    calls = set_up.upstream_calls() - calls_before
    cpu_s = after.cpu_s - before.cpu_s
    others_s = busy_after - busy_before - cpu_s if can_pin() else 0.0
    return Window(
        query=entrant.query,
        server=entrant.name,
        round=number,
        per_second=found.per_second,
        p50_ms=found.latency_ms(0.50),
        p99_ms=found.latency_ms(0.99),
        cpu_us=cpu_s / found.requests * 1e6,
        upstream_calls=calls / found.requests,
        rss_mb=after.rss_bytes / 2**20,
        core_share=cpu_s / found.duration_s,
        others=max(0.0, others_s / found.duration_s),
    )
