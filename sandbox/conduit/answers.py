"""Answers as bytes: JSON, HTML pages, plain texts, each with its usual headers.

Used by `router.py`. Relies on "Error bodies" in section 1 of conduit.md and on the
headers of all recordings.
"""

import base64
import hashlib
import html
from dataclasses import dataclass, field
from urllib.parse import quote

import orjson

from .failures import BadParametersError, MiddlewareError, ModuleError

Headers = list[tuple[bytes, bytes]]

CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-credentials", b"true"),
    (
        b"access-control-expose-headers",
        b"Content-Type,Authorization,Cache-Control",
    ),
]
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET,HEAD,PUT,PATCH,POST,DELETE"),
    (b"access-control-allow-headers", b"Content-Type,Authorization,Cache-Control"),
    (b"access-control-max-age", b"86400"),
]
POWERED_BY = (b"x-powered-by", b"Express")
_JSON = b"application/json; charset=utf-8"
_HTML = b"text/html; charset=utf-8"
_PAGE = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    "<title>Error</title>\n</head>\n<body>\n<pre>{}</pre>\n</body>\n</html>\n"
)


@dataclass(slots=True)
class Answer:
    """A whole answer, before HEAD and If-None-Match are looked at."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)


def json_answer(
    value: object, *, status: int = 200, cache_control: str | None = None
) -> Answer:
    """JSON with its ETag."""
    body = orjson.dumps(value)
    headers = [*CORS, (b"content-type", _JSON), (b"etag", _etag(body))]
    if cache_control is not None:
        headers.append((b"cache-control", cache_control.encode()))
    return Answer(status, body, headers)


def not_found(method: str, path: str) -> Answer:
    """No such route."""
    return _page(404, f"Cannot {method} {path}")


def redirect(url: str) -> Answer:
    """A 302 as Express makes it."""
    location = quote(url, safe=":/?#[]@!$&'()*+,;=%~")
    headers = [
        *CORS,
        (b"location", location.encode()),
        (b"vary", b"Accept"),
        (b"content-type", b"text/plain; charset=utf-8"),
    ]
    return Answer(302, f"Found. Redirecting to {location}".encode(), headers)


def preflight() -> Answer:
    """What OPTIONS gets, whatever the path."""
    return Answer(204, b"", [POWERED_BY, *CORS, *PREFLIGHT])


def refusal(error: Exception) -> Answer:
    """One of the families of error bodies."""
    match error:
        case ModuleError():
            return json_answer(error.body(), status=error.status)
        case BadParametersError():
            return _page(400, "Bad Request")
        case MiddlewareError():
            body = error.text.encode()
            first = [POWERED_BY] if error.parsing else CORS
            headers = [*first, (b"content-type", _HTML), (b"etag", _etag(body))]
            return Answer(error.status, body, headers)
        case _:
            raise error


def _page(status: int, text: str) -> Answer:
    headers = [*CORS, (b"content-type", _HTML)]
    return Answer(status, _PAGE.format(html.escape(text)).encode(), headers)


def _etag(body: bytes) -> bytes:
    """Express' weak tag: the length and 27 letters of the SHA-1."""
    digest = hashlib.sha1(body, usedforsecurity=False).digest()
    return b'W/"%x-%s"' % (len(body), base64.b64encode(digest)[:27])
