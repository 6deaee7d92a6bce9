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
from .exchange import Auth, CallRecord, CallScope, Response, Sending, milliseconds
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
    "Sending",
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
        token: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        json: object = msgspec.UNSET,
        idempotent: bool | None = None,
        told_within: bool = False,
        check: Callable[[Response], None] | None = None,
    ) -> Response:
        """Send and read the whole answer, whatever its status.

        `target` is the encoded path and query. `headers` are few and the same for
        many: they are kept, so a token goes by `auth`, or else by `token`. A GET, a
        HEAD or what is said to be `idempotent` is repeated once when its connection
        broke and once when the answer was 502 or 503, and any call once when its token
        was refused and `auth` has a new one. `told_within`: an answer of 2xx may say
        that it was. `check` is given what is no success, to raise what it means, and
        with `told_within` a success too.

        Raises: UpstreamUnavailableError, UpstreamTimeoutError (both with
        `outcome_unknown` for writes), UpstreamMisconfiguredError (TLS),
        UpstreamResponseError (not HTTP, too large), and what `auth` raises.
        """
        scope.admit(self.service, operation)
        body = None if json is msgspec.UNSET else self._encoded(json, operation)
        person = None
        if auth is not None:
            token, person = await auth.token(), auth.person
        writes = method not in READS if idempotent is None else not idempotent
        alike = (body is not None, *headers.items())
        request = Outgoing(
            method,
            self._path + target,
            NO_HEADERS,
            body,
            self._base,
            self._standing.get(alike) or self._new_standing(alike, headers),
            scope.forwarded_for if self._forwards_address else None,
            token,
            person,
            writes,
            scope.fresh_from,
            operation,
        )
        answer = await self._deliver(request, scope)
        response = Response(
            answer.status, answer.headers, answer.body, self.service, operation, writes
        )
        if 200 <= response.status < 300 and not told_within:
            return response
        if auth is not None and token is not None and self._token_refused(response):
            response = await self._with_another(token, request, scope, auth, response)
        if check is not None:
            check(response)
        return response

    async def _with_another(
        self,
        token: str,
        request: Outgoing,
        scope: CallScope,
        auth: Auth,
        refusal: Response,
    ) -> Response:
        """The same with another token than this one, if `auth` has one."""
        replacement = await auth.replacement(token)
        if replacement is None:
            return refusal
        request = msgspec.structs.replace(request, token=replacement)
        answer = await self._deliver(request, scope)
        return msgspec.structs.replace(
            refusal, status=answer.status, headers=answer.headers, body=answer.body
        )

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
        request = Outgoing(
            method,
            self._path + target,
            {**self._default_headers, **headers},
            base=self._base,
            forwarded_for=scope.forwarded_for if self._forwards_address else None,
            writes=method not in READS,
            fresh_from=scope.fresh_from,
            operation=operation,
        )
        if content is None:
            incoming = await self._opened(request, scope)
        else:
            incoming = await self._upload(request, scope, content)
        try:
            yield StreamedResponse(incoming, lambda e: self._failure(request, e))
        finally:
            await incoming.aclose()

    async def aclose(self) -> None:
        """Close the pool."""
        await self._transport.aclose()

    def _new_standing(
        self, alike: tuple[object, ...], headers: Mapping[str, str]
    ) -> Standing:
        """The fields of all that are `alike`: with a body or not, and these headers."""
        fields = {**self._default_headers, **headers}
        if alike[0]:
            fields["Content-Type"] = "application/json"
        standing = Standing(fields)
        if len(self._standing) < _MOST_STANDING:
            self._standing[alike] = standing
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

    async def _deliver(
        self,
        request: Outgoing,
        scope: CallScope,
        *,
        ends_at: float = 0.0,
        broke: bool = False,
        answered: bool = False,
    ) -> Answer:
        """Attempt, recorded, and go on with what may be repeated.

        What it did before: `broke`, its connection; `answered`, by a trouble of a
        moment. `ends_at` stays the same for all attempts; it comes with the first.
        """
        loop = self._loop()
        started = loop.time()
        answer, status, shared = None, None, False
        if not ends_at:
            ends_at = started + self._total_s
            if scope.deadline < ends_at:
                ends_at = scope.deadline
            if self._retries.left < self._retries.most:
                self._retries.deposit()
        if started >= ends_at:
            raise self._failure(request, _no_time_left())
        reader = None if request.writes else scope.begin_read(loop)
        try:
            try:
                answer = await self._transport.exchange(
                    request, timeout_s=ends_at - started, max_bytes=self._most_bytes
                )
                status, shared = answer.status, answer.shared
            finally:
                now, what = loop.time(), request.operation
                scope.record(self.service, what, status, started, now, shared)
            if "content-encoding" in answer.headers:
                self._check_coding(request, answer)
            if (
                status not in MOMENTARY
                or answered
                or not await self._passes(request, answer, ends_at)
            ):
                return answer
        except TransportError as error:
            if broke or not await self._mends(request, error, ends_at):
                raise self._failure(request, error) from error
            _let_go(error)
        finally:
            if reader is not None:
                scope.reads.discard(reader)
        broke = answer is None
        answered = answered or not broke
        return await self._deliver(
            request, scope, ends_at=ends_at, broke=broke, answered=answered
        )

    def _check_coding(self, request: Outgoing, answer: Answer) -> None:
        """Raises: UpstreamResponseError."""
        if answer.headers["content-encoding"] != "identity":
            raise self._broken(request, "the answer is compressed, unasked")

    async def _mends(
        self, request: Outgoing, error: TransportError, ends_at: float
    ) -> bool:
        """True, after a pause, if the connection broke and the call may go again."""
        broke = error.trouble in ("connect", "lost")
        return broke and await self._may_repeat(request, ends_at)

    async def _passes(self, request: Outgoing, answer: Answer, ends_at: float) -> bool:
        """True, after a pause, if it was the trouble of a moment and the call may go
        again: not if the upstream names a time to wait, or the length may be at fault.
        """
        waits = answer.headers.get("retry-after", "0") != "0"
        momentary = not waits and len(request.url) < LONGEST_REPEATED_TARGET
        return momentary and await self._may_repeat(request, ends_at)

    async def _may_repeat(self, request: Outgoing, ends_at: float) -> bool:
        """True, after a pause of random length, if the call may go out again."""
        pause_s = random.uniform(0, LONGEST_PAUSE_S)  # noqa: S311 - no secret
        in_time = self._loop().time() + pause_s < ends_at
        if request.writes or not in_time or not self._retries.take():
            return False
        await asyncio.sleep(pause_s)
        return True

    async def _opened(self, request: Outgoing, scope: CallScope) -> Incoming:
        """Attempt once, and once more if the connection broke."""
        now = self._loop().time()
        ends_at = min(now + self._total_s, scope.deadline)
        try:
            return await self._open(request, scope, ends_at)
        except TransportError as error:
            if not await self._mends(request, error, ends_at):
                raise self._failure(request, error) from error
        try:
            return await self._open(request, scope, ends_at)
        except TransportError as error:
            raise self._failure(request, error) from error

    async def _open(
        self, request: Outgoing, scope: CallScope, ends_at: float
    ) -> Incoming:
        """One attempt up to status and headers, recorded."""
        started, status = self._loop().time(), None
        if started >= ends_at:
            raise _no_time_left()
        left_s = ends_at - started
        try:
            incoming = await self._transport.open(request, timeout_s=left_s)
            status = incoming.status
            return incoming
        finally:
            self._record(request, scope, status, started)

    async def _upload(
        self, request: Outgoing, scope: CallScope, content: AsyncIterable[bytes]
    ) -> Incoming:
        """The only attempt, recorded; its content cannot be had again."""
        started, status = self._loop().time(), None
        try:
            incoming = await self._transport.upload(request, content)
            status = incoming.status
            return incoming
        except TransportError as error:
            raise self._failure(request, error) from error
        finally:
            self._record(request, scope, status, started)

    def _record(
        self, request: Outgoing, scope: CallScope, status: int | None, started: float
    ) -> None:
        now = self._loop().time()
        scope.record(self.service, request.operation, status, started, now)

    def _broken(self, request: Outgoing, why: str) -> UpstreamResponseError:
        return UpstreamResponseError(
            f"{request.operation}: {why}",
            service=self.service,
            operation=request.operation,
        )

    def _failure(self, request: Outgoing, error: TransportError) -> UpstreamError:
        message = f"{request.operation}: {error}"
        if error.trouble in ("malformed", "oversize"):
            return self._broken(request, str(error))
        if error.trouble == "untrusted":
            return UpstreamMisconfiguredError(
                f"{message} (a private CA needs CA_BUNDLE)",
                service=self.service,
                operation=request.operation,
            )
        timed_out = error.trouble == "timeout"
        kind = UpstreamTimeoutError if timed_out else UpstreamUnavailableError
        return kind(
            message,
            outcome_unknown=error.sent and request.writes,
            service=self.service,
            operation=request.operation,
        )


def _let_go(error: BaseException) -> None:
    """Forget where it arose: those frames hold it, and it them, once it is over."""
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one.__traceback__ is not None:
            one.__traceback__ = None
            left += (one.__cause__, one.__context__)


def _no_time_left() -> TransportError:
    return TransportError("timeout", "no time left to call", sent=False)
