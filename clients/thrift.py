"""What keeps calls few: `ThriftyTransport` joins equal reads and spends the budget.

Put around the other transports of one upstream by `server/resources.py`; `http.py`
does not know it is there. A read without a body joins an equal one of the same person
when that one

* has not been sent yet (it waits for the budget), or was sent after whoever joins had
  begun and had its last answer (`Outgoing.fresh_from`): so nothing is older than the
  request that shows it, and nothing that a request shows is older than what it has
  seen before;
* and no write of that person has begun or ended since the one began.

Equal means the same method, URL and headers, all of them: token, `Cache-Control`,
profile, the client's address. With `COALESCE=inflight` requests begin with a
`fresh_from` of zero and join also what was sent before them: the answer is then older
than the request by at most that read's own latency. Writes of other processes are not
known here; what they changed is missed for no longer than that.

A lone read costs a few look-ups, no task and no turn of the event loop.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Final

import msgspec

from .budget import Budget
from .errors import RateLimitedError
from .own_loop import own_loop
from .transport import Answer, Incoming, Outgoing, Transport, TransportError

_READS: Final = frozenset({"GET", "HEAD"})
_RENEWAL: Final = "/authentication/renew"
# Nobody counts these, and being out of budget is not being out of order.
_PROBES: Final = ("/health", "/ready")


def refused_for_all(answer: Answer) -> bool:
    """Whether it says that the budget of the whole upstream is used up."""
    return answer.status == 429


class ThriftyTransport:
    """A `Transport` that makes fewer calls.

    `budget` None spends without counting; `spent` tells the refusals that mean the
    budget from those that mean one route.
    """

    def __init__(
        self,
        inner: Transport,
        *,
        budget: Budget | None = None,
        spent: Callable[[Answer], bool] = refused_for_all,
    ) -> None:
        self._inner = inner
        self._budget = budget
        self._spent = spent
        # Those under way of each person, the newest at the end.
        self._reads: dict[str, list[_Read]] = {}
        self._loop = own_loop()

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        """See `Transport.exchange`. Raises also: RateLimitedError, nothing sent."""
        person = request.person
        if person is None or request.body is not None or request.method not in _READS:
            if request.writes:
                return await self._write(request, timeout_s, max_bytes)
            return await self._send(request, None, timeout_s, max_bytes)
        reads = self._reads.get(person)
        if reads is None:
            reads = self._reads[person] = []
        elif (read := _equal(request, reads)) and read.fits(request.fresh_from):
            return await self._join(read, request, timeout_s, max_bytes)
        own, answer, failure = _Read(request), None, None
        reads.append(own)
        try:
            answer = await self._send(request, own, timeout_s, max_bytes)
            return answer
        except (TransportError, RateLimitedError) as error:
            failure = error
            raise
        finally:
            reads.remove(own)
            if not reads and self._reads.get(person) is reads:
                del self._reads[person]
            if own.waiting:
                own.end(answer, failure)

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        """See `Transport.open`."""
        return await self._inner.open(request, timeout_s=timeout_s)

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        """See `Transport.upload`."""
        return await self._inner.upload(request, content)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        if self._budget is not None:
            await self._budget.aclose()
        await self._inner.aclose()

    async def _write(
        self, request: Outgoing, timeout_s: float, max_bytes: int
    ) -> Answer:
        """Before it and after it nobody joins what began before.

        After it too: a read that was sent meanwhile may not have seen the write.
        """
        person = request.person or ""
        self._reads.pop(person, None)
        try:
            return await self._send(request, None, timeout_s, max_bytes)
        finally:
            self._reads.pop(person, None)

    async def _join(
        self, read: "_Read", request: Outgoing, timeout_s: float, max_bytes: int
    ) -> Answer:
        """The other's answer, within one's own time; failing that one's own call."""
        loop = self._loop()
        ends_at = loop.time() + timeout_s
        answer = None
        try:
            async with asyncio.timeout_at(ends_at):
                answer = await read.join()
        except TimeoutError:
            raise TransportError("timeout", "no answer in time", sent=True) from None
        except RateLimitedError as error:
            # Who began later may wait longer.
            if (error.retry_after_s or 0) > ends_at - loop.time():
                raise
        if answer is not None:
            return Answer(answer.status, answer.headers, answer.body, shared=True)
        left_s = ends_at - loop.time()
        if left_s <= 0:
            raise TransportError("timeout", "no time left to call", sent=False)
        return await self.exchange(request, timeout_s=left_s, max_bytes=max_bytes)

    def _send(
        self,
        request: Outgoing,
        read: "_Read | None",
        timeout_s: float,
        max_bytes: int,
    ) -> Awaitable[Answer]:
        """`read` is that which others may join; None if nobody may."""
        budget = self._budget
        if budget is not None and not request.target.endswith(_PROBES):
            return self._pay_and_send(budget, request, read, timeout_s, max_bytes)
        if read is not None:
            read.sent_at = self._loop().time()
        return self._inner.exchange(request, timeout_s=timeout_s, max_bytes=max_bytes)

    async def _pay_and_send(
        self,
        budget: Budget,
        request: Outgoing,
        read: "_Read | None",
        timeout_s: float,
        max_bytes: int,
    ) -> Answer:
        # Conduit counts by the address that is passed on to it (conduit.md §8).
        payer, left_s = request.forwarded_for or "", timeout_s
        if not budget.gives(payer):
            urgent = request.target.endswith(_RENEWAL)
            left_s = await budget.take(payer, timeout_s=timeout_s, urgent=urgent)
        if read is not None:
            read.sent_at = self._loop().time()
        try:
            answer = await self._inner.exchange(
                request, timeout_s=left_s, max_bytes=max_bytes
            )
        except TransportError as error:
            if not error.sent:
                budget.give_back(payer)
            raise
        if self._spent(answer):
            budget.refused(payer, _retry_after_s(answer))
        return answer


class _Read(msgspec.Struct, eq=False):
    """A read that others may join, as long as it is in the list."""

    request: Outgoing
    sent_at: float | None = None
    waiting: list[asyncio.Future[Answer | None]] | None = None

    def fits(self, fresh_from: float) -> bool:
        """Whether its answer will not be older than that."""
        return self.sent_at is None or self.sent_at >= fresh_from

    async def join(self) -> Answer | None:
        """Its answer; None if it came to nothing that concerns others.

        Raises: TransportError, RateLimitedError.
        """
        # A future for each, so that one who goes away takes nobody along.
        waiter: asyncio.Future[Answer | None] = (
            asyncio.get_running_loop().create_future()
        )
        if self.waiting is None:
            self.waiting = []
        self.waiting.append(waiter)
        return await waiter

    def end(self, answer: Answer | None, failure: Exception | None) -> None:
        """Tell those who joined.

        Its deadline and its going away were its own: then each asks by itself.
        """
        for waiter in self.waiting or ():
            if waiter.done():
                continue
            if isinstance(failure, RateLimitedError):
                waiter.set_exception(_limited_too(failure))
            elif isinstance(failure, TransportError) and failure.trouble != "timeout":
                again = TransportError(failure.trouble, str(failure), sent=failure.sent)
                waiter.set_exception(again)
            else:
                waiter.set_result(answer)


def _equal(request: Outgoing, reads: list[_Read]) -> _Read | None:
    """The newest of a person's reads that asks for the same in all the same words."""
    for read in reversed(reads):
        other = read.request
        if (
            other.target == request.target
            and other.method == request.method
            and other.base == request.base
            and other.standing is request.standing
            and other.headers == request.headers
            and other.forwarded_for == request.forwarded_for
            and other.token == request.token
        ):
            return read
    return None


def _limited_too(failure: RateLimitedError) -> RateLimitedError:
    return RateLimitedError(
        failure.message, retry_after_s=failure.retry_after_s, service=failure.service
    )


def _retry_after_s(answer: Answer) -> float | None:
    value = answer.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None
