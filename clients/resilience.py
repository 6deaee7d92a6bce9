"""What keeps one upstream's trouble from becoming everybody's: `ResilientTransport`.

Put around a `Transport` by `server/resources.py`; `http.py` does not know it is there.
For each class of calls (reads, writes, authentication) of one upstream:

* a circuit breaker: after a few consecutive failures calls are refused at once, but
  for one probe a second, so that the upstream's return is noticed within a second. A
  Conduit whose database pool is used up answers nothing for 60 s (conduit.md §9).
* a bulkhead: no class may take all connections. Others stand in line, as long as it
  moves: who waits for an upstream that answers is served, who waits for one that hangs
  is told soon.
* `Retry-After`: until it is over the upstream's own answer is given again, unasked.

`RetryBudget` bounds repetitions: an upstream that is down gets few calls twice.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Final, Literal

from .transport import Answer, Incoming, Outgoing, Transport, TransportError

CallClass = Literal["reads", "writes", "authentication"]
CALL_CLASSES: Final[tuple[CallClass, ...]] = ("reads", "writes", "authentication")

READ_METHODS: Final = frozenset({"GET", "HEAD"})
# The statuses with which proxies and both upstreams say that they cannot serve
# anybody just now (flux.md §5, §6; conduit.md §9).
UNAVAILABLE: Final = frozenset({502, 503, 504})
ASKS_TO_WAIT: Final = frozenset({429, 503})
LONGEST_RETRY_AFTER_S: Final = 30.0
# How often somebody looks whether those in line wait in vain.
LOOK_S: Final = 0.025


@dataclass(frozen=True, slots=True)
class ResilienceLimits:
    """`failures` in a row open the circuit. Times are in seconds.

    A call that had less than `fair_s` says nothing about the upstream: its operation's
    deadline was near. Who stands in line leaves when it has not moved for `wait_s`.
    """

    failures: int = 5
    probe_every_s: float = 1.0
    fair_s: float = 0.5
    concurrent: int = 37
    wait_s: float = 1.0


class ResilientTransport:
    """A `Transport` that refuses what would only wait in vain."""

    def __init__(self, inner: Transport, limits: ResilienceLimits) -> None:
        self._inner = inner
        self._gates = {kind: _Gate(limits) for kind in CALL_CLASSES}

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        """See `Transport.exchange`."""
        gate = self._gates[class_of(request)]
        # Nearly always: nothing failed, nobody waits, and there is room.
        if gate.free and not gate.failures and gate.quiet_answer is None:
            gate.free -= 1
        else:
            told = gate.told_to_wait()
            if told is not None:
                return told
            if not gate.admits():
                timeout_s = await gate.turn(timeout_s)
                # Again: it may have been said while this call stood in line.
                told = gate.told_to_wait()
                if told is not None:
                    gate.leave()
                    return told
        try:
            answer = await self._inner.exchange(
                request, timeout_s=timeout_s, max_bytes=max_bytes
            )
        except TransportError as error:
            gate.blame(error, timeout_s)
            raise
        finally:
            if gate.line:
                gate.leave()
            else:
                gate.free += 1
        if answer.status < 400:
            gate.failures = 0
        else:
            gate.note(answer.status)
            if answer.status in ASKS_TO_WAIT:
                gate.heed(answer)
        return answer

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        """See `Transport.open`. Reading the body takes none of the bulkhead's room."""
        gate = self._gates[class_of(request)]
        if not gate.admits():
            timeout_s = await gate.turn(timeout_s)
        try:
            incoming = await self._inner.open(request, timeout_s=timeout_s)
        except TransportError as error:
            gate.blame(error, timeout_s)
            raise
        finally:
            gate.leave()
        gate.note(incoming.status)
        return incoming

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        """See `Transport.upload`; its pace is the sender's, so nothing is concluded."""
        return await self._inner.upload(request, content)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._inner.aclose()


def class_of(request: Outgoing) -> CallClass:
    """Calls that fail together: one slow table must not stop the sign-ins."""
    if "/authentication/" in request.target:
        return "authentication"
    # Flux's functions are called by POST and read (flux-init.sql: `stable`).
    if request.method in READ_METHODS or "/rpc/" in request.target:
        return "reads"
    return "writes"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A call in line; its times are the loop's."""

    turn: asyncio.Future[None]
    since: float
    until: float


@dataclass(slots=True)
class _Gate:
    """The state of one class of calls."""

    limits: ResilienceLimits
    failures: int = 0
    next_probe_at: float = 0.0
    quiet_until: float = 0.0
    quiet_answer: Answer | None = None
    # Counted here: a semaphore costs 1.3 µs a call.
    free: int = field(init=False)
    line: deque["_Waiting"] = field(default_factory=deque)
    moved_at: float = 0.0
    look: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self.free = self.limits.concurrent

    def admits(self) -> bool:
        """Room for one call, and `leave` must follow; False: it must take its `turn`.

        Raises: TransportError, nothing having been sent.
        """
        if self.failures >= self.limits.failures:
            self._probe()
        if self.free == 0:
            return False
        self.free -= 1
        return True

    async def turn(self, timeout_s: float) -> float:
        """As `admits`, for one that must wait for it. What is left of its time."""
        is_probe = self.failures >= self.limits.failures
        since = _now()
        # Half of its time, so that the other half is left for the call itself.
        await self._stand_in_line(since, since + timeout_s / 2)
        if self.failures >= self.limits.failures and not is_probe:
            # The circuit has opened meanwhile.
            try:
                self._probe()
            except TransportError:
                self.leave()
                raise
        return timeout_s - (_now() - since)

    async def _stand_in_line(self, since: float, until: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line.append(_Waiting(turn, since, until))
        if self.look is None:
            self._look_later()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                # It had just become this call's turn: let it be the next one's.
                self.leave()
            raise

    def _look_later(self) -> None:
        """One timer for all who wait: cheaper than one each, and a moment late."""
        loop = asyncio.get_running_loop()
        self.look = loop.call_later(LOOK_S, self._look_along_the_line)

    def _look_along_the_line(self) -> None:
        now, patience_s = _now(), self.limits.wait_s
        stands = now - self.moved_at >= patience_s
        for one in self.line:
            in_vain = stands and now - one.since >= patience_s
            if (in_vain or one.until <= now) and not one.turn.done():
                message = "too many calls wait for this upstream"
                one.turn.set_exception(TransportError("timeout", message, sent=False))
        self.line = deque(one for one in self.line if not one.turn.done())
        self.look = None
        if self.line:
            self._look_later()

    def leave(self) -> None:
        """The call is over, in whatever way: its place is that of the first in line."""
        while self.line:
            turn = self.line.popleft().turn
            if not turn.done():
                self.moved_at = _now()
                turn.set_result(None)
                return
        self.free += 1

    def blame(self, error: TransportError, timeout_s: float) -> None:
        """The call failed: is it the upstream's fault?"""
        in_vain = error.trouble in ("timeout", "connect", "lost")
        if in_vain and timeout_s >= self.limits.fair_s:
            self._fail()

    def note(self, status: int) -> None:
        """How a call was answered."""
        if status in UNAVAILABLE:
            self._fail()
        else:
            self.failures = 0

    def _fail(self) -> None:
        self.failures += 1
        if self.failures == self.limits.failures:
            self.next_probe_at = _now() + self.limits.probe_every_s

    def told_to_wait(self) -> Answer | None:
        """The upstream's answer, as long as its `Retry-After` lasts."""
        answer = self.quiet_answer
        if answer is None:
            return None
        left_s = self.quiet_until - _now()
        if left_s <= 0:
            self.quiet_answer = None
            return None
        headers = {**answer.headers, "retry-after": str(int(left_s) + 1)}
        return Answer(answer.status, headers, answer.body)

    def heed(self, answer: Answer) -> None:
        """Note a `Retry-After` in seconds; its form with a date is in nobody's use."""
        wait = answer.headers.get("retry-after", "")
        if wait.isascii() and wait.isdigit():
            seconds = min(float(wait), LONGEST_RETRY_AFTER_S)
            self.quiet_until, self.quiet_answer = _now() + seconds, answer

    def _probe(self) -> None:
        """The circuit is open, but for one call now and then."""
        if _now() < self.next_probe_at:
            raise TransportError("circuit", "the circuit is open", sent=False)
        # By the clock and not one after the other: a probe may itself hang.
        self.next_probe_at = _now() + self.limits.probe_every_s


@dataclass(slots=True)
class RetryBudget:
    """Repetitions allowed: one for every ten calls, and a few to begin with."""

    share: float = 0.1
    most: float = 10.0
    left: float = 10.0

    def deposit(self) -> None:
        """A call went out while there were not `most` left."""
        self.left = min(self.most, self.left + self.share)

    def take(self) -> bool:
        """True if one more repetition is allowed."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
