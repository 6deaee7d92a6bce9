"""`RedisReader`: the reads of all requests, sent together over one connection.

Used by `session/redis_vault.py` for GET and HGET of one Redis server, and by
`session/broadcast.py`, over a connection of its own, for PUBLISH; everything else, and
everything over Sentinel or Cluster, goes through redis-py. redis-py opens the
connection too (TCP, TLS or socket file, AUTH, SELECT by the address); then this module
takes its transport over, because redis-py awaits each answer of a connection before
the next question and costs 90 µs of CPU a read (docs/decisions/0013).

What holds:

* What is asked within one turn of the event loop is written at once; answers belong to
  the questions in their order. A question whose waiters have gone keeps its place.
* A connection that owes an answer for `answer_s` is dropped, and a question that finds
  none within `connect_s + answer_s` is refused. One timer looks after all of them, and
  after the deadlines of their requests.
* When the connection breaks, unanswered questions are asked once more, being reads (or
  words, which do no harm when they are heard twice).
* Every failure is a VaultUnavailableError, a deadline UpstreamTimeoutError.
"""

import asyncio
import contextvars
import logging
import math
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, TypeVar, cast

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    InvalidResponse,
    RedisError,
    ResponseError,
    TimeoutError,
)

from clients.errors import UpstreamTimeoutError, VaultUnavailableError
from clients.own_loop import own_loop

from .outage import Outage
from .shared_read import SharedRead

T = TypeVar("T")

# Each is a name of some hundred bytes, so the bound on them bounds the send buffer.
MOST_WAITING: Final = 4096
TICK_S: Final = 0.05
# A timer this late tells of a process that stood still: answers may lie unread.
LATE_S: Final = 0.5

# What Redis says while it cannot serve anybody; anything else concerns one question.
_NOT_SERVING: Final[dict[str, type[RedisError]]] = {
    "LOADING": BusyLoadingError,
    "NOAUTH": AuthenticationError,
}
_UNFINISHED: Final = object()
_COMMAND: Final = attrgetter("command")

log = logging.getLogger("mainstem.session")


class _Question(SharedRead[T], kw_only=True, eq=False):
    command: bytes
    # In event loop time.
    since: float
    deadline: float
    lost: Callable[[Exception], None] | None
    asked_again: bool = False

    def fail(self, error: Exception) -> None:
        if self.lost is not None and not self.done:
            self.lost(error)
        super().fail(error)

    def refuse(self, error: Exception) -> None:
        # Its text may hold an address, never a value.
        message = f"{type(error).__name__}: {error}"
        self.fail(VaultUnavailableError(message, service="vault"))


class _Line(asyncio.Protocol):
    """One open connection; `lost` is set when it is not open any more."""

    def __init__(self, transport: asyncio.Transport, outage: Outage) -> None:
        self.unanswered: deque[_Question[Any]] = deque()
        self.lost = asyncio.Event()
        self.write = transport.write
        self.abort = transport.abort
        # It is closing before it tells that it is lost.
        self.is_closing = transport.is_closing
        self._outage = outage
        self._parser = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=_refusal,
            notEnoughData=_UNFINISHED,
        )
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
            while (answer := self._parser.gets()) is not _UNFINISHED:
                if not self.unanswered:
                    raise InvalidResponse("an answer that nobody asked for")
                question = self.unanswered.popleft()
                if isinstance(answer, RedisError):
                    self._refuse(question, answer)
                else:
                    if self._outage.pause_s:
                        self._outage.ended()
                    question.settle(answer)
        except InvalidResponse:
            # Whose answer is whose cannot be told any more.
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def _refuse(self, question: _Question[Any], answer: RedisError) -> None:
        question.refuse(answer)
        if not isinstance(answer, ResponseError):
            self._outage.failed()
        if isinstance(answer, AuthenticationError):
            # The next question finds a new connection, which logs in.
            self.abort()


class RedisReader:
    """One per process and Redis; connects when something is asked."""

    def __init__(self, pool: ConnectionPool, outage: Outage) -> None:
        """`pool`: only makes connections, by the address and options it was given."""
        self._pool = pool
        self._outage = outage
        self._answer_s: float = pool.connection_kwargs["socket_timeout"]
        self._connect_s: float = pool.connection_kwargs["socket_connect_timeout"]
        self._unsent: list[_Question[Any]] = []
        self._line: _Line | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop = own_loop()

    def ask(
        self,
        *command: str | bytes,
        convert: Callable[[Any], T],
        deadline: float = math.inf,
        lost: Callable[[Exception], None] | None = None,
    ) -> SharedRead[T]:
        """Ask with the others of this turn; `deadline` in event loop time. `lost` hears
        why there is no answer, where nobody awaits one.

        Raises: VaultUnavailableError at once during an outage and beyond the bound.
        """
        if self._outage.pause_s:
            self._outage.check()
        line = self._line
        waiting = len(self._unsent) + (len(line.unanswered) if line else 0)
        if self._closed or waiting >= MOST_WAITING:
            raise VaultUnavailableError("closed, or too many wait", service="vault")
        loop = self._loop()
        question = _Question(
            convert,
            loop,
            command=hiredis.pack_command(command),  # type: ignore[arg-type]  # a tuple of one
            since=loop.time(),
            deadline=deadline,
            lost=lost,
        )
        if not self._unsent:
            loop.call_soon(self._send)
        self._unsent.append(question)
        if self._timer is None:
            self._timer = loop.call_later(TICK_S, self._look_after, question.since)
        return question

    async def aclose(self) -> None:
        """Refuse what waits and hang up."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for question in self._waiting():
            question.refuse(ConnectionError("closed"))
        self._unsent.clear()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})

    def _send(self) -> None:
        if not self._unsent:
            return
        line = self._line
        if line is not None and not line.is_closing():
            line.unanswered.extend(self._unsent)
            line.write(b"".join(map(_COMMAND, self._unsent)))
            self._unsent.clear()
        elif self._connecting is None or self._connecting.done():
            # Not in the context of the request that happens to be first.
            self._connecting = self._loop().create_task(
                self._connect(), context=contextvars.Context()
            )

    async def _connect(self) -> None:
        """One connection after the other, as long as something is to be asked."""
        while self._unsent:
            connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.connect()
                await self._serve(_Line(_transport(connection), self._outage))
            except Exception as error:
                self._outage.failed()
                for question in self._unsent:
                    question.refuse(error)
                self._unsent.clear()
                if not isinstance(error, (RedisError, OSError)):
                    log.error("cannot connect to the vault", exc_info=error)
            finally:
                await connection.disconnect(nowait=True)

    async def _serve(self, line: _Line) -> None:
        """Send what waits and what will be asked, until the connection breaks."""
        if self._closed:
            # On Python 3.11 what connects may have swallowed the cancellation.
            line.abort()
        self._line = line
        try:
            self._send()
            await line.lost.wait()
            self._ask_again(line)
        finally:
            self._line = None
            line.abort()
            async with asyncio.timeout(self._connect_s):
                await line.lost.wait()

    def _ask_again(self, line: _Line) -> None:
        """Once: the next connection may be broken by the very same question."""
        now = self._loop().time()
        for question in line.unanswered:
            if question.asked_again:
                self._outage.failed()
                question.refuse(ConnectionError("the connection broke"))
            if not question.done:
                question.asked_again, question.since = True, now
                self._unsent.append(question)

    def _waiting(self) -> list[_Question[Any]]:
        return [*(self._line.unanswered if self._line else ()), *self._unsent]

    def _look_after(self, set_at: float) -> None:
        """End what has waited too long; runs only while something waits."""
        loop = self._loop()
        now = loop.time()
        if now - set_at < TICK_S + LATE_S:
            self._end_overdue(now)
        again = bool(self._waiting())
        self._timer = loop.call_later(TICK_S, self._look_after, now) if again else None

    def _end_overdue(self, now: float) -> None:
        line = self._line
        if line and line.unanswered and now - line.unanswered[0].since > self._answer_s:
            self._outage.failed()
            line.abort()
        for question in self._unsent:
            if now - question.since > self._connect_s + self._answer_s:
                question.refuse(TimeoutError("no connection in time"))
        for question in self._waiting():
            if now > question.deadline:
                question.fail(UpstreamTimeoutError("vault read at the deadline"))
        self._unsent = [question for question in self._unsent if not question.done]


def _transport(connection: AbstractConnection) -> asyncio.Transport:
    # Private in redis-py, and there is no other way to it.
    writer = connection._writer
    if writer is None:
        raise ConnectionError("closed at once")
    return cast(asyncio.Transport, writer.transport)


def _refusal(text: str) -> RedisError:
    kind = _NOT_SERVING.get(text.partition(" ")[0], ResponseError)
    return kind(text)
