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
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from typing import Final

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
from .transport import (
    NO_HEADERS,
    Answer,
    HTTPLimits,
    Incoming,
    Outgoing,
    Standing,
    Transport,
    TransportError,
)
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

READS: Final = frozenset({"GET", "HEAD"})
# What a restarting upstream or the proxy before it says (flux.md §6: retryable).
MOMENTARY: Final = frozenset({502, 503})
# With a longer target a 502 means its length and comes again (flux.md §13.1).
LONGEST_REPEATED_TARGET: Final = 3000
# Whoever failed together must not come back together.
LONGEST_PAUSE_S: Final = 0.1
_AFTER_SCHEME: Final = len("https://")
# More sets of headers than any client sends.
_MOST_STANDING: Final = 64


class _Call(msgspec.Struct, frozen=True):
    """One call of a client; it may go over the wire a few times."""

    outgoing: Outgoing
    operation: str
    scope: CallScope
    repeatable: bool

    def bearing(self, token: str) -> "_Call":
        """The same with this token, instead of any other."""
        outgoing = msgspec.structs.replace(self.outgoing, token=token)
        return msgspec.structs.replace(self, outgoing=outgoing)


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
        base_url = base_url.rstrip("/")
        slash = base_url.find("/", _AFTER_SCHEME)
        self._base = base_url if slash < 0 else base_url[:slash]
        self._path = base_url.removeprefix(self._base)
        self._standing: dict[tuple[object, ...], Standing] = {}
        self._transport = transport
        self._total_s = limits.total_s
        self._most_bytes = limits.max_response_bytes
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
        token = person = None
        if auth is not None:
            token, person = await auth.token(), auth.person
        repeatable = method in READS if idempotent is None else idempotent
        outgoing = Outgoing(
            method,
            self._path + target,
            NO_HEADERS,
            body,
            self._base,
            self._standing_with(headers, has_body=body is not None),
            scope.forwarded_for if self._forwards_address else None,
            token,
            None,
            person,
            not repeatable,
            scope.fresh_from,
        )
        call = _Call(outgoing, operation, scope, repeatable)
        response = await self._deliver(call)
        if auth is None or token is None or not self._token_refused(response):
            return response
        replacement = await auth.replacement(token)
        if replacement is None:
            return response
        return await self._deliver(call.bearing(replacement))

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
        outgoing = Outgoing(
            method,
            self._path + target,
            {**self._default_headers, **headers},
            base=self._base,
            forwarded_for=scope.forwarded_for if self._forwards_address else None,
            writes=method not in READS,
            fresh_from=scope.fresh_from,
        )
        call = _Call(outgoing, operation, scope, method in READS)
        if content is None:
            incoming = await self._opened(call)
        else:
            incoming = await self._upload(call, content)
        try:
            yield StreamedResponse(incoming, lambda e: self._failure(call, e))
        finally:
            await incoming.aclose()

    async def aclose(self) -> None:
        """Close the pool."""
        await self._transport.aclose()

    def _standing_with(self, headers: Mapping[str, str], *, has_body: bool) -> Standing:
        """These and the default ones, the same each time."""
        key = (has_body, *headers.items())
        standing = self._standing.get(key)
        if standing is None:
            fields = {**self._default_headers, **headers}
            if has_body:
                fields["Content-Type"] = "application/json"
            standing = Standing(fields)
            if len(self._standing) < _MOST_STANDING:
                self._standing[key] = standing
        return standing

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

    async def _deliver(self, call: _Call) -> Response:
        """Attempt, and repeat what may be repeated; each attempt is recorded."""
        self._retries.deposit()
        loop, scope, outgoing = self._loop(), call.scope, call.outgoing
        started = loop.time()
        ends_at = started + self._total_s
        if scope.deadline < ends_at:
            ends_at = scope.deadline
        reader = scope.begin_read(loop) if call.repeatable else None
        broke = answered = False
        try:
            while True:
                status, shared = None, False
                try:
                    left_s = _left(started, ends_at)
                    try:
                        answer = await self._transport.exchange(
                            outgoing, timeout_s=left_s, max_bytes=self._most_bytes
                        )
                        status, shared = answer.status, answer.shared
                    finally:
                        self._record(call, started, status, shared)
                except TransportError as error:
                    if broke or not await self._mends(call, error, ends_at):
                        raise self._failure(call, error) from error
                    broke = True
                    _let_go(error)
                else:
                    response = self._response(call, answer)
                    if status not in MOMENTARY or answered:
                        return response
                    if not await self._passes(call, response, ends_at):
                        return response
                    broke, answered = False, True
                started = loop.time()
        finally:
            if reader is not None:
                scope.end_read(reader)

    def _response(self, call: _Call, answer: Answer) -> Response:
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

    async def _mends(self, call: _Call, error: TransportError, ends_at: float) -> bool:
        """True, after a pause, if the connection broke and the call may go again."""
        broke = error.trouble in ("connect", "lost")
        return broke and await self._may_repeat(call, ends_at)

    async def _passes(self, call: _Call, response: Response, ends_at: float) -> bool:
        """True, after a pause, if it was the trouble of a moment and the call may go
        again: not if the upstream names a time to wait, or the length may be at fault.
        """
        waits = response.headers.get("retry-after", "0") != "0"
        momentary = not waits and len(call.outgoing.url) < LONGEST_REPEATED_TARGET
        return momentary and await self._may_repeat(call, ends_at)

    async def _may_repeat(self, call: _Call, ends_at: float) -> bool:
        """True, after a pause of random length, if the call may go out again."""
        pause_s = random.uniform(0, LONGEST_PAUSE_S)  # noqa: S311 - no secret
        in_time = self._loop().time() + pause_s < ends_at
        if not (call.repeatable and in_time and self._retries.take()):
            return False
        await asyncio.sleep(pause_s)
        return True

    async def _opened(self, call: _Call) -> Incoming:
        """Attempt once, and once more if the connection broke."""
        now = self._loop().time()
        ends_at = min(now + self._total_s, call.scope.deadline)
        try:
            return await self._open(call, ends_at)
        except TransportError as error:
            if not await self._mends(call, error, ends_at):
                raise self._failure(call, error) from error
        try:
            return await self._open(call, ends_at)
        except TransportError as error:
            raise self._failure(call, error) from error

    async def _open(self, call: _Call, ends_at: float) -> Incoming:
        """One attempt up to status and headers, recorded."""
        started, status = self._loop().time(), None
        left_s = _left(started, ends_at)
        try:
            incoming = await self._transport.open(call.outgoing, timeout_s=left_s)
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

    def _record(
        self, call: _Call, started: float, status: int | None, shared: bool = False
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


def _let_go(error: BaseException) -> None:
    """Forget where it arose: those frames hold it, and it them, once it is over."""
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one.__traceback__ is not None:
            one.__traceback__ = None
            left += (one.__cause__, one.__context__)


def _left(now: float, ends_at: float) -> float:
    """Raises: TransportError when it is nothing."""
    if now >= ends_at:
        raise TransportError("timeout", "no time left to call", sent=False)
    return ends_at - now
