"""The one port to the network: every call to an upstream passes here.

`UpstreamHTTP` (one per upstream and process, made by `server/app.py`) adds what every
call needs: the deadline, one retry of a read whose connection broke, one repetition
with a new token, a bound on the answer's size, a record per call. It knows no
upstream; what an answer means is read in `clients/<upstream>/failures.py`.

Beneath it stands a `Transport` (`transport.py`), which owns the connections. The
types of what goes in and out (`exchange.py`) are to be imported from here.

Failures: flux.md §5 (keep-alive of 5 s, unknown outcome), conduit.md §8, §9.
"""

import asyncio
import contextlib
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
)
from dataclasses import dataclass, replace
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
from .exchange import Auth, CallRecord, CallScope, Response
from .transport import (
    HTTPLimits,
    HttpxTransport,
    Incoming,
    Outgoing,
    Transport,
    TransportError,
    tls_context,
)

__all__ = [
    "Auth",
    "CallRecord",
    "CallScope",
    "HTTPLimits",
    "HttpxTransport",
    "Response",
    "StreamedResponse",
    "Transport",
    "UpstreamHTTP",
    "tls_context",
]

T = TypeVar("T")

NO_HEADERS: Final[Mapping[str, str]] = {}
READS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a client; it may go over the wire up to three times."""

    outgoing: Outgoing
    operation: str
    scope: CallScope
    repeatable: bool

    @property
    def writes(self) -> bool:
        return self.outgoing.method not in READS and not self.repeatable


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

        `target` is the encoded path and query. A call is repeated once when its
        connection broke and it is a GET, a HEAD or said to be `idempotent`, and once
        when its token was refused and `auth` has a new one.

        Raises: UpstreamUnavailableError, UpstreamTimeoutError (both with
        `outcome_unknown` for writes), UpstreamMisconfiguredError (TLS),
        UpstreamResponseError (not HTTP, too large), and what `auth` raises.
        """
        body = None if json is msgspec.UNSET else self._encoded(json, operation)
        token = await auth.token() if auth is not None else None
        call = self._call(method, target, operation, scope, headers, body, idempotent)
        response = await self._deliver(call, token)
        if auth is None or token is None or not self._token_refused(response):
            return response
        replacement = await auth.replacement(token)
        if replacement is None:
            return response
        return await self._deliver(call, replacement)

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
        call = self._call(method, target, operation, scope, headers, content, None)
        ends_at = None if content is not None else self._end(scope)
        incoming = await self._repeating(call, lambda: self._open(call, ends_at))
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
        body: bytes | AsyncIterable[bytes] | None,
        idempotent: bool | None,
    ) -> _Call:
        all_headers = {**self._default_headers, **headers}
        if isinstance(body, bytes):
            all_headers["Content-Type"] = "application/json"
        if self._forwards_address and scope.forwarded_for is not None:
            all_headers["X-Forwarded-For"] = scope.forwarded_for
        return _Call(
            Outgoing(method, self._base_url + target, all_headers, body),
            operation,
            scope,
            repeatable=method in READS if idempotent is None else idempotent,
        )

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
        now = asyncio.get_running_loop().time()
        return min(now + self._limits.total_s, scope.deadline)

    async def _deliver(self, call: _Call, token: str | None) -> Response:
        if token is not None:
            headers = {**call.outgoing.headers, "Authorization": f"Bearer {token}"}
            call = replace(call, outgoing=replace(call.outgoing, headers=headers))
        ends_at = self._end(call.scope)
        return await self._repeating(call, lambda: self._exchange(call, ends_at))

    async def _repeating(self, call: _Call, attempt: Callable[[], Awaitable[T]]) -> T:
        """Attempt once, and once more if the connection broke and it does no harm."""
        try:
            try:
                return await attempt()
            except TransportError as error:
                if not call.repeatable or error.trouble not in ("connect", "lost"):
                    raise
                return await attempt()
        except TransportError as error:
            raise self._failure(call, error) from error

    async def _exchange(self, call: _Call, ends_at: float) -> Response:
        """One attempt with its whole body, recorded."""
        started, status = self._start(ends_at), None
        try:
            async with _within(ends_at):
                incoming = await self._transport.open(call.outgoing)
                status = incoming.status
                try:
                    body = await self._read(call, incoming)
                finally:
                    await incoming.aclose()
        finally:
            self._record(call, started, status)
        return Response(
            status,
            incoming.headers,
            body,
            self.service,
            call.operation,
            call.outgoing.method,
        )

    async def _open(self, call: _Call, ends_at: float | None) -> Incoming:
        """One attempt up to status and headers, recorded."""
        started, status = self._start(ends_at), None
        try:
            async with _within(ends_at):
                incoming = await self._transport.open(call.outgoing)
            status = incoming.status
            return incoming
        finally:
            self._record(call, started, status)

    def _start(self, ends_at: float | None) -> float:
        now = asyncio.get_running_loop().time()
        if ends_at is not None and now >= ends_at:
            raise TransportError("timeout", "no time left to call", sent=False)
        return now

    def _record(self, call: _Call, started: float, status: int | None) -> None:
        duration_s = asyncio.get_running_loop().time() - started
        call.scope.calls.append(
            CallRecord(self.service, call.operation, status, duration_s)
        )

    async def _read(self, call: _Call, incoming: Incoming) -> bytes:
        limit = self._limits.max_response_bytes
        body = bytearray()
        async for chunk in incoming.chunks():
            body += chunk
            if len(body) > limit:
                raise self._broken(call, f"the answer is larger than {limit} bytes")
        if incoming.headers.get("content-encoding", "identity") != "identity":
            raise self._broken(call, "the answer is compressed, unasked")
        return bytes(body)

    def _broken(self, call: _Call, why: str) -> UpstreamResponseError:
        return UpstreamResponseError(
            f"{call.operation}: {why}", service=self.service, operation=call.operation
        )

    def _failure(self, call: _Call, error: TransportError) -> UpstreamError:
        message = f"{call.operation}: {error}"
        if error.trouble == "malformed":
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
            outcome_unknown=error.sent and call.writes,
            service=self.service,
            operation=call.operation,
        )


@contextlib.asynccontextmanager
async def _within(ends_at: float | None) -> AsyncIterator[None]:
    """Bound by a time of the event loop. Raises: TransportError."""
    try:
        async with asyncio.timeout_at(ends_at):
            yield
    except TimeoutError as error:
        raise TransportError("timeout", "no answer in time", sent=True) from error
