"""A request's id, and its one log line. Both asked for by `door.py`.

The line tells method, path, status, times, the upstream calls and error codes. It
holds no query string, header, cookie, body or person.
"""

import logging
import re
from random import getrandbits

from starlette.types import Scope

from clients.http import milliseconds

from .answer import Answer
from .head import Head
from .logs import Line, blot
from .trace import REQUEST_ID_HEADER

_SOUND_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_HEALTH_PREFIX = "/health/"

_log = logging.getLogger("mainstem.request")
_REQUEST = Line(_log, logging.INFO, "request")
_PROBE = Line(_log, logging.DEBUG, "request")


def request_id_of(head: Head) -> str:
    """The caller's id when it is short and plain, so traces join; else a new one."""
    given = head.get(REQUEST_ID_HEADER)
    if given is not None and _SOUND_ID.fullmatch(given):
        return given.decode("ascii")
    # No secret: to ask the system for each would take longer than all of this.
    return f"{getrandbits(128):032x}"


def log_request(scope: Scope, answer: Answer, duration_s: float) -> None:
    """Probes are told only to who wants to know everything."""
    path, trace = scope["path"], answer.trace
    line = _PROBE if path.startswith(_HEALTH_PREFIX) else _REQUEST
    fields = {
        "method": scope["method"],
        "path": blot(path[:200]),
        "status": answer.status,
        "durationMs": milliseconds(duration_s),
        "sentBytes": answer.sent_bytes,
        "operation": trace.operation,
        "errorCodes": trace.error_codes,
        "upstreamCalls": trace.calls,
    }
    line.write(fields)
