"""A request's one log line, asked for by `door.py`.

The line tells method, path, status, times, the upstream calls and error codes. It
holds no query string, header, cookie, body or person.
"""

import logging

from starlette.types import Scope

from clients.http import milliseconds

from .answer import Answer
from .logs import Line, blot

_HEALTH_PREFIX = "/health/"

_log = logging.getLogger("mainstem.request")
_FIELDS = (
    "method",
    "path",
    "status",
    "durationMs",
    "sentBytes",
    "operation",
    "errorCodes",
    "upstreamCalls",
)
_REQUEST = Line(_log, logging.INFO, "request", _FIELDS)
_PROBE = Line(_log, logging.DEBUG, "request", _FIELDS)


def log_request(scope: Scope, answer: Answer, duration_s: float) -> None:
    """Probes are told only to who wants to know everything."""
    line, path, trace = _REQUEST, scope["path"][:200], answer.trace
    if not path[1:].isalnum():  # as `/graphql` is
        if path.startswith(_HEALTH_PREFIX):
            line = _PROBE
        path = blot(path)
    line.write(
        scope["method"],
        path,
        answer.status,
        milliseconds(duration_s),
        answer.sent_bytes,
        trace.operation,
        trace.error_codes,
        trace.calls,
    )
