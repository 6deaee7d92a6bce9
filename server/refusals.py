"""Refusals of the door itself: requests that never become an operation.

Raised by the guard, the GraphQL endpoint and the preview route; turned into an answer
by the guard, the outermost that may still speak. All bodies have one shape, that of a
GraphQL error, so a client needs one reader. Codes are documented in docs/errors.md.
"""

from collections.abc import Mapping
from enum import StrEnum

import orjson
from starlette.types import Scope, Send

from .trace import trace_of


class RefusalCode(StrEnum):
    """Codes of the door; those of operations are in `schema/errors.py`."""

    BAD_REQUEST = "BAD_REQUEST"
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"
    ORIGIN_NOT_ALLOWED = "ORIGIN_NOT_ALLOWED"
    PREFLIGHT_REQUIRED = "PREFLIGHT_REQUIRED"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    TOO_MANY_SUBSCRIPTIONS = "TOO_MANY_SUBSCRIPTIONS"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    DOCUMENT_NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"
    RATE_LIMITED = "RATE_LIMITED"
    SERVER_BUSY = "SERVER_BUSY"
    RESPONSE_TOO_LARGE = "RESPONSE_TOO_LARGE"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


class RefusalError(Exception):
    """The request is not served; `message` is written by us and safe to show."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = str(code)
        self.message = message
        self.headers = dict(headers or {})
        # What `extensions` tell beside code and request id (docs/errors.md).
        self.details: dict[str, object] = {}


def bad_request(message: str) -> RefusalError:
    return RefusalError(400, RefusalCode.BAD_REQUEST, message)


def method_not_allowed(*allowed: str) -> RefusalError:
    return RefusalError(
        405,
        RefusalCode.METHOD_NOT_ALLOWED,
        f"Use {' or '.join(allowed)}.",
        headers={"allow": ", ".join(allowed)},
    )


def error_of(scope: Scope, refusal: RefusalError) -> dict[str, object]:
    """The refusal in the shape of a GraphQL error."""
    extensions: dict[str, object] = {
        "code": refusal.code,
        "requestId": trace_of(scope).request_id,
        **refusal.details,
    }
    return {"message": refusal.message, "extensions": extensions}


async def send_refusal(scope: Scope, send: Send, refusal: RefusalError) -> None:
    """Answer with the refusal; a HEAD gets the headers only."""
    trace = trace_of(scope)
    trace.error_codes.append(refusal.code)
    body = orjson.dumps({"errors": [error_of(scope, refusal)]})
    headers = {
        "content-type": "application/json; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        **refusal.headers,
    }
    await send_whole(
        send,
        refusal.status,
        headers,
        b"" if scope["method"] == "HEAD" else body,
    )


async def send_whole(
    send: Send,
    status: int,
    headers: Mapping[str, str] | list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    """One complete answer."""
    raw = (
        headers
        if isinstance(headers, list)
        else [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]
    )
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
