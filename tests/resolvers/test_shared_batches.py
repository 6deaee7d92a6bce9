"""By-id reads of several requests of one person in one call: who shares, and what."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from clock import timeless

from clients.errors import NotAuthenticatedError, TooManyCallsError, UpstreamError
from clients.exchange import CallScope
from clients.flux.calls import FluxCalls
from clients.flux.client import FluxClient, flux_http
from clients.thrift import ThriftyTransport
from clients.transport import Answer, HTTPLimits, Incoming, Outgoing, TransportError
from resolvers.batching import settled
from resolvers.context import RequestContext, Shared
from resolvers.selection import Selection
from resolvers.shared_batches import SharedBatches
from session.memory import MemoryVault
from session.session import Session

IDS = [str(UUID(int=n)) for n in range(1, 151)]
BODY = Selection({"Note": frozenset({"body"})})


@dataclass
class Person:
    """An `Auth`; `ended`: signed out elsewhere."""

    name: str
    bearer: str
    ended: bool = False
    pause_s: float = 0.0

    @property
    def person(self) -> str:
        return self.name

    async def token(self) -> str:
        await asyncio.sleep(self.pause_s)
        if self.ended:
            raise NotAuthenticatedError("signed out")
        return self.bearer

    async def replacement(self, refused: str) -> str | None:
        return None


@dataclass
class Flux:
    """A transport. All notes of a token hold one number, which a write raises."""

    latency: Any = lambda: 1.0
    moment: Any = lambda: 0.5
    numbers: dict[str, int] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    failing: bool = False

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        ids = re.findall(r"[0-9a-f-]{36}", request.url)
        self.asked.append(ids)
        whose = request.fields["Authorization"]
        latency_s = self.latency()
        before_s = latency_s * self.moment()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(before_s)
                if self.failing:
                    raise TransportError("malformed", "as told", sent=True)
                if request.method == "PATCH":
                    self.numbers[whose] = self.numbers.get(whose, 0) + 1
                number = f"{whose}: {self.numbers.get(whose, 0)}"
                await asyncio.sleep(latency_s - before_s)
        except TimeoutError:
            raise TransportError("timeout", "no answer", sent=True) from None
        rows = [
            {"id": id, "body": number, "created_at": "2026-01-01T00:00:00+00:00"}
            for id in ids
            if id != IDS[-1]  # there is no such note
        ]
        return Answer(
            200, {"content-type": "application/json"}, json.dumps(rows).encode()
        )

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        raise NotImplementedError

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


class Process:
    """What the requests of one server process share."""

    def __init__(self, flux: Flux) -> None:
        self.flux = flux
        self.batches = SharedBatches()
        limits = HTTPLimits(total_s=10)
        self.http = flux_http("http://up.test", ThriftyTransport(flux), limits)

    def request(
        self,
        person: Person | None = None,
        *,
        vault_key: str = "phone",
        timeout_s: float = 20,
        selection: Selection = BODY,
        address: str | None = None,
        inflight: bool = False,
    ) -> RequestContext:
        """A request that begins now."""
        person = person or Person("ann", "token of ann")
        session = Session()
        session.open(person.name, vault_key)
        scope = CallScope.for_background(timeout_s, "r")
        scope.forwarded_for = address
        if inflight:
            scope.fresh_from = 0.0
        unused: Any = None
        return RequestContext(
            session=session,
            shared=Shared(sessions=unused, claims=MemoryVault(), batches=self.batches),
            flux=FluxClient(FluxCalls(self.http, person, scope, None)),
            conduit=unused,
            scope=scope,
            selection=selection,
        )


async def bodies(context: RequestContext, *numbers: int) -> list[str | None]:
    """The bodies of the notes of these numbers."""
    loaded = await settled(context.loaders.notes.load_all([IDS[n] for n in numbers]))
    for note in loaded:
        if isinstance(note, Exception):
            raise note
    return [None if note is None else note.body for note in loaded]


NOTE = "Bearer token of ann: 0"


def test_what_requests_want_in_one_turn_is_one_call() -> None:
    async def work() -> None:
        process = Process(Flux())
        contexts = [process.request() for _ in range(3)]
        found = await asyncio.gather(
            bodies(contexts[0], 1, 2),
            bodies(contexts[1], 2, 3),
            bodies(contexts[2], 149),
        )
        assert found == [[NOTE, NOTE], [NOTE, NOTE], [None]]
        assert process.flux.asked == [[IDS[n] for n in (1, 2, 3, 149)]]
        calls = [context.scope.calls for context in contexts]
        assert [[call.shared for call in found] for found in calls] == [
            [False],
            [True],
            [True],
        ]
        assert [context.scope.started for context in contexts] == [1, 1, 1]
        # What has been loaded is kept by each.
        assert await bodies(contexts[1], 3) == [NOTE]
        assert len(process.flux.asked) == 1

    timeless(work())


def test_a_lone_request_takes_no_turn_more_than_its_loader_did() -> None:
    async def work() -> None:
        process = Process(Flux())
        loading = asyncio.create_task(bodies(process.request(), 1))
        turns = 0
        while not process.flux.asked:
            await asyncio.sleep(0)
            turns += 1
        assert turns <= 5
        await loading

    timeless(work())


def test_large_batches_are_split() -> None:
    async def work() -> None:
        process = Process(Flux())
        one, two = process.request(), process.request()
        found = await asyncio.gather(
            bodies(one, *range(80)), bodies(two, *range(60, 140))
        )
        assert [len(part) for part in found] == [80, 80]
        assert sorted(len(ids) for ids in process.flux.asked) == [40, 100]

    timeless(work())


@pytest.mark.parametrize(
    "other",
    [
        {"person": Person("bob", "token of bob"), "vault_key": "bob's"},
        {"vault_key": "laptop"},
        {"selection": Selection({"Note": frozenset({"body", "post"})})},
        {"address": "192.0.2.1"},
        {"person": Person("ann", "a newer token of ann")},
    ],
)
def test_nothing_is_shared_that_differs(other: dict[str, Any]) -> None:
    async def work() -> None:
        process = Process(Flux())
        first, second = process.request(), process.request(**other)
        await asyncio.gather(bodies(first, 1), bodies(second, 2))
        assert [IDS[2]] in process.flux.asked
        assert not second.scope.calls[0].shared

    timeless(work())


def test_a_session_that_has_ended_gets_nothing_from_another_request() -> None:
    """Its own look into the vault says so, later than the other's."""

    async def work() -> None:
        process = Process(Flux())
        signed_in = process.request()
        ended = process.request(Person("ann", "token of ann", ended=True, pause_s=0.2))
        found, refused = await asyncio.gather(
            bodies(signed_in, 1), bodies(ended, 1), return_exceptions=True
        )
        assert found == [NOTE]
        assert isinstance(refused, NotAuthenticatedError)

    timeless(work())


@pytest.mark.parametrize("how", ["abandon", "deadline", "limit", "failure"])
def test_when_the_call_comes_to_nothing_the_others_make_their_own(how: str) -> None:
    async def work() -> None:
        flux = Flux()
        process = Process(flux)
        first = process.request(timeout_s=0.5 if how == "deadline" else 20)
        others = [process.request() for _ in range(2)]
        if how == "limit":
            first.scope.max_calls = 0
        flux.failing = how == "failure"
        going = asyncio.create_task(bodies(first, 1))
        staying = [
            asyncio.create_task(bodies(context, n + 2))
            for n, context in enumerate(others)
        ]
        await asyncio.sleep(0.2)
        if how == "abandon":
            first.scope.abandon()
        await asyncio.sleep(0.5)
        flux.failing = False
        assert await asyncio.gather(*staying) == [[NOTE], [NOTE]]
        assert going.done()
        assert how == "abandon" or isinstance(going.exception(), UpstreamError)

    timeless(work())


def test_one_that_joined_and_goes_away_disturbs_nobody() -> None:
    async def work() -> None:
        process = Process(Flux())
        first, gone = process.request(), process.request(timeout_s=0.3)
        found, late = await asyncio.gather(
            bodies(first, 1), bodies(gone, 2), return_exceptions=True
        )
        assert found == [NOTE]
        assert isinstance(late, UpstreamError)
        assert len(process.flux.asked) == 1

    timeless(work())


def test_each_counts_the_call_in_its_own_limit() -> None:
    async def work() -> None:
        process = Process(Flux())
        first, full = process.request(), process.request()
        full.scope.max_calls = 0
        found, refused = await asyncio.gather(
            bodies(first, 1), bodies(full, 2), return_exceptions=True
        )
        assert found == [NOTE]
        assert isinstance(refused, TooManyCallsError)

    timeless(work())


def test_a_batch_joins_no_read_that_is_too_old_for_one_of_its_requests() -> None:
    async def work() -> None:
        process = Process(Flux())
        old = [process.request(), process.request()]
        before = asyncio.create_task(bodies(old[0], 1))
        await asyncio.sleep(0.6)
        process.flux.numbers["Bearer token of ann"] = 1
        new = process.request()
        # Alone, the older one might have joined the read that is on its way.
        found = await asyncio.gather(bodies(old[1], 1), bodies(new, 1))
        assert found == [["Bearer token of ann: 1"]] * 2
        assert await before == [NOTE]

    timeless(work())


def test_an_event_is_never_shown_by_a_read_that_is_older() -> None:
    """A subscriber reads anew for each event, also where older reads may be joined."""

    async def work() -> None:
        process = Process(Flux())
        before = asyncio.create_task(bodies(process.request(inflight=True), 1))
        await asyncio.sleep(0.6)
        process.flux.numbers["Bearer token of ann"] = 1
        subscriber = process.request(inflight=True)
        subscriber.begin_again()
        assert await bodies(subscriber, 1) == ["Bearer token of ann: 1"]
        assert await before == [NOTE]

    timeless(work())


async def _behave(
    dice: random.Random,
    process: Process,
    person: Person,
    written: dict[str, int],
    scopes: list[CallScope],
    inflight: bool,
) -> None:
    """One request: some notes by id, now and then a write, one after the other."""
    await asyncio.sleep(dice.randint(0, 5))
    context = process.request(person, timeout_s=dice.choice([3, 30]), inflight=inflight)
    scopes.append(context.scope)
    whose = f"Bearer {person.bearer}"
    began_with, highest = process.flux.numbers.get(whose, 0), 0
    for _ in range(dice.randint(1, 4)):
        await asyncio.sleep(dice.choice([0, 0, dice.random()]))
        if dice.random() < 0.2:
            await context.flux.notes.update(IDS[0], body="x", columns=frozenset())
            written[whose] = written.get(whose, 0) + 1
            context.forget()
            continue
        known = written.get(whose, 0)
        context.forget()
        for body in await bodies(context, *dice.sample(range(8), 3)):
            name, _, number = str(body).rpartition(": ")
            assert name == whose
            assert int(number) >= known, "older than a write of one's own"
            assert int(number) >= highest, "older than what was seen before"
            assert inflight or int(number) >= began_with, "older than the request"
        highest = int(number)


@pytest.mark.parametrize("inflight", [False, True])
def test_no_interleaving_shows_anybody_what_is_too_old_or_another_s(
    inflight: bool,
) -> None:
    shared = 0

    async def work(seed: int) -> None:
        nonlocal shared
        dice = random.Random(seed)  # noqa: S311 - no secret
        process = Process(Flux(lambda: dice.uniform(0.01, 3), dice.random))
        people = [Person("ann", "token of ann"), Person("bob", "token of bob")]
        written: dict[str, int] = {}
        scopes: list[CallScope] = []
        found = await asyncio.gather(
            *(
                _behave(dice, process, people[n % 2], written, scopes, inflight)
                for n in range(40)
            ),
            return_exceptions=True,
        )
        for failure in found:
            if failure is not None and not isinstance(failure, UpstreamError):
                raise failure
        records = [record for scope in scopes for record in scope.calls]
        made = sum(not record.shared for record in records)
        unknown = sum(record.status is None for record in records)
        assert made - unknown <= len(process.flux.asked) <= made
        shared += sum(record.shared for record in records)

    for seed in range(15):
        timeless(work(seed))
    assert shared > 100
