"""What is known of a request while it is served: its id, its upstream calls.

Made by `door.py`, kept in the ASGI scope, filled by the routes, written to the
log when the answer is out. Holds no token, no cookie, no body, no query string.
"""

from contextvars import ContextVar
from typing import Final

import msgspec
from starlette.types import Scope

from clients.http import CallRecord

REQUEST_ID_HEADER: Final = b"x-request-id"
_KEY: Final = "mainstem.trace"

# For log lines written deep below, which have no request at hand.
current_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestTrace(msgspec.Struct, eq=False):
    request_id: str
    calls: list[CallRecord] = []
    error_codes: list[str] = []
    operation: str | None = None


def trace_of(scope: Scope) -> RequestTrace:
    trace: RequestTrace = scope[_KEY]
    return trace


def start_trace(scope: Scope, request_id: str) -> RequestTrace:
    trace = scope[_KEY] = RequestTrace(request_id)
    return trace
