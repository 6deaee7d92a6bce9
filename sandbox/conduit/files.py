"""The local storage provider: bytes, signed addresses and the server that gives them.

`storage.py` signs, `create_file_server` (its own port) checks and serves. Relies on
"URLs" in section 6 of conduit.md and on recordings/storage.json.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from .settings import ConduitSettings

PENDING = b"PENDING UPLOAD"
CHUNK_BYTES = 65_536
MAX_UPLOAD_BYTES = 256 * 1024 * 1024
_LASTING_S = 99 * 365 * 86_400.0
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, PUT, OPTIONS"),
    (b"access-control-allow-headers", b"Content-Type, x-ms-blob-type"),
    (b"access-control-max-age", b"86400"),
)
_TYPES = {
    "css": "text/css",
    "csv": "text/csv",
    "gif": "image/gif",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "webp": "image/webp",
    "zip": "application/zip",
}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class FileBytes:
    """File contents by path, and the addresses that lead to them for a while."""

    def __init__(self, settings: ConduitSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._contents: dict[str, bytes] = {}

    @staticmethod
    def path(container: str, folder: str, name: str) -> str:
        """Where a file lies; the root folder is `/`."""
        return f"/{container}/{'' if folder == '/' else folder}{name}"

    def get(self, path: str) -> bytes | None:
        """A file's content."""
        return self._contents.get(path)

    def put(self, path: str, content: bytes) -> None:
        """Store or replace a file's content."""
        self._contents[path] = content

    @property
    def knows_ranges(self) -> bool:
        """Whether the provider is one that answers `Range`."""
        return self._settings.file_ranges

    def move(self, old: str, new: str) -> None:
        """Rename a file."""
        if old != new:
            self._contents[new] = self._contents.pop(old, PENDING)

    def delete(self, path: str) -> None:
        """Forget a file's content."""
        self._contents.pop(path, None)

    def public_url(self, path: str) -> str:
        """The lasting address of a public file."""
        return self._sign("GET", path, {}, _LASTING_S)

    def upload_url(self, path: str) -> str:
        """An address to PUT the bytes to."""
        return self._sign("PUT", path, {}, self._settings.signed_url_s)

    def read_url(self, path: str, file_name: str, *, download: bool) -> str:
        """An address for a private file, another one at each call."""
        parameters = {"download": "true"} if download else {}
        parameters["fileName"] = file_name
        return self._sign("GET", path, parameters, self._settings.signed_url_s)

    def refusal(
        self, method: str, path: str, parameters: Mapping[str, str]
    ) -> str | None:
        """Why a request may not pass; None when its signature holds."""
        if "sig" not in parameters:
            return "Signature required"
        signed = {k: v for k, v in parameters.items() if k not in ("sig", "expires")}
        expires = parameters.get("expires", "")
        wanted = self._signature(method, path, signed, expires)
        fits = hmac.compare_digest(wanted.encode(), parameters["sig"].encode())
        if not fits or int(expires) <= self._clock() * 1000:
            return "Invalid or expired signature"
        return None

    def _sign(
        self, method: str, path: str, parameters: Mapping[str, str], life_s: float
    ) -> str:
        expires = str(int((self._clock() + life_s) * 1000))
        sig = self._signature(method, path, parameters, expires)
        query = urlencode({**parameters, "expires": expires, "sig": sig})
        return f"{self._settings.file_server_url}{path}?{query}"

    def _signature(
        self, method: str, path: str, parameters: Mapping[str, str], expires: str
    ) -> str:
        text = "\n".join((method, path, urlencode(sorted(parameters.items())), expires))
        key = self._settings.signing_secret.encode()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def serve_files(files: FileBytes) -> ASGIApp:
    """The provider's own HTTP server: GET and PUT, no ETag, chunked.

    Ranges only with the setting `file_ranges`, answered as RFC 9110 §14 has it.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            body = await _body(receive)
            await _serve(files, scope, body, send)

    return app


async def _serve(files: FileBytes, scope: Scope, body: bytes, send: Send) -> None:
    method, path = scope["method"], scope["path"]
    if method == "OPTIONS":
        await _answer(send, 204, b"")
        return
    if method not in ("GET", "HEAD", "PUT"):
        await _answer(send, 405, b"Method not allowed")
        return
    query = scope["query_string"].decode("latin-1")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    refusal = files.refusal(method, path, parameters)
    if refusal is not None:
        await _answer(send, 403, refusal.encode())
    elif method == "PUT":
        files.put(path, body)
        await _answer(send, 200, b'{"success":true}', "application/json")
    elif (content := files.get(path)) is None:
        await _answer(send, 404, b"Not found")
    else:
        asked = dict(scope["headers"]).get(b"range", b"").decode("latin-1")
        match = _RANGE.fullmatch(asked) if files.knows_ranges else None
        if match is None:
            await _send_file(send, path, content, parameters)
        else:
            await _send_range(send, match, content)


async def _send_range(send: Send, asked: re.Match[str], content: bytes) -> None:
    """206, or 416 for what lies beyond the end."""
    total = len(content)
    first, last = asked[1], asked[2]
    start = int(first) if first else max(total - int(last or 0), 0)
    end = min(int(last), total - 1) if first and last else total - 1
    if start > end:
        told = f"bytes */{total}"
        await _answer(send, 416, b"", content_range=told)
        return
    told = f"bytes {start}-{end}/{total}"
    await _answer(send, 206, content[start : end + 1], content_range=told)


async def _send_file(
    send: Send, path: str, content: bytes, parameters: Mapping[str, str]
) -> None:
    extension = path.rpartition("/")[2].rpartition(".")[2].lower()
    kind = _TYPES.get(extension, "application/octet-stream")
    disposition = None
    if name := parameters.get("fileName"):
        if '"' in name:
            await _answer(send, 400, b"Bad request", "text/plain")
            return
        how = "attachment" if parameters.get("download") == "true" else "inline"
        quoted = quote(name, safe="!'()*~")
        disposition = f"{how}; filename=\"{name}\"; filename*=UTF-8''{quoted}"
    await _answer(send, 200, content, kind, disposition)


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    kind: str | None = None,
    disposition: str | None = None,
    content_range: str | None = None,
) -> None:
    headers = list(_CORS)
    if content_range is not None:
        headers.append((b"content-range", content_range.encode()))
    if kind is not None:
        headers.append((b"content-type", kind.encode()))
    if disposition is not None:
        headers.append((b"content-disposition", disposition.encode("latin-1")))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for start in range(0, len(body), CHUNK_BYTES):
        part = body[start : start + CHUNK_BYTES]
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> bytes:
    """What was sent, up to the bound of an upload."""
    parts = bytearray()
    while (message := await receive())["type"] == "http.request":
        if len(parts) <= MAX_UPLOAD_BYTES:
            parts += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(parts)
