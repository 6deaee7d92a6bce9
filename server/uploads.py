"""`PUT /files?name=…&folder=…&isPublic=true&scope=…`: a big file, plainly streamed.

The same upload as the mutation uploadFile, without the multipart around it: the body is
the file, its type the Content-Type. Answers 201 with the file as JSON, or a refusal
whose code is that of the graph. The header `Idempotency-Key` is the mutation's
`idempotencyKey`: what was begun in one way may be repeated in the other. The bytes go
to the storage host as they come in (`resolvers/uploads.py`), so neither side can outrun
the other.
"""

import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from clients.conduit.records import ConduitFile
from clients.errors import UpstreamError
from resolvers import files, uploads
from resolvers.context import RequestContext
from resolvers.ids import global_id

from .incoming import ArrivingFile, body_pieces
from .refusals import bad_request, method_not_allowed, send_whole
from .route_failures import refusal_for
from .trace import trace_of

log = logging.getLogger("mainstem.uploads")

UPLOAD_PATH: Final = "/files"
PARAMETERS: Final = frozenset({"name", "folder", "isPublic", "scope"})
BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False, "": False}


class UploadRoute:
    """`context_of` makes the context of a request."""

    def __init__(
        self, context_of: Callable[[Scope], RequestContext], *, silence_s: float
    ) -> None:
        self._context_of = context_of
        self._silence_s = silence_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "PUT":
            raise method_not_allowed("PUT")
        trace_of(scope).operation = "upload"
        given = _parameters(scope["query_string"])
        headers = Headers(scope=scope)
        key = _idempotency_key(headers)
        file = _arriving(headers, receive, self._silence_s)
        context = self._context_of(scope)
        try:
            record = await uploads.upload_file(
                context,
                file,
                name=given.get("name"),
                folder=given.get("folder"),
                is_public=_boolean(given.get("isPublic", "")),
                scope=given.get("scope"),
                idempotency_key=key,
            )
        except UpstreamError as error:
            log.warning("%s: %s", type(error).__name__, error.message)
            if file.refusal is None:
                raise refusal_for(error) from None
            if error.outcome_unknown:
                file.refusal.details["outcomeUnknown"] = True
            raise file.refusal from None
        body = orjson.dumps({"file": _shown(context, record)})
        answer = {
            "content-type": "application/json; charset=utf-8",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "location": files.preview_url(context, record.id, download=False),
        }
        await send_whole(send, 201, answer, body)


def _arriving(headers: Headers, receive: Receive, silence_s: float) -> ArrivingFile:
    if "content-encoding" in headers:
        raise bad_request("A compressed body is not taken; send the file as it is.")
    length = headers.get("content-length")
    return ArrivingFile(
        body_pieces(receive, silence_s),
        name=None,
        media_type=headers.get("content-type"),
        size=int(length) if length is not None else None,
    )


def _idempotency_key(headers: Headers) -> str | None:
    """Bare or in quotes, as the IETF's draft wants it. Raises: RefusalError 400."""
    given = headers.getlist("idempotency-key")
    if len(given) > 1:
        raise bad_request("One Idempotency-Key is enough.")
    if not given:
        return None
    [key] = given
    quoted = len(key) > 1 and key.startswith('"') and key.endswith('"')
    return key[1:-1] if quoted else key


def _parameters(query_string: bytes) -> dict[str, str]:
    """Raises: RefusalError 400."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=len(PARAMETERS) + 1,
        )
    except ValueError:  # UnicodeDecodeError is one
        raise bad_request("The query string is not valid UTF-8.") from None
    given = dict(pairs)
    if len(given) < len(pairs) or not PARAMETERS.issuperset(given):
        raise bad_request(
            "The parameters are name, folder, isPublic and scope, each once."
        )
    return given


def _boolean(text: str) -> bool:
    """Raises: RefusalError 400."""
    value = BOOLEANS.get(text.lower())
    if value is None:
        raise bad_request("isPublic must be true or false.")
    return value


def _shown(context: RequestContext, file: ConduitFile) -> dict[str, object]:
    """The file as the graph shows it."""
    return {
        "id": global_id("File", file.id),
        "databaseId": file.id,
        "name": file.name,
        "mimeType": file.mime_type,
        "size": file.size,
        "isPublic": file.is_public,
        "createdAt": file.created_at,
        "updatedAt": file.updated_at,
        "previewUrl": files.preview_url(context, file.id, download=False),
    }
