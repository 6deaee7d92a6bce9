"""`GET /preview/{file_id}`: a file's bytes, streamed; the storage's address stays here.

The path in `File.previewUrl`. Three upstream calls: the record (name and type), the
signed address, the bytes. The first two carry the person's token, the third none: the
token never goes to the storage host. `?download=1` asks for a download. Bytes are
handed on as the client takes them, so a slow client holds the storage back and not
this server's memory. Conditional requests and ranges would be read in `_serve`,
between the record and the signed address.

Relies on conduit.md §6 and the error table of docs/errors.md.
"""

import logging
import math
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from clients.conduit.storage import ConduitStorage
from clients.errors import (
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    UpstreamError,
    UpstreamResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from clients.ids import conduit_id
from schema.errors import row_of

from .file_headers import file_headers
from .refusals import RefusalError, method_not_allowed, send_whole
from .storage_address import admit
from .trace import trace_of
from .upstream_settings import StorageSettings

log = logging.getLogger("mainstem.preview")

TRUTHS: Final = frozenset({"1", "true", "yes"})
RATE_LIMIT_WAIT_S: Final = 1.0

# The first row that fits counts: a subclass stands before its base.
STATUSES: Final[tuple[tuple[type[UpstreamError], int], ...]] = (
    (NotAuthenticatedError, 401),
    (PermissionDeniedError, 403),
    (NotFoundError, 404),
    (InvalidInputError, 400),
    # 503 and not 429: the budget belongs to all, not to the one who asks.
    (RateLimitedError, 503),
    (UpstreamTimeoutError, 504),
    (UpstreamUnavailableError, 503),
    (UpstreamError, 502),
)


class PreviewRoute:
    """`storage_of` gives the storage client of the request's person."""

    def __init__(
        self,
        storage_of: Callable[[Scope], ConduitStorage],
        settings: StorageSettings,
    ) -> None:
        self._storage_of = storage_of
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise method_not_allowed("GET", "HEAD")
        trace_of(scope).operation = "preview"
        answered = _Started(send)
        try:
            await self._serve(scope, receive, answered.send)
        except UpstreamError as error:
            log.warning("%s: %s", type(error).__name__, error.message)
            if answered.started:
                raise  # the length is wrong now: only cutting the connection tells it
            raise refusal_for(error) from None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        storage = self._storage_of(scope)
        file_id = conduit_id(scope["path_params"]["file_id"])
        download = _wants_download(scope["query_string"])
        file = await storage.get(file_id)
        headers = file_headers(file, download=download)
        if scope["method"] == "HEAD":
            await send_whole(send, 200, headers, b"")
            return
        signed = await storage.signed_url(file_id, download=download)
        address = admit(signed, self._settings)
        async with storage.open_bytes(address) as source:
            if source.status != 200:  # no range was asked for
                raise UpstreamResponseError(
                    f"the storage answered {source.status}", service="conduit"
                )
            if (length := source.headers.get("content-length")) is not None:
                headers["content-length"] = length
            await StreamingResponse(source.chunks(), headers=headers)(
                scope, receive, send
            )


class _Started:
    """Knows whether the head of the answer is out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        self.started = True
        await self._send(message)


def refusal_for(error: UpstreamError) -> RefusalError:
    """The answer to a failed preview; nothing of the upstream's text is in it."""
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    row = row_of(error)
    headers = {}
    if isinstance(error, RateLimitedError):
        wait_s = error.retry_after_s or RATE_LIMIT_WAIT_S
        headers["retry-after"] = str(math.ceil(wait_s))
    return RefusalError(status, row.code, row.message, headers=headers)


def _wants_download(query_string: bytes) -> bool:
    values = parse_qs(query_string.decode("latin-1")).get("download", ["0"])
    return values[-1].lower() in TRUTHS
