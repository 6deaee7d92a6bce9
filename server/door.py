"""What every request passes before a route: id, guard, session; and its way out.

In one step, since each layer more costs every request. From the outside in:

* the headers that every answer carries (`security_headers.py`);
* an id, one log line, and the last resort: an exception that nobody caught becomes a
  500 under the request id, its text goes to the log only (`telemetry.py`);
* who may call, with what, and how much of it; a `RefusalError` raised further in
  becomes the answer (`guard.py`);
* the session of the cookie or bearer value, read late and written back (`cookies.py`).
"""

import logging
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from session.cookie import SessionCookie

from .cookies import LateSession, put_session
from .guard import (
    BoundedBody,
    Guard,
    answer_preflight,
    is_preflight,
    open_to,
    vary_by_origin,
)
from .head import DIRECT, Answer, FixedHeaders, RawHeaders, head_of
from .refusals import RefusalCode, RefusalError, send_refusal
from .security_headers import SecurityHeaders
from .telemetry import REQUEST_ID_HEADER, log_request, request_id_of
from .trace import current_request_id, start_trace

_ID_HEADER = REQUEST_ID_HEADER.encode()

log = logging.getLogger("mainstem.request")


class Door:
    """The one middleware, around `/graphql` and around the router of all else."""

    def __init__(
        self, app: ASGIApp, *, cookie: SessionCookie, guard: Guard, production: bool
    ) -> None:
        self._app = app
        self._cookie = cookie
        self._guard = guard
        self._fixed = _Fixed(SecurityHeaders(production=production))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = head_of(scope)
        trace = start_trace(scope, request_id_of(head))
        session = put_session(scope, LateSession(self._cookie, head))
        origin = head.find("origin")
        allowed = self._guard.allows(origin, head)
        # Taken out of the scope, to which it leads back: a cycle for the collector.
        direct = (scope.get("extensions") or {}).pop(DIRECT, None)
        reader = origin if allowed else None
        parting = _Parting(self._fixed, session, reader, trace.request_id)
        answer = Answer(send, parting, direct)
        context_token = current_request_id.set(trace.request_id)
        started = time.perf_counter()
        try:
            if is_preflight(head):
                await answer_preflight(answer, allowed=allowed)
            else:
                guard, method = self._guard, scope["method"]
                guard.check(method, head, allowed=allowed)
                most = guard.largest_body(method, head)
                await self._app(scope, BoundedBody(receive, direct, head, most), answer)
        except Exception as failure:
            await _tell(scope, answer, failure)
        finally:
            log_request(scope, trace, answer, time.perf_counter() - started)
            current_request_id.reset(context_token)


class _Fixed:
    """What all answers of a server carry."""

    def __init__(self, security: SecurityHeaders) -> None:
        self._security = security
        self._lines: dict[FixedHeaders, bytes] = {}

    def complete(self, headers: RawHeaders) -> None:
        vary_by_origin(headers)
        self._security.add_to(headers)

    def lines(self, fixed: FixedHeaders) -> bytes:
        """Only for what routes name once and for all: each stays here."""
        lines = self._lines.get(fixed)
        if lines is None:
            headers = [*fixed]
            self.complete(headers)
            lines = b"".join(b"%b: %b\r\n" % each for each in headers)
            self._lines[fixed] = lines
        return lines


class _Parting:
    """`head.Parting` of one request; `origin` is of a page that may read the answer."""

    __slots__ = ("_origin", "_request_id", "_session", "complete", "lines")

    def __init__(
        self, fixed: _Fixed, session: LateSession, origin: str | None, request_id: str
    ) -> None:
        self.complete = fixed.complete
        self.lines = fixed.lines
        self._session = session
        self._origin = origin
        self._request_id = request_id

    def own(self) -> RawHeaders:
        headers = [(_ID_HEADER, self._request_id.encode())]
        self._session.finish(headers)
        if self._origin:
            open_to(self._origin, headers)
        return headers


async def _tell(scope: Scope, answer: Answer, failure: Exception) -> None:
    """Called while `failure` is handled; raises it again once the head is out."""
    if not isinstance(failure, RefusalError) or answer.started:
        log.exception("unexpected failure")
        if answer.started:
            raise failure  # only cutting the connection tells the client now
        failure = RefusalError(
            500, RefusalCode.INTERNAL_SERVER_ERROR, "Something went wrong here."
        )
    await send_refusal(scope, answer, failure)
