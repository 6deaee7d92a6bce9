"""The stand-in as an ASGI application: both faces on one port.

`sandbox/__main__.py` serves it with uvicorn (without uvicorn's own Server header) and
wraps it in `faults.py`; tests call it over `httpx.ASGITransport` or a socket. Its
lifespan opens and closes the pool: run it also in tests
(`async with app.router.lifespan_context(app)`).
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from .database import Database
from .gateway import Gateway
from .http import Answer, Request
from .rest import Rest
from .settings import FluxSettings


def create_flux_app(
    dsn: str,
    settings: FluxSettings,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The application over the database at `dsn`, the login role's address.

    `clock` gives the seconds of the rate limit's window; tests may turn it.
    """
    database = Database(dsn, settings)
    rest = Rest(database, settings)
    gateway = Gateway(rest, database, settings, clock=clock)
    edge = _Edge(rest, gateway, settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await database.open()
        try:
            yield
        finally:
            await database.close()

    return Starlette(routes=[Mount("/", app=edge)], lifespan=lifespan)


class _Edge:
    """Turns ASGI into `Request` and `Answer`, and chooses the face by the host."""

    def __init__(self, rest: Rest, gateway: Gateway, settings: FluxSettings) -> None:
        self._rest = rest
        self._gateway = gateway
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await _request(scope, receive)
        if self._settings.latency_s:
            await asyncio.sleep(self._settings.latency_s)
        host = re.sub(r":\d+$", "", request.headers.get("host", "").lower())
        direct = self._settings.direct_hosts
        if "*" in direct or host in direct:
            answer = await self._rest.answer_direct(request)
        else:
            answer = await self._gateway.answer(request)
        await _send(request, answer, send)


async def _request(scope: Scope, receive: Receive) -> Request:
    raw_path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    fields = scope["headers"]
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    line = len(scope["method"]) + len(raw_path) + len(query) + len("  ? HTTP/1.1\r\n")
    return Request(
        method=scope["method"],
        path=unquote(raw_path.partition(b"?")[0].decode("latin-1")),
        query=query,
        headers={
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in fields
        },
        body=bytes(body),
        head_bytes=line + sum(len(name) + len(value) + 4 for name, value in fields),
    )


async def _send(request: Request, answer: Answer, send: Send) -> None:
    fields = [
        (name.lower().encode(), value.encode("latin-1"))
        for name, value in answer.headers.items()
    ]
    body = b"" if request.method == "HEAD" else answer.body
    if answer.status != 204 and request.method != "HEAD":
        fields.append((b"content-length", str(len(body)).encode()))
    await send(
        {"type": "http.response.start", "status": answer.status, "headers": fields}
    )
    await send({"type": "http.response.body", "body": body})
