"""Equal reads of one person at one time are made once, and never show what is old."""

import asyncio
import gc
import random
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from clock import timeless

from clients.budget import Budget, LocalLedger, Rate
from clients.conduit.authentication import ConduitAuthentication
from clients.errors import (
    RateLimitedError,
    UpstreamError,
    UpstreamTimeoutError,
)
from clients.exchange import CallScope
from clients.http import UpstreamHTTP
from clients.thrift import ThriftyTransport
from clients.transport import (
    Answer,
    HTTPLimits,
    Incoming,
    Outgoing,
    Standing,
    TransportError,
    Trouble,
)

LIMITS = HTTPLimits(total_s=10)


@dataclass
class Person:
    """An `Auth`."""

    name: str = "ann"
    bearer: str | None = "token of ann"
    new_bearer: str | None = None

    @property
    def person(self) -> str:
        return self.name

    async def token(self) -> str | None:
        return self.bearer

    async def replacement(self, refused: str) -> str | None:
        return self.new_bearer


@dataclass
class Upstream:
    """A transport: a number for each person, which a write raises by one.

    A read sees it, and a write raises it, at some moment on the way.
    """

    latency: Callable[[], float] = lambda: 1.0
    moment: Callable[[], float] = lambda: 0.5
    trouble: Trouble | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    seen: list[Outgoing] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return len(self.seen)

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        self.seen.append(request)
        latency_s = self.latency()
        before_s = latency_s * self.moment()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(before_s)
                if self.trouble is not None:
                    raise TransportError(self.trouble, "as told", sent=True)
                whose = request.fields.get("Authorization", "")
                if request.method not in ("GET", "HEAD"):
                    self.numbers[whose] = self.numbers.get(whose, 0) + 1
                body = f"{whose}: {self.numbers.get(whose, 0)}".encode()
                await asyncio.sleep(latency_s - before_s)
        except TimeoutError:
            raise TransportError("timeout", "no answer", sent=True) from None
        return Answer(self.status, self.headers, body)

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        raise NotImplementedError

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


def http(
    upstream: Upstream, budget: Budget | None = None, **options: Any
) -> UpstreamHTTP:
    transport = ThriftyTransport(upstream, budget=budget)
    return UpstreamHTTP("flux", "http://up.test", transport, LIMITS, **options)


def scope(*, timeout_s: float = 20, inflight: bool = False) -> CallScope:
    """As a request has it that begins now."""
    found = CallScope.for_background(timeout_s, "r")
    if inflight:
        found.fresh_from = 0.0
    return found


async def read(
    http: UpstreamHTTP,
    scope: CallScope,
    auth: Person | None = None,
    target: str = "/notes",
    **options: Any,
) -> str:
    response = await http.send(
        options.pop("method", "GET"),
        target,
        operation="read",
        scope=scope,
        auth=auth or Person(),
        **options,
    )
    return response.body.decode()


async def write(http: UpstreamHTTP, scope: CallScope, auth: Person) -> str:
    response = await http.send(
        "PATCH", "/notes", operation="write", scope=scope, auth=auth, json={}
    )
    return response.body.decode()


async def after(pause_s: float, work: Any) -> Any:
    await asyncio.sleep(pause_s)
    return await work


def test_equal_reads_of_requests_that_had_begun_are_sent_once() -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        scopes = [scope() for _ in range(5)]
        found = await asyncio.gather(
            # Each had begun before the first one was sent.
            *(after(n / 10, read(shared, s)) for n, s in enumerate(scopes))
        )
        assert found == ["Bearer token of ann: 0"] * 5
        assert upstream.calls == 1
        records = [s.calls[0] for s in scopes]
        assert [record.shared for record in records] == [False, *[True] * 4]
        assert {record.status for record in records} == {200}
        assert [record.ms for record in records] == [1000, 900, 800, 700, 600]
        assert [s.started for s in scopes] == [1] * 5

    timeless(work())


def test_a_request_that_began_later_reads_for_itself() -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        first = asyncio.create_task(read(shared, scope()))
        await asyncio.sleep(0.1)
        assert await read(shared, scope()) == await first
        assert upstream.calls == 2

    timeless(work())


def test_of_two_reads_under_way_the_one_that_was_sent_later_is_joined() -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        first = asyncio.create_task(read(shared, scope()))
        await asyncio.sleep(0.1)
        late = scope()
        await asyncio.sleep(0.1)
        second = asyncio.create_task(read(shared, scope()))
        await asyncio.sleep(0.1)
        assert await read(shared, late) == await second == await first
        assert upstream.calls == 2

    timeless(work())


def test_it_joins_all_the_same_where_that_was_asked_for() -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        first = asyncio.create_task(read(shared, scope(inflight=True)))
        await asyncio.sleep(0.9)
        assert await read(shared, scope(inflight=True)) == await first
        assert upstream.calls == 1

    timeless(work())


@pytest.mark.parametrize("inflight", [False, True])
def test_what_a_request_has_seen_is_never_followed_by_something_older(
    inflight: bool,
) -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        mine = scope(inflight=inflight)
        others = scope(inflight=inflight)
        slow = asyncio.create_task(after(0.5, read(shared, others)))
        await read(shared, mine, target="/else")
        await read(shared, mine)
        await slow
        assert upstream.calls == 3

    timeless(work())


@pytest.mark.parametrize(
    ("other", "options"),
    [
        (Person("bob", "token of bob"), {}),
        (Person("bob", "token of ann"), {}),  # tokens that say nothing of a person
        (Person("ann", "a newer token of ann"), {}),
        (Person("ann", None), {}),
        (Person(), {"headers": {"Cache-Control": "no-cache"}}),
        (Person(), {"headers": {"Accept-Profile": "other"}}),
        (Person(), {"target": "/notes?scope=Team:1"}),
        (Person(), {"method": "HEAD"}),
    ],
)
def test_nothing_is_shared_that_differs_in_anything(
    other: Person, options: dict[str, Any]
) -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        await asyncio.gather(
            read(shared, scope()), read(shared, scope(), other, **options)
        )
        assert upstream.calls == 2

    timeless(work())


def test_nothing_is_shared_between_addresses_or_without_a_person() -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream, forwards_address=True)
        one, two = scope(), scope()
        one.forwarded_for, two.forwarded_for = "192.0.2.1", "192.0.2.2"
        await asyncio.gather(read(shared, one), read(shared, two))
        assert upstream.calls == 2
        await asyncio.gather(
            *(shared.send("GET", "/ready", operation="x", scope=scope()) for _ in "12")
        )
        assert upstream.calls == 4

    timeless(work())


@pytest.mark.parametrize("inflight", [False, True])
def test_nobody_joins_across_a_write_of_that_person(inflight: bool) -> None:
    """Also none that was sent while the write was on its way: it may not have seen it.

    The write is by another session of the person, with another token.
    """

    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        phone, later = Person("ann", "token of her phone"), scope(inflight=inflight)
        before = asyncio.create_task(read(shared, scope(inflight=inflight)))
        await asyncio.sleep(0)
        writing = asyncio.create_task(write(shared, scope(), phone))
        await asyncio.sleep(0.2)
        during = asyncio.create_task(read(shared, scope(inflight=inflight)))
        await writing
        assert upstream.calls == 3
        await read(shared, later)
        assert upstream.calls == 4
        await asyncio.gather(before, during)

    timeless(work())


def test_a_write_of_another_person_parts_nobody() -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        late = scope()
        first = asyncio.create_task(read(shared, scope()))
        await asyncio.sleep(0)
        writing = asyncio.create_task(write(shared, scope(), Person("bob", "bob's")))
        await asyncio.sleep(0.1)
        assert await read(shared, late) == await first
        await writing
        assert upstream.calls == 2

    timeless(work())


def test_reads_with_a_body_are_not_shared_and_part_nobody() -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)

        async def call() -> None:
            await shared.send(
                "POST",
                "/rpc/notes_by_post",
                operation="x",
                scope=scope(),
                auth=Person(),
                json={},
                idempotent=True,
            )

        late = scope()
        await asyncio.gather(read(shared, scope()), call(), call(), read(shared, late))
        assert upstream.calls == 3

    timeless(work())


@pytest.mark.parametrize("how", ["abandon", "cancel", "deadline"])
def test_one_that_goes_away_does_not_take_the_others_along(how: str) -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        gone = scope(timeout_s=0.5 if how == "deadline" else 20)
        others = [scope() for _ in range(3)]
        going = asyncio.create_task(read(shared, gone))
        await asyncio.sleep(0)
        staying = [asyncio.create_task(read(shared, s)) for s in others]
        await asyncio.sleep(0.3)
        if how == "abandon":
            gone.abandon()
        elif how == "cancel":
            going.cancel()
        await asyncio.wait([going])
        assert going.cancelled() or isinstance(going.exception(), UpstreamTimeoutError)
        assert await asyncio.gather(*staying) == ["Bearer token of ann: 0"] * 3
        # One of those who stay asks again, for all of them.
        assert upstream.calls == 2
        assert sum(not s.calls[0].shared for s in others) == 1

    timeless(work())


def test_one_that_joined_and_goes_away_disturbs_nobody() -> None:
    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        late, gone = scope(), scope()
        first = asyncio.create_task(read(shared, scope()))
        await asyncio.sleep(0)
        staying = asyncio.create_task(read(shared, late))
        going = asyncio.create_task(read(shared, gone))
        await asyncio.sleep(0.2)
        gone.abandon()
        assert await first == await staying
        assert going.cancelled()
        assert upstream.calls == 1

    timeless(work())


def test_each_waits_no_longer_than_its_own_deadline() -> None:
    async def work() -> None:
        upstream = Upstream(latency=lambda: 8.0)
        shared = http(upstream)
        hurried = scope(timeout_s=2)
        first = asyncio.create_task(read(shared, scope()))
        await asyncio.sleep(0)
        with pytest.raises(UpstreamTimeoutError):
            await read(shared, hurried)
        assert asyncio.get_running_loop().time() == 1002
        await first
        assert upstream.calls == 1

    timeless(work())


def test_a_failure_of_the_upstream_is_that_of_all_who_wait_for_it() -> None:
    async def work() -> None:
        upstream = Upstream(trouble="malformed")
        shared = http(upstream)
        scopes = [scope() for _ in range(4)]
        found = await asyncio.gather(
            *(read(shared, s) for s in scopes), return_exceptions=True
        )
        assert {type(failure) for failure in found} <= {UpstreamError} | set(
            UpstreamError.__subclasses__()
        )
        assert len({id(failure) for failure in found}) == 4
        assert upstream.calls == 1

    timeless(work())


def test_a_refused_token_is_replaced_for_each() -> None:
    async def work() -> None:
        upstream = Upstream(status=401)
        shared = http(upstream, token_refused=lambda response: response.status == 401)
        scopes = [scope() for _ in range(3)]
        people = [Person(new_bearer="new token of ann") for _ in scopes]
        await asyncio.gather(
            *(read(shared, s, p) for s, p in zip(scopes, people, strict=True))
        )
        bearers = [request.fields["Authorization"] for request in upstream.seen]
        assert bearers == ["Bearer token of ann", "Bearer new token of ann"]

    timeless(work())


def test_nothing_is_kept_of_the_tokens_of_renewals_and_reads_are_joined_after() -> None:
    """Tried with the token among the headers: each was kept, up to 64, and what was
    read by headers that were not yet known then was never joined."""

    async def work() -> None:
        upstream = Upstream()
        shared = http(upstream)
        authentication = ConduitAuthentication(shared)
        for n in range(70):
            await authentication.sign_out(f"secret {n}", scope())
        kept = [one for one in gc.get_objects() if isinstance(one, Standing)]
        assert "secret" not in str([one.headers for one in kept])
        scopes = [scope() for _ in range(3)]
        await asyncio.gather(
            *(read(shared, s, Person(), headers={"Prefer": "x"}) for s in scopes)
        )
        assert upstream.calls == 70 + 1

    timeless(work())


def test_reads_that_wait_for_the_budget_are_joined_by_whoever_comes() -> None:
    async def work() -> None:
        upstream, rate = Upstream(), Rate(1, 4)
        shared = http(upstream, Budget("flux", rate, LocalLedger(rate)))
        await read(shared, scope(), target="/else")
        waiting = [asyncio.create_task(read(shared, scope()))]
        for _ in range(5):
            await asyncio.sleep(0.5)
            waiting.append(asyncio.create_task(read(shared, scope())))
        await asyncio.gather(*waiting)
        assert upstream.calls == 2

    timeless(work())


def test_who_joined_one_that_has_no_time_for_the_budget_waits_by_itself() -> None:
    async def work() -> None:
        upstream, rate = Upstream(), Rate(1, 4)
        shared = http(upstream, Budget("flux", rate, LocalLedger(rate)))
        await read(shared, scope(), target="/else")
        hurried = asyncio.create_task(read(shared, scope(timeout_s=2)))
        await asyncio.sleep(0)
        patient = [asyncio.create_task(read(shared, scope())) for _ in range(3)]
        with pytest.raises(RateLimitedError):
            await hurried
        await asyncio.gather(*patient)
        assert upstream.calls == 2

    timeless(work())


def test_a_429_empties_the_budget_and_an_unsent_call_does_not_spend_it() -> None:
    async def work() -> None:
        upstream, rate = Upstream(), Rate(5, 60)
        shared = http(upstream, Budget("flux", rate, LocalLedger(rate)))
        await read(shared, scope())
        upstream.status, upstream.headers = 429, {"retry-after": "7"}
        await read(shared, scope())
        with pytest.raises(RateLimitedError) as refused:
            await read(shared, scope(timeout_s=5))
        assert refused.value.retry_after_s == pytest.approx(7, abs=0.1)
        assert upstream.calls == 2
        upstream.status = 200
        await read(shared, scope(timeout_s=20))
        assert upstream.calls == 3

    timeless(work())


@pytest.mark.parametrize("auth", [None, Person()])
def test_a_probe_is_not_counted(auth: Person | None) -> None:
    async def work() -> None:
        upstream, rate = Upstream(), Rate(1, 60)
        shared = http(upstream, Budget("flux", rate, LocalLedger(rate)))
        for target in ("/health", "/ready", "/health"):
            await shared.send("GET", target, operation="x", scope=scope(), auth=auth)
        assert upstream.calls == 3

    timeless(work())


@dataclass
class _History:
    """Of one person: how many writes have been answered so far."""

    written: int = 0


async def _behave(
    dice: random.Random,
    shared: UpstreamHTTP,
    upstream: Upstream,
    person: Person,
    history: _History,
    scopes: list[CallScope],
    inflight: bool,
) -> None:
    """One request: some reads and writes, one after the other or at once."""
    await asyncio.sleep(dice.randint(0, 5))
    mine = scope(inflight=inflight, timeout_s=dice.choice([3, 30]))
    scopes.append(mine)
    whose = f"Bearer {person.bearer}"
    began_with, highest = upstream.numbers.get(whose, 0), 0
    if dice.random() < 0.15:
        loop = asyncio.get_running_loop()
        loop.call_later(dice.uniform(0, 2), mine.abandon)
    for _ in range(dice.randint(1, 4)):
        await asyncio.sleep(dice.uniform(0, 1))  # the vault is read, say
        if dice.random() < 0.3:
            await write(shared, mine, person)
            history.written += 1
            continue
        known = history.written
        target = dice.choice(["/notes", "/posts"])
        found = await read(shared, mine, person, target)
        name, _, number = found.rpartition(": ")
        assert name == whose
        assert int(number) >= known, "older than a write of one's own"
        assert int(number) >= highest, "older than what was seen before"
        assert inflight or int(number) >= began_with, "older than the request"
        highest = int(number)


@pytest.mark.parametrize("inflight", [False, True])
def test_no_interleaving_shows_anybody_what_is_too_old_or_another_s(
    inflight: bool,
) -> None:
    shared_calls = 0

    async def work(seed: int) -> None:
        nonlocal shared_calls
        dice = random.Random(seed)  # noqa: S311 - no secret
        upstream = Upstream(lambda: dice.uniform(0.01, 3), dice.random)
        shared = http(upstream)
        scopes: list[CallScope] = []
        people = [Person("ann", "token of ann"), Person("bob", "token of bob")]
        histories = [_History(), _History()]
        found = await asyncio.gather(
            *(
                _behave(
                    dice,
                    shared,
                    upstream,
                    people[n % 2],
                    histories[n % 2],
                    scopes,
                    inflight,
                )
                for n in range(60)
            ),
            return_exceptions=True,
        )
        for failure in found:
            # Cut short, or out of time: nothing was shown.
            if failure is not None and not isinstance(
                failure, asyncio.CancelledError | UpstreamError
            ):
                raise failure
        records = [record for s in scopes for record in s.calls]
        made = sum(not record.shared for record in records)
        # What was cancelled while it waited for another's answer was not sent.
        unknown = sum(record.status is None for record in records)
        assert made - unknown <= upstream.calls <= made
        shared_calls += sum(record.shared for record in records)

    for seed in range(30):
        timeless(work(seed))
    assert shared_calls > 200
