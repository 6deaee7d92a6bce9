"""What an upstream allows in a window of time, spent on purpose: `Budget`.

Used by `thrift.py` for every call, made by `server/resources.py` (`FLUX_RATE_LIMIT`,
`CONDUIT_RATE_LIMIT`). Calls wait in order for a token, renewals first; who cannot get
one within its time is told at once how long it would take.

How many are left is counted by a `Ledger`: `LocalLedger` for one process, and
`session/call_ledger.py` in Redis for all of them. Both upstreams count in fixed windows
whose beginning we do not see (flux.md §5.1, conduit.md §8), so a ledger never gives
out more than `calls` in any stretch of `Rate.span_s`: however their windows lie, none
holds more. A budget takes a few tokens more than it needs while there are plenty, so
that the ledger is not asked for each call.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from .errors import RateLimitedError, Service
from .own_loop import own_loop

# Who waits must have so much left for the call itself.
CALL_S: Final = 0.5
# Tokens of a shorter window are not worth giving back: they come again by themselves.
WORTH_GIVING_BACK_S: Final = 10.0
MOST_PAYERS: Final = 10_000
# Of so many that are left, one may be taken beyond need.
PLENTY: Final = 10


@dataclass(frozen=True, slots=True)
class Rate:
    """`calls` in any `window_s`; times are in seconds.

    `hold_s`: how long a token may lie here unused. `margin_s`: how long a call may take
    to get to where it is counted. `spare`: tokens taken beyond need, out of plenty.
    """

    calls: int
    window_s: float
    hold_s: float = field(init=False)
    span_s: float = field(init=False)
    spare: int = field(init=False)

    def __post_init__(self) -> None:
        hold_s = min(self.window_s / 10, 2.0)
        margin_s = min(max(self.window_s / 20, 0.2), 1.0)
        object.__setattr__(self, "hold_s", hold_s)
        object.__setattr__(self, "span_s", self.window_s + hold_s + margin_s)
        object.__setattr__(self, "spare", self.calls // PLENTY)

    def share(self, processes: int) -> "Rate":
        """What one of so many processes may spend without asking the others."""
        return Rate(max(1, self.calls // processes), self.window_s)


class Grant(msgspec.Struct, frozen=True):
    """`tokens`: at least those wanted, or all there are. `waits_s`: when there are too
    few, in how many seconds each token that is out comes back, the first one first.
    `stamp` is the ledger's own.
    """

    tokens: int
    waits_s: Sequence[float] = ()
    stamp: int | None = None


class Ledger(Protocol):
    """Counts what was given out, for each payer. None of it raises."""

    async def ask(self, payer: str, wanted: int, spare: int) -> Grant:
        """Up to `spare` more than `wanted`: a tenth of what is left."""

    async def give_back(self, payer: str, grant: Grant, tokens: int) -> None:
        """These of a grant were not used."""

    async def exhaust(self, payer: str, wait_s: float | None) -> None:
        """The upstream refused: nothing is left for so long.

        None: it did not say; until the oldest grant comes back, or a whole window.
        """


class LocalLedger:
    """In this process; also the share of each while Redis cannot be asked."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._given: dict[str, deque[float]] = {}

    async def ask(self, payer: str, wanted: int, spare: int) -> Grant:
        """See `Ledger.ask`."""
        now, given = self._settled(payer)
        free = self._rate.calls - len(given)
        tokens = min(wanted, free)
        tokens += max(0, min(spare, (free - wanted) // PLENTY))
        given.extend([now] * tokens)
        if tokens >= wanted:
            return Grant(tokens)
        return Grant(tokens, [max(0.0, t + self._rate.span_s - now) for t in given])

    async def give_back(self, payer: str, grant: Grant, tokens: int) -> None:
        """See `Ledger.give_back`."""
        given = self._given.get(payer) or deque()
        for _ in range(min(tokens, len(given))):
            given.pop()

    async def exhaust(self, payer: str, wait_s: float | None) -> None:
        """See `Ledger.exhaust`."""
        now, given = self._settled(payer)
        if wait_s is None:
            oldest = given[0] + self._rate.span_s - now if given else 0.0
            wait_s = oldest or self._rate.window_s
        stamp = now + min(wait_s, self._rate.span_s) - self._rate.span_s
        while given and given[0] <= stamp:
            given.popleft()
        given.extendleft([stamp] * (self._rate.calls - len(given)))

    def _settled(self, payer: str) -> tuple[float, "deque[float]"]:
        """Now, and what is out, oldest first."""
        now = asyncio.get_running_loop().time()
        given = self._given.get(payer)
        if given is None:
            if len(self._given) >= MOST_PAYERS:
                self._given.pop(next(iter(self._given)))
            given = self._given[payer] = deque()
        while given and given[0] <= now - self._rate.span_s:
            given.popleft()
        return now, given


@dataclass(slots=True, eq=False)
class _Waiter:
    """`ends_at`: until when a token is of use to it, in the loop's time."""

    token: "asyncio.Future[None]"
    ends_at: float

    @property
    def paid(self) -> bool:
        return (
            self.token.done()
            and not self.token.cancelled()
            and self.token.exception() is None
        )


@dataclass(slots=True, eq=False)
class _Purse:
    """What this process has of one payer, and who waits for more."""

    tokens: int = 0
    good_until: float = 0.0
    grant: Grant | None = None
    waiting: deque[_Waiter] = field(default_factory=deque)
    # When each token that is out comes back; empty while there are enough.
    free_at: Sequence[float] = ()
    refusals: list[float | None] = field(default_factory=list)
    filling: bool = False

    def idle(self, now: float) -> bool:
        """Nobody waits, and what is left in it is not good any more."""
        holds = self.tokens and now < self.good_until
        return not (holds or self.waiting or self.filling)

    def put(self, now: float) -> None:
        """A token that was not used is the next one's; too old, it is nobody's."""
        if now >= self.good_until:
            return
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.token.done():
                waiter.token.set_result(None)
                return
        self.tokens += 1

    def expected_at(self, place: int, span_s: float) -> float:
        """When the one with so many before it will have its token, at the earliest."""
        rounds, number = divmod(place, len(self.free_at))
        return self.free_at[number] + rounds * span_s


class Budget:
    """The tokens of one upstream, for each payer: an address, or everybody."""

    def __init__(self, service: Service, rate: Rate, ledger: Ledger) -> None:
        self._service = service
        self._rate = rate
        self._ledger = ledger
        self._purses: dict[str, _Purse] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = own_loop()

    def gives(self, payer: str = "") -> bool:
        """A token, if there is one at once; else `take` waits for one."""
        purse = self._purses.get(payer)
        if purse is None or not purse.tokens or purse.waiting:
            return False
        if self._loop().time() >= purse.good_until:
            return False
        purse.tokens -= 1
        return True

    async def take(
        self, payer: str = "", *, timeout_s: float, urgent: bool = False
    ) -> float:
        """Wait for a token; what is left of `timeout_s` then.

        Raises: RateLimitedError as soon as it is clear that there will be none in time.
        """
        if self.gives(payer):
            return timeout_s
        now = self._loop().time()
        purse = self._purses.get(payer) or self._new(payer)
        await self._wait(payer, purse, now + timeout_s, urgent)
        return timeout_s - (self._loop().time() - now)

    def give_back(self, payer: str = "") -> None:
        """The token that was taken last was not used."""
        purse = self._purses.get(payer)
        if purse is not None:
            purse.put(self._loop().time())

    def refused(self, payer: str = "", wait_s: float | None = None) -> None:
        """The upstream says that the budget is used up: others spend it too."""
        purse = self._purses.get(payer) or self._new(payer)
        purse.tokens, purse.grant = 0, None
        purse.refusals.append(wait_s)
        self._fill_soon(payer, purse)

    async def aclose(self) -> None:
        """End what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _new(self, payer: str) -> _Purse:
        if len(self._purses) >= MOST_PAYERS:
            now = self._loop().time()
            for name, purse in tuple(self._purses.items()):
                if purse.idle(now):
                    del self._purses[name]
        purse = self._purses[payer] = _Purse()
        return purse

    async def _wait(
        self, payer: str, purse: _Purse, ends_at: float, urgent: bool
    ) -> None:
        waiter = _Waiter(self._loop().create_future(), ends_at - CALL_S)
        self._refuse_if_hopeless(purse, waiter, 0 if urgent else len(purse.waiting))
        if urgent:
            purse.waiting.appendleft(waiter)
        else:
            purse.waiting.append(waiter)
        self._fill_soon(payer, purse)
        takes_it = False
        try:
            # `_pay` tells who waits in vain; this is for a ledger that is silent.
            async with asyncio.timeout_at(ends_at):
                await waiter.token
            takes_it = True
        except TimeoutError:
            raise self._limited(None) from None
        finally:
            if waiter.paid and not takes_it:
                # It came with the end of the caller's time, or as it went away.
                purse.put(self._loop().time())
            elif not waiter.paid and waiter in purse.waiting:
                purse.waiting.remove(waiter)

    def _refuse_if_hopeless(self, purse: _Purse, waiter: _Waiter, place: int) -> None:
        """Without asking the ledger again, while it is known that nothing is left."""
        now = self._loop().time()
        if purse.free_at and now < purse.free_at[0]:
            expected_at = purse.expected_at(place, self._rate.span_s)
            if expected_at > waiter.ends_at:
                raise self._limited(expected_at - now)

    def _limited(self, wait_s: float | None) -> RateLimitedError:
        return RateLimitedError(
            f"the budget of {self._rate.calls} calls in {self._rate.window_s:g} s "
            "is used up",
            retry_after_s=None if wait_s is None else max(0.1, round(wait_s, 1)),
            service=self._service,
        )

    def _fill_soon(self, payer: str, purse: _Purse) -> None:
        if not purse.filling:
            purse.filling = True
            self._start(self._fill(payer, purse))

    async def _fill(self, payer: str, purse: _Purse) -> None:
        """Ask the ledger until nobody waits; the one task of its purse."""
        loop = self._loop()
        try:
            while purse.waiting or purse.refusals:
                while purse.refusals:
                    await self._ledger.exhaust(payer, purse.refusals.pop())
                if loop.time() >= purse.good_until:
                    purse.tokens = 0
                wanted = max(0, len(purse.waiting) - purse.tokens)
                grant = await self._ledger.ask(payer, wanted, self._rate.spare)
                self._pay(payer, purse, grant)
                # None is out if only others came while the ledger was asked.
                if purse.waiting and purse.free_at:
                    await asyncio.sleep(max(0.0, purse.free_at[0] - loop.time()))
        finally:
            purse.filling = False

    def _pay(self, payer: str, purse: _Purse, grant: Grant) -> None:
        """Tokens to those who wait, in order; the rest is told how long it takes."""
        loop = self._loop()
        now = loop.time()
        purse.tokens += grant.tokens
        while purse.tokens and purse.waiting:
            waiter = purse.waiting.popleft()
            if not waiter.token.done():
                waiter.token.set_result(None)
                purse.tokens -= 1
        purse.free_at = [now + wait_s for wait_s in grant.waits_s]
        purse.good_until = now + self._rate.hold_s
        if purse.tokens:
            purse.grant = grant
            loop.call_later(self._rate.hold_s, self._lapse, payer, purse, grant)
        if not purse.free_at:
            return
        patient: deque[_Waiter] = deque()
        for waiter in purse.waiting:
            expected_at = purse.expected_at(len(patient), self._rate.span_s)
            if waiter.token.done():
                continue
            if expected_at > waiter.ends_at:
                waiter.token.set_exception(self._limited(expected_at - now))
            else:
                patient.append(waiter)
        purse.waiting = patient

    def _lapse(self, payer: str, purse: _Purse, grant: Grant) -> None:
        """What is left of a grant is for others now."""
        if purse.grant is not grant:
            return
        tokens, purse.tokens, purse.grant = purse.tokens, 0, None
        if tokens and self._rate.window_s >= WORTH_GIVING_BACK_S:
            self._start(self._ledger.give_back(payer, grant, tokens))

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
