"""The one port to the network: every call to an upstream passes here.

`UpstreamHTTP` (one per upstream and process, made by `server/resources.py`) adds what
every call needs: the deadline, repetitions of a read that failed for the moment (each
after a pause of random length, out of a budget), one repetition with a new token, a
bound on the answer's size, a record per call. It knows no upstream; what an answer
means is read in `clients/<upstream>/failures.py`.

Beneath it stands a `Transport` (`transport.py`), which owns the connections. The
types of what goes in and out (`exchange.py`) are to be imported from here.

Failures: flux.md §5 (keep-alive of 5 s, unknown outcome), conduit.md §8, §9.
"""

import asyncio
import contextlib
import random
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
)
from typing import Final, TypeVar

import msgspec

from .errors import (
    InvalidInputError,
    Service,
    UpstreamError,
    UpstreamMisconfiguredError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from .exchange import Auth, CallRecord, CallScope, Response, milliseconds
from .own_loop import own_loop
from .resilience import RetryBudget
from .transport import HTTPLimits, Incoming, Outgoing, Transport, TransportError
from .transports import TransportName, open_transport

__all__ = [
    "NO_HEADERS",
    "Auth",
    "CallRecord",
    "CallScope",
    "HTTPLimits",
    "Response",
    "StreamedResponse",
    "Transport",
    "TransportName",
    "UpstreamHTTP",
    "milliseconds",
    "open_transport",
]

T = TypeVar("T")

NO_HEADERS: Final[Mapping[str, str]] = {}
READS: Final = frozenset({"GET", "HEAD"})
# What a restarting upstream or the proxy before it says (flux.md §6: retryable).
MOMENTARY: Final = frozenset({502, 503})
# With a longer target a 502 means its length and comes again (flux.md §13.1).
LONGEST_REPEATED_TARGET: Final = 3000
# Whoever failed together must not come back together.
LONGEST_PAUSE_S: Final = 0.1


class _Call(msgspec.Struct, frozen=True):
    """One call of a client; it may go over the wire a few times."""

    outgoing: Outgoing
    operation: str
    scope: CallScope
    repeatable: bool

    def bear(self, token: str) -> None:
        """Go out with this token, instead of any other."""
        self.outgoing.headers["Authorization"] = f"Bearer {token}"


class StreamedResponse:
    """An answer whose body is read by the caller, chunk by chunk."""

    def __init__(
        self,
        incoming: Incoming,
        failure: Callable[[TransportError], UpstreamError],
    ) -> None:
        self._incoming = incoming
        self._failure = failure
        self.status = incoming.status
        self.headers = incoming.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The raw body as it comes, unbounded; each chunk within `read_s`.

        Raises: UpstreamUnavailableError, UpstreamTimeoutError.
        """
        try:
            async for chunk in self._incoming.chunks():
                yield chunk
        except TransportError as error:
            raise self._failure(error) from error


class UpstreamHTTP:
    """One upstream: its address, its pool, its bounds."""

    def __init__(
        self,
        service: Service,
        base_url: str,
        transport: Transport,
        limits: HTTPLimits,
        default_headers: Mapping[str, str] = NO_HEADERS,
        token_refused: Callable[[Response], bool] = lambda _: False,
        *,
        forwards_address: bool = False,
    ) -> None:
        """`token_refused` reads an answer to a call that carried a token."""
        self.service = service
        self._base_url = base_url.rstrip("/")
        self._transport = transport
        self._limits = limits
        # No compression is asked for: bodies stay bounded by what is counted here.
        self._default_headers = {"Accept-Encoding": "identity", **default_headers}
        self._token_refused = token_refused
        self._forwards_address = forwards_address
        self._retries = RetryBudget()
        self._loop = own_loop()

    async def send(
        self,
        method: str,
        target: str,
        *,
        operation: str,
        scope: CallScope,
        auth: Auth | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        json: object = msgspec.UNSET,
        idempotent: bool | None = None,
    ) -> Response:
        """Send and read the whole answer, whatever its status.

        `target` is the encoded path and query. A GET, a HEAD or what is said to be
        `idempotent` is repeated once when its connection broke and once when the
        answer was 502 or 503, and any call once when its token was refused and `auth`
        has a new one.

        Raises: UpstreamUnavailableError, UpstreamTimeoutError (both with
        `outcome_unknown` for writes), UpstreamMisconfiguredError (TLS),
        UpstreamResponseError (not HTTP, too large), and what `auth` raises.
        """
        scope.admit(self.service, operation)
        body = None if json is msgspec.UNSET else self._encoded(json, operation)
        token = await auth.token() if auth is not None else None
        person = auth.person if auth is not None else None
        call = self._call(
            method, target, operation, scope, headers, body, idempotent, person
        )
        if auth is None or token is None:
            return await self._deliver(call)
        call.bear(token)
        response = await self._deliver(call)
        if not self._token_refused(response):
            return response
        replacement = await auth.replacement(token)
        if replacement is None:
            return response
        call.bear(replacement)
        return await self._deliver(call)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        target: str,
        *,
        operation: str,
        scope: CallScope,
        headers: Mapping[str, str] = NO_HEADERS,
        content: AsyncIterable[bytes] | None = None,
    ) -> AsyncIterator[StreamedResponse]:
        """Send without a token; the body is read by the caller, in any time.

        Status and headers of a download come within the deadline, each chunk within
        `read_s`. An upload has no time-out but the one per chunk, and no repetition.

        Raises: as `send`, on entering and while reading.
        """
        scope.admit(self.service, operation)
        call = self._call(method, target, operation, scope, headers, None, None)
        if content is None:
            incoming = await self._repeating(call, self._open, self._end(scope))
        else:
            incoming = await self._upload(call, content)
        try:
            yield StreamedResponse(incoming, lambda e: self._failure(call, e))
        finally:
            await incoming.aclose()

    async def aclose(self) -> None:
        """Close the pool."""
        await self._transport.aclose()

    def _call(
        self,
        method: str,
        target: str,
        operation: str,
        scope: CallScope,
        headers: Mapping[str, str],
        body: bytes | None,
        idempotent: bool | None,
        person: str | None = None,
    ) -> _Call:
        all_headers = {**self._default_headers, **headers}
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        if self._forwards_address and scope.forwarded_for is not None:
            all_headers["X-Forwarded-For"] = scope.forwarded_for
        repeatable = method in READS if idempotent is None else idempotent
        outgoing = Outgoing(
            method,
            self._base_url + target,
            all_headers,
            body,
            person=person,
            writes=not repeatable,
            fresh_from=scope.fresh_from,
        )
        return _Call(outgoing, operation, scope, repeatable)

    def _encoded(self, json: object, operation: str) -> bytes:
        try:
            return msgspec.json.encode(json)
        except UnicodeEncodeError:
            raise InvalidInputError(
                f"{operation}: a lone surrogate in the body",
                public_message="A text is not valid Unicode.",
                service=self.service,
                operation=operation,
            ) from None

    def _end(self, scope: CallScope) -> float:
        now = self._loop().time()
        return min(now + self._limits.total_s, scope.deadline)

    async def _deliver(self, call: _Call) -> Response:
        self._retries.deposit()
        ends_at = self._end(call.scope)
        reader = call.scope.begin_read(self._loop()) if call.repeatable else None
        try:
            # As `_repeating` does it, which would cost every call a coroutine more.
            try:
                response = await self._exchange(call, ends_at)
            except TransportError as error:
                response = await self._again(call, self._exchange, ends_at, error)
            if response.status not in MOMENTARY or not _is_momentary(call, response):
                return response
            if not await self._may_repeat(call, ends_at):
                return response
            return await self._repeating(call, self._exchange, ends_at)
        finally:
            if reader is not None:
                call.scope.end_read(reader)

    async def _repeating(
        self,
        call: _Call,
        attempt: Callable[[_Call, float], Awaitable[T]],
        ends_at: float,
    ) -> T:
        """Attempt once, and `_again` if the connection broke."""
        try:
            return await attempt(call, ends_at)
        except TransportError as error:
            return await self._again(call, attempt, ends_at, error)

    async def _again(
        self,
        call: _Call,
        attempt: Callable[[_Call, float], Awaitable[T]],
        ends_at: float,
        first: TransportError,
    ) -> T:
        """Once more after `first`, if the connection broke and it does no harm."""
        broke = first.trouble in ("connect", "lost")
        if not (broke and await self._may_repeat(call, ends_at)):
            raise self._failure(call, first) from first
        try:
            return await attempt(call, ends_at)
        except TransportError as error:
            raise self._failure(call, error) from error

    async def _may_repeat(self, call: _Call, ends_at: float) -> bool:
        """True, after a pause of random length, if the call may go out again."""
        pause_s = random.uniform(0, LONGEST_PAUSE_S)  # noqa: S311 - no secret
        in_time = self._loop().time() + pause_s < ends_at
        if not (call.repeatable and in_time and self._retries.take()):
            return False
        await asyncio.sleep(pause_s)
        return True

    async def _exchange(self, call: _Call, ends_at: float) -> Response:
        """One attempt with its whole body, recorded."""
        started, status, shared = self._start(ends_at), None, False
        try:
            answer = await self._transport.exchange(
                call.outgoing,
                timeout_s=ends_at - started,
                max_bytes=self._limits.max_response_bytes,
            )
            status, shared = answer.status, answer.shared
        finally:
            self._record(call, started, status, shared=shared)
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise self._broken(call, "the answer is compressed, unasked")
        return Response(
            answer.status,
            answer.headers,
            answer.body,
            self.service,
            call.operation,
            call.outgoing.writes,
        )

    async def _open(self, call: _Call, ends_at: float) -> Incoming:
        """One attempt up to status and headers, recorded."""
        started, status = self._start(ends_at), None
        try:
            incoming = await self._transport.open(
                call.outgoing, timeout_s=ends_at - started
            )
            status = incoming.status
            return incoming
        finally:
            self._record(call, started, status)

    async def _upload(self, call: _Call, content: AsyncIterable[bytes]) -> Incoming:
        """The only attempt, recorded; its content cannot be had again."""
        started, status = self._loop().time(), None
        try:
            incoming = await self._transport.upload(call.outgoing, content)
            status = incoming.status
            return incoming
        except TransportError as error:
            raise self._failure(call, error) from error
        finally:
            self._record(call, started, status)

    def _start(self, ends_at: float) -> float:
        now = self._loop().time()
        if now >= ends_at:
            raise TransportError("timeout", "no time left to call", sent=False)
        return now

    def _record(
        self,
        call: _Call,
        started: float,
        status: int | None,
        *,
        shared: bool = False,
    ) -> None:
        now = self._loop().time()
        ms = milliseconds(now - started)
        record = CallRecord(self.service, call.operation, status, ms, shared)
        call.scope.record(record, at=now)

    def _broken(self, call: _Call, why: str) -> UpstreamResponseError:
        return UpstreamResponseError(
            f"{call.operation}: {why}", service=self.service, operation=call.operation
        )

    def _failure(self, call: _Call, error: TransportError) -> UpstreamError:
        message = f"{call.operation}: {error}"
        if error.trouble in ("malformed", "oversize"):
            return self._broken(call, str(error))
        if error.trouble == "untrusted":
            return UpstreamMisconfiguredError(
                f"{message} (a private CA needs CA_BUNDLE)",
                service=self.service,
                operation=call.operation,
            )
        timed_out = error.trouble == "timeout"
        kind = UpstreamTimeoutError if timed_out else UpstreamUnavailableError
        return kind(
            message,
            outcome_unknown=error.sent and call.outgoing.writes,
            service=self.service,
            operation=call.operation,
        )


def _is_momentary(call: _Call, response: Response) -> bool:
    """Not if the upstream names a time to wait, or if the length may be at fault."""
    if response.status not in MOMENTARY:
        return False
    waits = response.headers.get("retry-after", "0") != "0"
    return not waits and len(call.outgoing.url) < LONGEST_REPEATED_TARGET
