"""GraphiQL: the page for browsers and its files, all from this server.

`graphql.py` hands over the requests that want HTML; the files are mounted by `app.py`
under `/graphiql`. What is in them and how to update them: `graphiql/README.md`.
"""

import secrets
from pathlib import Path
from typing import Final

from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

FOLDER: Final = Path(__file__).parent / "graphiql"
ASSETS_MAX_AGE_S: Final = 3600
# No inline script, no other host. The nonce is for the style elements that GraphiQL's
# widgets add while they are open.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class GraphiQLPage:
    def __init__(self) -> None:
        self._template = (FOLDER / "page.html").read_text(encoding="utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = secrets.token_urlsafe(16)
        headers = {
            "content-security-policy": CONTENT_SECURITY_POLICY.format(nonce=nonce),
            "cache-control": "no-store",
            "vary": "Accept",
        }
        html = self._template.replace("{{nonce}}", nonce)
        await HTMLResponse(html, headers=headers)(scope, receive, send)


class GraphiQLFiles(StaticFiles):
    """The page's scripts and styles, kept by browsers for an hour."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER / "static")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_cacheable(message: Message) -> None:
            if message["type"] == "http.response.start":
                max_age = f"public, max-age={ASSETS_MAX_AGE_S}".encode()
                headers = [*message["headers"], (b"cache-control", max_age)]
                message = {**message, "headers": headers}
            await send(message)

        await super().__call__(scope, receive, send_cacheable)
