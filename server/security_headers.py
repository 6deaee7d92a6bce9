"""Outermost middleware of all: the headers that every answer carries, whatever it is.

A route that needs another policy (GraphiQL's page, a file's bytes) sets its own and
keeps it. Outside of telemetry, so that even the answer to an unexpected failure has
them.
"""

from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from .head import RawHeaders, answer_of

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}
# One year. Only in production, where HTTPS is certain: the cookies demand it.
TRANSPORT_SECURITY: Final = {"strict-transport-security": "max-age=31536000"}


class SecurityHeadersMiddleware:
    def __init__(self, app: ASGIApp, *, production: bool) -> None:
        self._app = app
        headers = {**SECURITY_HEADERS, **(TRANSPORT_SECURITY if production else {})}
        self._headers = [
            (name.encode(), value.encode()) for name, value in headers.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = answer_of(scope, send)
        answer.finish_with(self._finish)
        await self._app(scope, receive, answer.send)

    def _finish(self, headers: RawHeaders) -> None:
        present = {name for name, _ in headers}
        headers += [each for each in self._headers if each[0] not in present]
