"""One trial from start to end: people at a steady rate, faults coming and going.

Operations begin at times drawn beforehand and not when the one before has ended, as
people do: a server that stands still makes them all late, and that is counted.
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from .audit import audit
from .client import Client, Person
from .faults import FAULTS, FaultKind
from .journal import Entry, Journal, Window
from .model import Model
from .people import Crowd
from .place import Place, Sample
from .reads import READS, Actor, Operation
from .writes import WRITES

OPERATIONS: Final = READS + WRITES
# More that wait for their answers than people would; what is above is left out.
MOST_AT_ONCE: Final = 150
SAMPLE_EVERY_S: Final = 2.0
RECOVERED_WITHIN_S: Final = 30.0
# Longer than a circuit that is open refuses calls.
FOR_GOOD_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do; times in seconds. `rate` None: `share` of what is measured."""

    name: str
    seed: int
    trial_s: float
    at_once: int
    quiet_s: tuple[float, float]
    fault_s: tuple[float, float]
    rate: float | None = None
    share: float = 0.7
    measure_s: float = 10.0


@dataclass(slots=True)
class Outcome:
    """Everything that is known at the end."""

    plan: Plan
    capacity: float = 0.0
    rate: float = 0.0
    recovered_s: float | None = None
    journal: Journal = field(default_factory=Journal)
    model: Model = field(default_factory=Model)
    samples: list[Sample] = field(default_factory=list)
    sessions_lost: int = 0
    events: int = 0


Say = Callable[[str], None]


class Trial:
    def __init__(self, plan: Plan, place: Place, say: Say) -> None:
        self._plan = plan
        self._place = place
        self._say = say
        self._rng = random.Random(plan.seed)  # noqa: S311 - to be repeated, not secret
        self._outcome = Outcome(plan)
        self._client = Client(place.url)
        self._crowd = Crowd(self._client, self._outcome.model)
        self._now = asyncio.get_running_loop().time
        self._under_way: set[asyncio.Task[None]] = set()
        self._occupied: set[str] = set()

    async def run(self) -> Outcome:
        """Raises: CrowdError, ProgramError."""
        outcome, plan = self._outcome, self._plan
        try:
            await self._crowd.arrive()
            outcome.capacity = await self._capacity()
            outcome.rate = plan.rate or outcome.capacity * plan.share
            self._say(
                f"{outcome.capacity:.0f} operations a second at most, now"
                f" {outcome.rate:.1f}; {plan.trial_s:.0f} s of faults"
            )
            outcome.journal = Journal()
            async with self._company():
                await self._ask_until(self._now() + plan.trial_s)
            await self._all_answered()
            outcome.recovered_s = await self._recovery()
            await audit(self._client, self._crowd.people, outcome.model, self._rng)
            outcome.samples += self._place.sample(self._now())
        finally:
            await self._client.aclose()
        outcome.sessions_lost = self._crowd.sessions_lost
        outcome.events = self._crowd.events
        return outcome

    async def _capacity(self) -> float:
        """Operations a second of twelve people who ask at once, without faults."""
        ends_at = self._now() + self._plan.measure_s
        started, before = self._now(), len(self._outcome.journal.entries)

        async def ask_on() -> None:
            while self._now() < ends_at:
                await self._perform(self._draw(), self._now())

        await asyncio.gather(*(ask_on() for _ in range(12)))
        done = len(self._outcome.journal.entries) - before
        return done / (self._now() - started)

    @asynccontextmanager
    async def _company(self) -> AsyncIterator[None]:
        """Faults, listeners and the one who counts; faults are over at the end."""
        tasks = [
            *(asyncio.create_task(self._crowd.listen(p)) for p in self._crowd.people),
            asyncio.create_task(self._watch()),
        ]
        troubles = [asyncio.create_task(self._trouble(deck)) for deck in self._decks()]
        try:
            yield
        finally:
            for task in troubles:
                task.cancel()
            await asyncio.gather(*troubles, return_exceptions=True)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, *troubles, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def _decks(self) -> list[list[FaultKind]]:
        """Shuffled: every kind has its turn before any has a second one."""
        kinds = list(FAULTS)
        self._rng.shuffle(kinds)
        return [kinds[n :: self._plan.at_once] for n in range(self._plan.at_once)]

    async def _trouble(self, deck: list[FaultKind]) -> None:
        for kind in itertools.cycle(deck):
            await asyncio.sleep(self._rng.uniform(*self._plan.quiet_s))
            while kind.target in self._occupied:  # noqa: ASYNC110 - another's turn ends
                await asyncio.sleep(0.1)
            self._occupied.add(kind.target)
            window = Window(kind, self._now())
            self._outcome.journal.windows.append(window)
            try:
                await self._place.begin(kind)
                await asyncio.sleep(self._rng.uniform(*self._plan.fault_s))
            finally:
                # Also at the end of the trial: to read all back, all must be well.
                await asyncio.shield(self._end(kind, window))

    async def _end(self, kind: FaultKind, window: Window) -> None:
        await self._place.end(kind)
        window.ended = self._now()
        self._occupied.discard(kind.target)

    async def _watch(self) -> None:
        for passed in itertools.count():
            self._outcome.samples += self._place.sample(self._now())
            if passed % 30 == 29:
                journal = self._outcome.journal
                self._say(
                    f"{len(journal.entries)} operations, {len(journal.windows)} faults"
                )
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def _ask_until(self, ends_at: float) -> None:
        due = self._now()
        while due < ends_at:
            due += self._rng.expovariate(self._outcome.rate)
            await asyncio.sleep(max(0.0, due - self._now()))
            if len(self._under_way) >= MOST_AT_ONCE:
                self._outcome.journal.left_out += 1
                continue
            task = asyncio.create_task(self._perform(self._draw(), due))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def _draw(self) -> Operation:
        return self._rng.choices(OPERATIONS, [each.weight for each in OPERATIONS])[0]

    async def _perform(self, operation: Operation, due: float) -> None:
        person = self._rng.choice(self._crowd.people)
        actor = Actor(person, self._client, self._outcome.model, self._rng)
        await operation.perform(actor)
        self._outcome.journal.entries.append(
            Entry(
                operation.name,
                operation.needs,
                due,
                self._now(),
                tuple(actor.problems),
            )
        )
        if any(problem.code == "UNAUTHENTICATED" for problem in actor.problems):
            await self._crowd.sign_in_again(person)

    async def _all_answered(self) -> None:
        """Every operation has a bound of its own, so this ends."""
        while self._under_way:
            done, _ = await asyncio.wait(self._under_way)
            for task in done:
                task.result()

    async def _recovery(self) -> float | None:
        """How long until everybody's whole world answers again, for good; else None.

        Each worker has circuits of its own, which may refuse a second longer: all are
        asked at once, over many connections, until there is no failure for a while.
        """
        started, good_since = self._now(), None
        while self._now() - started < RECOVERED_WITHIN_S:
            asked_at = self._now()
            people = self._crowd.people
            replies = await asyncio.gather(*(self._probe(person) for person in people))
            if not all(replies):
                good_since = None
            elif good_since is None:
                good_since = self._now()
            elif asked_at - good_since >= FOR_GOOD_S:
                return good_since - started
            await asyncio.sleep(0.2)
        return None

    async def _probe(self, person: Person) -> bool:
        query = "{ viewer { email } notes(first: 1) { nodes { id } } }"
        reply = await self._client.graphql(person, query)
        if any(problem.code == "UNAUTHENTICATED" for problem in reply.problems):
            with contextlib.suppress(Exception):
                await self._crowd.sign_in_again(person)
        return reply.status == 200 and not reply.problems
