"""One HTTP exchange: the request read whole, its body parsed, the answer sent.

Used by `router.py`. Relies on sections 1 and 8 of conduit.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope, Send

from .answers import Answer
from .failures import MiddlewareError
from .limits import address_of

MAX_BODY_BYTES = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, its body read."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    address: str

    @property
    def segments(self) -> tuple[str, ...]:
        """The path in parts; one slash at its end does not count."""
        return tuple(self.path.removeprefix("/").removesuffix("/").split("/"))


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Read the request to its end; beyond the limit the body is only counted."""
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
    }
    body = bytearray()
    while (message := await receive())["type"] == "http.request":
        if len(body) <= MAX_BODY_BYTES:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=bytes(body),
        address=address_of(headers, client[0] if client else ""),
    )


async def send_answer(send: Send, request: Request, answer: Answer) -> None:
    """Send it, as 304 when the client has it already, without a body for HEAD."""
    status, body = answer.status, answer.body
    headers = list(answer.headers)
    etag = dict(headers).get(b"etag")
    asked = request.headers.get("if-none-match", "")
    if (
        etag is not None
        and status == 200
        and request.method in ("GET", "HEAD")
        and etag.decode() in (tag.strip() for tag in asked.split(","))
    ):
        status, body = 304, b""
        headers = [each for each in headers if each[0] != b"content-type"]
    else:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if request.method == "HEAD":
        body = b""
    await send({"type": "http.response.body", "body": body})


def parsed_body(request: Request) -> object:
    """JSON or form fields, else nothing. Raises: MiddlewareError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not request.body or kind not in (
        "application/json",
        "application/x-www-form-urlencoded",
    ):
        return {}
    if len(request.body) > MAX_BODY_BYTES:
        raise MiddlewareError(413, "request entity too large", parsing=True)
    if kind != "application/json":
        return dict(parse_qsl(request.body.decode("utf-8", "replace")))
    try:
        value: object = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict | list):
        # V8's words for an object that starts wrongly; the others are not imitated.
        text = "Expected property name or '}' in JSON at position 1 (line 1 column 2)"
        raise MiddlewareError(400, text, parsing=True)
    return value
