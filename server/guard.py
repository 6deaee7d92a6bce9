"""Who may call, with what, and how much of it. Asked by `door.py`.

* CORS by list. Only this server's own origin and `CORS_ORIGINS` may call with the
  cookie; an unsafe request from any other origin is refused before it is read.
* Cross-site request forgery: an unsafe request that carries the session cookie must be
  one that a browser would not send across sites unasked: a JSON body, or a header that
  needs a preflight (`PREFLIGHT_HEADERS`).
* The body is bounded while it arrives, also when it does not say its length.
"""

import asyncio
from contextlib import suppress

import msgspec
from starlette.types import Message, Receive, Send

from .head import Direct, Head, RawHeaders
from .media_types import JSON
from .refusals import RefusalCode, RefusalError, send_whole
from .settings import GuardSettings

# A cross-site page cannot set any of these without a preflight, which we refuse.
PREFLIGHT_HEADERS = (
    b"graphql-require-preflight",
    b"apollo-require-preflight",
    b"x-apollo-operation-name",
    b"x-requested-with",
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MULTIPART = "multipart/form-data"
SIMPLE_TYPES = frozenset(
    {"", "application/x-www-form-urlencoded", MULTIPART, "text/plain"}
)
PREFLIGHT_MAX_AGE_S = 600
DRAIN_BYTES = 4 * 1024 * 1024
DRAIN_S = 1.0
ALLOWED_HEADERS = (
    "authorization",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "if-range",
    "range",
    "x-request-id",
    *(name.decode() for name in PREFLIGHT_HEADERS),
)
EXPOSED_HEADERS = (
    "content-disposition",
    "content-range",
    "etag",
    "retry-after",
    "x-request-id",
)


class Guard:
    """The rules of one server."""

    def __init__(
        self, settings: GuardSettings, *, cookie_name: str, upload_bytes: int = 0
    ) -> None:
        """`upload_bytes`: of the file in an upload; its other parts are bounded too."""
        self.cors_origins = settings.cors_origins
        self._upload_bytes = upload_bytes
        self._max_body_bytes = settings.max_body_bytes
        self._cookie_name = cookie_name

    def admit(self, method: str, head: Head, *, allowed: bool) -> int:
        """How many bytes the body may have, for a request of a page that is `allowed`.

        Raises: RefusalError 403 for what a page may not have sent, 413.
        """
        if method not in SAFE_METHODS:
            if not allowed:
                raise _origin_not_allowed()
            # Nearly all send JSON, which no page can send unasked.
            if head.media_type != JSON and is_forgeable(head, self._cookie_name):
                raise preflight_required()
        most = self._max_body_bytes
        if method == "PUT" or head.media_type == MULTIPART:
            most += self._upload_bytes
        declared = head.get(b"content-length", b"")
        # `int` takes no more than 4300 digits, zeros in front included.
        if declared.isdigit() and (len(declared) > 20 or int(declared) > most):
            raise _too_large(most)
        return most


def _origin_not_allowed() -> RefusalError:
    return RefusalError(
        403,
        RefusalCode.ORIGIN_NOT_ALLOWED,
        "This origin may not call this server.",
    )


def vary_by_origin(headers: RawHeaders) -> None:
    """Caches must not hand one origin's answer to another."""
    for index, (name, value) in enumerate(headers):
        if name == b"vary":
            headers[index] = (name, value + b", Origin")
            return
    headers.append((b"vary", b"Origin"))


def open_to(origin: bytes, headers: RawHeaders) -> None:
    """Lets the pages of an origin read the answer."""
    headers += [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", ", ".join(EXPOSED_HEADERS).encode()),
    ]


class BoundedBody(msgspec.Struct, eq=False):
    """An ASGI `receive` that refuses the body once it has more than `most` bytes.

    Where there is a `direct`, it may have the whole body at once.
    """

    _receive: Receive
    direct: Direct | None
    most: int
    _seen: int = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self.most:
                await self._let_finish(message)
                raise _too_large(self.most)
        return message

    async def _let_finish(self, message: Message) -> None:
        """Throw a little more away: who is still sending does not hear a refusal.

        Closing with bytes unread resets the connection, and the answer is lost.
        """
        end = self._seen + DRAIN_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while message.get("more_body", False) and self._seen < end:
                    message = await self._receive()
                    self._seen += len(message.get("body", b""))


def _too_large(limit: int) -> RefusalError:
    # The rest of the body is not read, so the connection cannot be used again.
    return RefusalError(
        413,
        RefusalCode.PAYLOAD_TOO_LARGE,
        f"The body is larger than {limit} bytes.",
        headers={"connection": "close"},
    )


def is_preflight(head: Head) -> bool:
    """A browser asks before a request that a page could not send unasked.

    So it does for a page, which has an origin.
    """
    return b"access-control-request-method" in head


async def answer_preflight(send: Send, *, allowed: bool) -> None:
    """Raises: RefusalError 403."""
    if not allowed:
        raise _origin_not_allowed()
    await send_whole(
        send,
        204,
        {
            "access-control-allow-methods": "GET, HEAD, POST, PUT",
            "access-control-allow-headers": ", ".join(ALLOWED_HEADERS),
            "access-control-max-age": str(PREFLIGHT_MAX_AGE_S),
            "vary": "Access-Control-Request-Headers",
        },
        b"",
    )


def is_allowed(head: Head, cors_origins: frozenset[str]) -> bool:
    """True if this page, or nobody's page, may call.

    No origin: not a browser's page, which has nobody's cookie to abuse.
    """
    if b"origin" not in head:
        return True
    origin = head.text(b"origin")
    if origin in cors_origins:
        return True
    # The scheme is not compared: behind a TLS proxy this server does not know it.
    # `null` has no host, and so is nobody's, not even of a request without Host.
    host = origin.partition("://")[2].lower()
    return host != "" and host == head.text(b"host").lower()


def is_forgeable(head: Head, cookie_name: str) -> bool:
    """Could a page of another site have sent this, with the session's cookie?"""
    return (
        head.media_type in SIMPLE_TYPES
        and not any(name in head for name in PREFLIGHT_HEADERS)
        and _carries_cookie(head, cookie_name)
    )


def _carries_cookie(head: Head, cookie_name: str) -> bool:
    """True if the session cookie would count: it is there and no bearer is."""
    # A proxy that speaks HTTP/2 may hand on one cookie a header.
    sent = head.joined(b"cookie", b"; ")
    return cookie_name in sent and bearer_value(head) is None


def bearer_value(head: Head) -> str | None:
    """Of `Authorization: Bearer`; it takes the place of all cookies, even if empty."""
    sent = head.get(b"authorization")
    if sent is None:
        return None
    kind, _, value = sent.decode("latin-1").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None


def preflight_required() -> RefusalError:
    return RefusalError(
        403,
        RefusalCode.PREFLIGHT_REQUIRED,
        "A request with the session cookie needs Content-Type: application/json or "
        f"the header {PREFLIGHT_HEADERS[0].decode()}: 1.",
    )
