"""What is known of a request while it is served: its id, its upstream calls.

Made by `door.py`, kept in the ASGI scope, filled by the routes, written to the
log when the answer is out. Holds no token, no cookie, no body, no query string.
"""

import re
from contextvars import ContextVar
from random import getrandbits
from typing import Final

import msgspec
from starlette.types import Scope

from clients.http import CallRecord

from .head import Head

REQUEST_ID_HEADER: Final = b"x-request-id"
_SOUND_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
# Of the ASGI scope: its `RequestTrace`, from the door on.
TRACE: Final = "mainstem.trace"

# For log lines written deep below, which have no request at hand.
current_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestTrace(msgspec.Struct, eq=False):
    request_id: str
    calls: list[CallRecord] = []
    error_codes: list[str] = []
    operation: str | None = None


def trace_of(scope: Scope) -> RequestTrace:
    trace: RequestTrace = scope[TRACE]
    return trace


def start_trace(scope: Scope, head: Head) -> RequestTrace:
    """Under the caller's id when it is short and plain, so traces join; else a new one.

    That is no secret: to ask the system for each would take longer than all of this.
    """
    given = head.get(REQUEST_ID_HEADER)
    sound = given is not None and _SOUND_ID.fullmatch(given)
    request_id = sound[0].decode("ascii") if sound else f"{getrandbits(128):032x}"
    trace = scope[TRACE] = RequestTrace(request_id)
    return trace
