"""Outermost middleware: a request id, one log line per request, the last resort.

The line tells method, path, status, times, the upstream calls and error codes. It
holds no query string, header, cookie, body or person. An exception that nobody
caught becomes a 500 under the request id; its text goes to the log only.
"""

import logging
import os
import re
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from clients.http import CallRecord

from .head import Answer, Head, answer_of, head_of
from .logs import record_of
from .refusals import RefusalCode, RefusalError, send_refusal
from .trace import RequestTrace, current_request_id, start_trace

REQUEST_ID_HEADER = "x-request-id"
_SOUND_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_HEALTH_PREFIX = "/health/"

log = logging.getLogger("mainstem.request")


class TelemetryMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = start_trace(scope, request_id_of(head_of(scope)))
        context_token = current_request_id.set(trace.request_id)
        id_header = (REQUEST_ID_HEADER.encode(), trace.request_id.encode())
        answer = answer_of(scope, send)
        answer.finish_with(lambda headers: headers.append(id_header))
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            log.exception("unexpected failure")
            if answer.started:
                raise  # the head is out: only cutting the connection tells the client
            await send_refusal(
                scope,
                answer.send,
                RefusalError(
                    500, RefusalCode.INTERNAL_SERVER_ERROR, "Something went wrong here."
                ),
            )
        finally:
            _log_request(scope, trace, answer, time.perf_counter() - started)
            current_request_id.reset(context_token)


def request_id_of(head: Head) -> str:
    """The caller's id when it is short and plain, so traces join; else a new one."""
    given = head.find(REQUEST_ID_HEADER)
    if given is not None and _SOUND_ID.fullmatch(given):
        return given
    return os.urandom(16).hex()


def _log_request(
    scope: Scope, trace: RequestTrace, answer: Answer, duration_s: float
) -> None:
    path: str = scope["path"]
    level = logging.DEBUG if path.startswith(_HEALTH_PREFIX) else logging.INFO
    if not log.isEnabledFor(level):
        return
    fields = {
        "method": scope["method"],
        "path": path[:200],
        "status": answer.status,
        "durationMs": round(duration_s * 1000, 2),
        "sentBytes": answer.sent_bytes,
        "operation": trace.operation,
        "errorCodes": trace.error_codes,
        "upstreamCalls": [_call(call) for call in trace.calls],
    }
    log.handle(record_of(log.name, level, "request", fields))


def _call(call: CallRecord) -> dict[str, object]:
    told: dict[str, object] = {
        "service": call.service,
        "operation": call.operation,
        "status": call.status,
        "ms": round(call.duration_s * 1000, 2),
    }
    return {**told, "shared": True} if call.shared else told
