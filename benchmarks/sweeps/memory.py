"""Whether memory stays flat over many requests and many distinct documents.

One request in ten is the next of 10,000 distinct documents in turn, which is parsed,
validated and compiled unless it is still kept; the others are a hundred hot ones. So
every document comes again long after the caches, which are bounded, have let it go.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.load import LoadError, Target, press_all
from benchmarks.operations import document
from benchmarks.processes import LOAD_CORE, Usage, pinned
from benchmarks.surroundings import stage
from benchmarks.windows import Entrant, broken, check

from .sweep import Q2, Ours, Sweep, SweepOptions, Tell, ours, warm_up

DOCUMENTS = 10_000
HOT = 100
ONE_IN = 10
SAMPLES = 20
CONNECTIONS = 16
# Of the first samples caches are still filling; after them memory may grow by this.
FILLING = SAMPLES // 4
FLAT = 1.05


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory after so many requests."""

    requests: int
    rss_mb: float


async def run(options: SweepOptions, tell: Tell) -> list[Sweep]:
    """All requests in parts. Raises: ProgramError, AnswerError, BrokenError."""
    part = max(1, options.requests // SAMPLES)
    samples = []
    with pinned(LOAD_CORE):
        async with stage() as set_up, ours(set_up) as server:
            entrant = server.entrant(Q2)
            await warm_up(entrant, CONNECTIONS)
            requests = _requests(server)
            for number in range(SAMPLES):
                tell(f"memory: {number * part:,} requests")
                await _send(entrant, itertools.islice(requests, part))
                rss = Usage.of(server.pid).rss_bytes / 2**20
                samples.append(Sample((number + 1) * part, rss))
    return [sweep(samples)]


def _requests(server: Ours) -> Iterator[bytes]:
    """Without end: one of all documents, then some of the hot ones, and so on."""
    text = document(Q2.document)
    name = "query PostsAndNotes"
    variables = {"rows": Q2.rows}
    people = itertools.cycle(server.people)

    def request(number: int) -> bytes:
        distinct = text.replace(name, f"{name}{number}", 1)
        body = json.dumps({"query": distinct, "variables": variables}).encode()
        port = server.running.port
        return Target.graphql(port, body, [next(people)]).requests[0]

    hot = itertools.cycle([request(DOCUMENTS + number) for number in range(HOT)])
    for number in itertools.cycle(range(DOCUMENTS)):
        yield request(number)
        yield from itertools.islice(hot, ONE_IN - 1)


async def _send(entrant: Entrant, requests: Iterator[bytes]) -> None:
    try:
        found = await press_all(
            entrant.running.port,
            requests,
            expected=entrant.answer,
            connections=CONNECTIONS,
        )
    except (LoadError, OSError) as error:
        raise broken(entrant, error) from None
    check(entrant, found)


def growth(samples: Sequence[Sample]) -> float:
    """The last quarter's most over the most while caches were filling."""
    filled = max(sample.rss_mb for sample in samples[:FILLING])
    return max(sample.rss_mb for sample in samples[-FILLING:]) / filled


def sweep(samples: Sequence[Sample]) -> Sweep:
    """The series and the bar."""
    grown = growth(samples)
    last = samples[-1]
    distinct = min(DOCUMENTS, last.requests // ONE_IN)
    return Sweep(
        name="memory",
        title=f"Memory over {last.requests:,} requests (Q2, {distinct:,} documents)",
        method=f"One request in {ONE_IN} is the next of all documents, the others are"
        f" {HOT} hot ones.",
        heading=["requests", "RSS MB"],
        rows=[[f"{one.requests:,}", f"{one.rss_mb:.1f}"] for one in samples],
        bar=f"the last quarter holds at most {FLAT:.2f} times what the first did"
        f" (here {grown:.3f})",
        holds=grown <= FLAT,
        figures={
            "memory_growth": round(grown, 4),
            "memory_requests": last.requests,
            "memory_mb": round(last.rss_mb, 1),
        },
    )
