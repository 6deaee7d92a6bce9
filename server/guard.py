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
from collections.abc import Iterable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        allowed = is_allowed(origin, headers, self._settings.cors_origins)
        answer = _GuardedAnswer(send, origin if allowed else None)
        try:
            if origin and "access-control-request-method" in headers:
                await _answer_preflight(scope, answer.send, allowed=allowed)
                return
            if scope["method"] not in SAFE_METHODS:
                self._check_unsafe(headers, allowed=allowed)
            body = _BoundedBody(receive, headers, self._largest_body(scope, headers))
            await self._app(scope, body.receive, answer.send)
        except RefusalError as refusal:
            if answer.started:
                raise
            await send_refusal(scope, answer.send, refusal)

    def _largest_body(self, scope: Scope, headers: Headers) -> int:
        most = self._settings.max_body_bytes
        uploads = scope["method"] == "PUT" or is_multipart(headers)
        return most + self._upload_bytes if uploads else most

    def _check_unsafe(self, headers: Headers, *, allowed: bool) -> None:
        if not allowed:
            raise RefusalError(
                403,
                RefusalCode.ORIGIN_NOT_ALLOWED,
                "This origin may not call this server.",
            )
        if is_simple(headers) and carries_cookie(headers, self._cookie_name):
            raise preflight_required()


class _GuardedAnswer:
    """Adds the CORS headers for an allowed origin."""

    def __init__(self, send: Send, origin: str | None) -> None:
        self._send = send
        self._origin = origin
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(raw=list(message["headers"]))
            headers.add_vary_header("Origin")
            if self._origin is not None:
                headers["access-control-allow-origin"] = self._origin
                headers["access-control-allow-credentials"] = "true"
                headers["access-control-expose-headers"] = ", ".join(EXPOSED_HEADERS)
            message = {**message, "headers": headers.raw}
        await self._send(message)


class _BoundedBody:
    """Hands the body on in pieces, refusing it once it is too large or too slow."""

    def __init__(self, receive: Receive, headers: Headers, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._seen = 0
        declared = headers.get("content-length", "")
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


def is_allowed(
    origin: str | None, headers: Headers, cors_origins: frozenset[str]
) -> bool:
    """No origin: not a browser's page, which has nobody's cookie to abuse."""
    if origin is None or origin in cors_origins:
        return True
    # The scheme is not compared: behind a TLS proxy this server does not know it.
    return origin.partition("://")[2].lower() == headers.get("host", "").lower()


def is_simple(headers: Headers) -> bool:
    """Could a page of another site have sent this without a preflight?"""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type in SIMPLE_TYPES and not _any_present(headers, PREFLIGHT_HEADERS)


def carries_cookie(headers: Headers, cookie_name: str) -> bool:
    """True if the session cookie would count: it is there and no bearer is."""
    # A proxy that speaks HTTP/2 may hand on one cookie a header.
    sent = "; ".join(headers.getlist("cookie"))
    return cookie_name in sent and not is_bearer(headers)


def is_multipart(headers: Headers) -> bool:
    media_type = headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == "multipart/form-data"


def is_bearer(headers: Headers) -> bool:
    return headers.get("authorization", "").partition(" ")[0].lower() == "bearer"


def preflight_required() -> RefusalError:
    return RefusalError(
        403,
        RefusalCode.PREFLIGHT_REQUIRED,
        "A request with the session cookie needs Content-Type: application/json or "
        f"the header {PREFLIGHT_HEADERS[0]}: 1.",
    )


def _any_present(headers: Headers, names: Iterable[str]) -> bool:
    return any(name in headers for name in names)
