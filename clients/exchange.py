"""What a call to an upstream carries with it, and what it brings back.

Made by `server/context.py` (the scope) and `session/auth.py` (the auth), filled by
`http.py`, read by both clients.
"""

import asyncio
import math
from collections.abc import Coroutine, Mapping
from typing import Final, Protocol, TypeVar

import msgspec

from .errors import MESSAGE_LIMIT, Service, TooManyCallsError, UpstreamResponseError

T = TypeVar("T")


class Auth(Protocol):
    """Gives a call its bearer token; implemented in `session/auth.py`."""

    @property
    def person(self) -> str | None:
        """Whose token it is; equal reads of one person at one time are made once."""

    async def token(self) -> str | None:
        """The bearer value without the word; None sends no Authorization header."""

    async def replacement(self, refused: str) -> str | None:
        """The upstream refused `refused`: a new token to repeat with once, or None."""


class CallRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One call, as it is logged; `status` is None when no whole answer came.

    `shared`: it did not go over the wire; an equal one of the same person did, and
    stands without this mark in the record of the request that sent it.
    """

    service: Service
    operation: str
    status: int | None
    ms: float  # see `milliseconds`
    shared: bool = False


def milliseconds(seconds: float) -> float:
    """In hundredths; `round` takes five times as long."""
    return (seconds * 100_000 + 0.5) // 1 / 100


class CallScope(msgspec.Struct, eq=False):
    """What the upstream calls of one GraphQL request share.

    `deadline` is in the event loop's time. `forwarded_for` is the client's address,
    passed on to Conduit, which limits calls per address (conduit.md §8).
    `max_calls` bounds them all; None does not. `fresh_from`, in the loop's time: what
    an upstream was asked for before may not be shown any more. It begins with the
    request and moves on with every answer, so that what is read later is never older.
    """

    request_id: str
    deadline: float
    forwarded_for: str | None = None
    calls: list[CallRecord] = []
    max_calls: int | None = None
    started: int = 0
    fresh_from: float = math.inf
    reads: set[asyncio.Task[object]] = set()

    def admit(self, service: Service, operation: str) -> None:
        """Count a call that is to be made. Raises: TooManyCallsError."""
        self.started += 1
        if self.max_calls is not None and self.started > self.max_calls:
            raise TooManyCallsError(
                f"{operation}: more than {self.max_calls} calls",
                service=service,
                operation=operation,
            )

    def begin_read(
        self, loop: asyncio.AbstractEventLoop | None = None
    ) -> asyncio.Task[object] | None:
        """A read that `abandon` may cut short, in the task that runs it.

        `loop` is the running one, if it is known. What is returned is to be taken out
        of `reads` in the end; None: within a read that has begun.
        """
        task = asyncio.current_task(loop)
        if task is None or task in self.reads:
            return None
        self.reads.add(task)
        return task

    def record(
        self,
        service: Service,
        operation: str,
        status: int | None,
        started: float,
        now: float,
        shared: bool = False,
    ) -> None:
        """Keep what became of a call; whatever is read from now on must be newer."""
        ms = milliseconds(now - started)
        self.calls.append(CallRecord(service, operation, status, ms, shared))
        if now > self.fresh_from:
            self.fresh_from = now

    def begin_anew(self) -> None:
        """What is read from now on must not have been asked for before."""
        self.fresh_from = asyncio.get_running_loop().time()

    def abandon(self) -> None:
        """The client is gone: its reads end now, its writes and renewals go on."""
        self.max_calls = 0
        for task in tuple(self.reads):
            task.cancel()

    @classmethod
    def for_background(cls, timeout_s: float, request_id: str) -> "CallScope":
        """A scope of its own, for work that outlives its request (renewals)."""
        now = asyncio.get_running_loop().time()
        return cls(request_id=request_id, deadline=now + timeout_s, fresh_from=now)


class Response(msgspec.Struct, frozen=True, gc=False):
    """A whole answer, whatever its status. Header names are in lower case.

    `writes`: what was asked for may change something upstream.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    service: Service | None = None
    operation: str | None = None
    writes: bool = False

    def __repr__(self) -> str:
        """Without the body, which may hold tokens."""
        return f"<Response {self.status}, {self.operation!r}>"

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; may be empty."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> object:
        """The body as plain JSON values. Raises: UpstreamResponseError."""
        return self.decode(_ANY_JSON)

    def decode(self, decoder: msgspec.json.Decoder[T]) -> T:
        """The body as the decoder's type, strictly. Raises: UpstreamResponseError.

        The message names the place and the types, never a value: the body of a
        sign-in holds tokens.
        """
        try:
            return decoder.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.nonsense(str(error)) from None

    def nonsense(self, why: str) -> UpstreamResponseError:
        """The exception for an answer that breaks the upstream's contract."""
        return UpstreamResponseError(
            f"{self.operation}: unexpected answer, status {self.status}: {why}",
            service=self.service,
            operation=self.operation,
            status=self.status,
        )

    def preview(self) -> str:
        """The first 300 characters of the body, for our log only."""
        return self.body[: MESSAGE_LIMIT * 4].decode("utf-8", "replace")[:MESSAGE_LIMIT]


# A call that goes out when it is awaited.
Sending = Coroutine[object, object, Response]

_ANY_JSON: Final = msgspec.json.Decoder()
