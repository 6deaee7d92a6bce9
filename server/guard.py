"""Second middleware: who may call, with what, and how much of it.

* CORS by list. Only this server's own origin and `CORS_ORIGINS` may call with the
  cookie; an unsafe request from any other origin is refused before it is read.
* Cross-site request forgery: an unsafe request that carries the session cookie must be
  one that a browser would not send across sites unasked: a JSON body, or a header that
  needs a preflight (`PREFLIGHT_HEADERS`).
* The body is bounded while it arrives, also when it does not say its length.

It is also where a `RefusalError` raised further in becomes the answer.
"""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .head import Finish, Head, RawHeaders, answer_of, head_of
from .refusals import RefusalCode, RefusalError, send_refusal, send_whole
from .settings import GuardSettings

# A cross-site page cannot set any of these without a preflight, which we refuse.
PREFLIGHT_HEADERS = (
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
    "x-requested-with",
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SIMPLE_TYPES = frozenset(
    {"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}
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
    *PREFLIGHT_HEADERS,
)
EXPOSED_HEADERS = (
    "content-disposition",
    "content-range",
    "etag",
    "retry-after",
    "x-request-id",
)


class GuardMiddleware:
    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: GuardSettings,
        cookie_name: str,
        upload_bytes: int = 0,
    ) -> None:
        """`upload_bytes`: of the file in an upload; its other parts are bounded too."""
        self._app = app
        self._upload_bytes = upload_bytes
        self._settings = settings
        self._cookie_name = cookie_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = head_of(scope)
        origin = head.find("origin")
        allowed = is_allowed(origin, head, self._settings.cors_origins)
        answer = answer_of(scope, send)
        answer.finish_with(_opens_to(origin) if origin and allowed else _vary_by_origin)
        try:
            if origin and "access-control-request-method" in head:
                await _answer_preflight(scope, answer.send, allowed=allowed)
                return
            if scope["method"] not in SAFE_METHODS:
                self._check_unsafe(head, allowed=allowed)
            body = _BoundedBody(receive, head, self._largest_body(scope, head))
            await self._app(scope, body.receive, answer.send)
        except RefusalError as refusal:
            if answer.started:
                raise
            await send_refusal(scope, answer.send, refusal)

    def _largest_body(self, scope: Scope, head: Head) -> int:
        most = self._settings.max_body_bytes
        uploads = scope["method"] == "PUT" or is_multipart(head)
        return most + self._upload_bytes if uploads else most

    def _check_unsafe(self, head: Head, *, allowed: bool) -> None:
        if not allowed:
            raise RefusalError(
                403,
                RefusalCode.ORIGIN_NOT_ALLOWED,
                "This origin may not call this server.",
            )
        if is_simple(head) and carries_cookie(head, self._cookie_name):
            raise preflight_required()


def _vary_by_origin(headers: RawHeaders) -> None:
    """Caches must not hand one origin's answer to another."""
    for index, (name, value) in enumerate(headers):
        if name == b"vary":
            headers[index] = (name, value + b", Origin")
            return
    headers.append((b"vary", b"Origin"))


def _opens_to(origin: str) -> Finish:
    """Lets the pages of an origin read the answer."""
    added = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", ", ".join(EXPOSED_HEADERS).encode()),
    ]

    def finish(headers: RawHeaders) -> None:
        _vary_by_origin(headers)
        headers += added

    return finish


class _BoundedBody:
    """Hands the body on in pieces, refusing it once it is too large or too slow."""

    def __init__(self, receive: Receive, head: Head, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._seen = 0
        declared = head.get("content-length")
        if declared.isdigit() and int(declared) > self._limit:
            raise self._too_large()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._limit:
                await self._let_finish(message)
                raise self._too_large()
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

    def _too_large(self) -> RefusalError:
        # The rest of the body is not read, so the connection cannot be used again.
        return RefusalError(
            413,
            RefusalCode.PAYLOAD_TOO_LARGE,
            f"The body is larger than {self._limit} bytes.",
            headers={"connection": "close"},
        )


async def _answer_preflight(scope: Scope, send: Send, *, allowed: bool) -> None:
    if not allowed:
        raise RefusalError(
            403,
            RefusalCode.ORIGIN_NOT_ALLOWED,
            "This origin may not call this server.",
        )
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


def is_allowed(origin: str | None, head: Head, cors_origins: frozenset[str]) -> bool:
    """No origin: not a browser's page, which has nobody's cookie to abuse."""
    if origin is None or origin in cors_origins:
        return True
    # The scheme is not compared: behind a TLS proxy this server does not know it.
    # `null` has no host, and so is nobody's, not even of a request without Host.
    host = origin.partition("://")[2].lower()
    return host != "" and host == head.get("host").lower()


def is_simple(head: Head) -> bool:
    """Could a page of another site have sent this without a preflight?"""
    return head.media_type in SIMPLE_TYPES and not any(
        name in head for name in PREFLIGHT_HEADERS
    )


def carries_cookie(head: Head, cookie_name: str) -> bool:
    """True if the session cookie would count: it is there and no bearer is."""
    # A proxy that speaks HTTP/2 may hand on one cookie a header.
    sent = "; ".join(head.all("cookie"))
    return cookie_name in sent and not is_bearer(head)


def is_multipart(head: Head) -> bool:
    return head.media_type == "multipart/form-data"


def is_bearer(head: Head) -> bool:
    return head.get("authorization").partition(" ")[0].lower() == "bearer"


def preflight_required() -> RefusalError:
    return RefusalError(
        403,
        RefusalCode.PREFLIGHT_REQUIRED,
        "A request with the session cookie needs Content-Type: application/json or "
        f"the header {PREFLIGHT_HEADERS[0]}: 1.",
    )
