"""What every request passes before a route: id, guard, session; and its way out.

In one step, since each layer more costs every request. From the outside in:

* the headers that every answer carries (`security_headers.py`);
* an id (`trace.py`), one log line (`telemetry.py`), and the last resort: an exception
  that nobody caught becomes a 500 under the request id, its text goes to the log only;
* who may call, with what, and how much of it; a `RefusalError` raised further in
  becomes the answer (`guard.py`);
* the session of the cookie or bearer value, read late and written back (`cookies.py`).
"""

import logging
import time
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from session.cookie import SessionCookie

from .answer import Answer, CommonHeaders
from .cookies import SESSION, LateSession
from .guard import BoundedBody, Guard, answer_preflight, is_allowed, is_preflight
from .head import DIRECT, HEAD, put_head
from .refusals import RefusalCode, RefusalError, send_refusal
from .security_headers import SecurityHeaders
from .telemetry import log_request
from .trace import current_request_id, start_trace

# An ASGI application that may count on what the door hands it, of a request over HTTP.
Route = Callable[[Scope, BoundedBody, Answer], Awaitable[None]]

log = logging.getLogger("mainstem.request")


class Door:
    """The one middleware, around `/graphql` and around the router of all else."""

    def __init__(
        self, route: Route, *, cookie: SessionCookie, guard: Guard, production: bool
    ) -> None:
        self._route = route
        self._cookie = cookie
        self._guard = guard
        self._common = CommonHeaders(SecurityHeaders(production=production))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._route(scope, receive, send)  # type: ignore[arg-type]
            return
        head = scope.get(HEAD) or put_head(scope)
        trace = start_trace(scope, head)
        session = scope[SESSION] = LateSession(self._cookie, head)
        origin = head.get(b"origin")
        allowed = origin is None or is_allowed(head, self._guard.cors_origins)
        # Taken out of the scope, to which it leads back: a cycle for the collector.
        direct = scope.pop(DIRECT, None)
        reader = origin if allowed else None
        answer = Answer(send, direct, self._common, session, reader, trace)
        context_token = current_request_id.set(trace.request_id)
        started = time.perf_counter()
        try:
            if origin and is_preflight(head):
                await answer_preflight(answer, allowed=allowed)
            else:
                most = self._guard.admit(scope["method"], head, allowed=allowed)
                await self._route(scope, BoundedBody(receive, direct, most), answer)
        except Exception as failure:
            await _tell(scope, answer, failure)
        finally:
            log_request(scope, answer, time.perf_counter() - started)
            current_request_id.reset(context_token)


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
