"""One GraphQL request with one file in it: the GraphQL multipart request spec.

Called by `graphql.py` for `multipart/form-data`. The parts come in the order of the
spec: `operations` (the request as JSON, null in the file's place), `map` (which
variable the file is), then the file. The first two are read; the file is handed on as
it comes, so a document that is refused costs nothing of it. One file a request: it is
a stream, and streams end in their order.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive

from .graphql_request import JSON_TYPE, GraphQLRequest, from_body, strict_json
from .head import Head
from .incoming import ArrivingFile, body_pieces
from .refusals import RefusalCode, RefusalError, bad_request

if TYPE_CHECKING:  # a name for type checkers only
    from python_multipart.multipart import MultipartCallbacks

MAX_MAP_BYTES: Final = 4096
MAX_DEPTH: Final = 16


async def read_upload(
    head: Head, receive: Receive, *, max_operations_bytes: int, silence_s: float
) -> tuple[GraphQLRequest, ArrivingFile]:
    """The request, and its file on its way. Raises: RefusalError 400, 408, 413."""
    parts = _Parts(head, body_pieces(receive, silence_s))
    operations = await _text(parts, "operations", max_operations_bytes)
    request = from_body(JSON_TYPE, operations)
    key, path = _file_of(await _text(parts, "map", MAX_MAP_BYTES))
    part = await parts.next()
    if part is None or part.name != key:
        raise bad_request(f"After 'map' the file of the part {key[:80]!r} must come.")
    file = _PartFile(parts, part)
    variables: dict[str, object] = {**(request.variables or {})}
    _place(variables, path, file)
    return msgspec.structs.replace(request, variables=variables), file


async def _text(parts: "_Parts", name: str, limit: int) -> bytes:
    part = await parts.next()
    if part is None or part.name != name:
        raise bad_request(
            "The parts must be 'operations', 'map' and the file, in this order."
        )
    text = bytearray()
    async for piece in parts.content():
        text += piece
        if len(text) > limit:
            raise RefusalError(
                413,
                RefusalCode.PAYLOAD_TOO_LARGE,
                f"The part {name!r} is larger than {limit} bytes.",
                headers={"connection": "close"},
            )
    return bytes(text)


def _file_of(text: bytes) -> tuple[str, list[str]]:
    """The file's part and the way to its variable. Raises: RefusalError 400."""
    found = strict_json(text, otherwise=lambda _: "The part 'map' is not valid JSON.")
    if not isinstance(found, dict) or len(found) != 1:
        raise bad_request("'map' must be a JSON object that names one file.")
    [(key, paths)] = found.items()
    if not isinstance(paths, list) or len(paths) != 1 or not isinstance(paths[0], str):
        raise bad_request("'map' must give the file one path, in a list.")
    root, *path = paths[0].split(".")
    if root != "variables" or not 0 < len(path) <= MAX_DEPTH or not all(path):
        raise bad_request("The path in 'map' must be like variables.input.file.")
    return key, path


def _place(variables: dict[str, object], path: list[str], file: ArrivingFile) -> None:
    """Put the file into its place, which must hold null. Raises: RefusalError 400."""
    place: object = variables
    *way, last = path
    for step in way:
        place = _member(place, step)
    if _member(place, last) is not None:
        raise bad_request("The path in 'map' must lead to a null in 'operations'.")
    if isinstance(place, dict):
        place[last] = file
    elif isinstance(place, list):
        place[int(last)] = file


def _member(place: object, step: str) -> object:
    """One step into JSON. Raises: RefusalError 400."""
    if isinstance(place, dict) and step in place:
        return place[step]
    is_index = step.isascii() and step.isdigit() and len(step) < 6
    if isinstance(place, list) and is_index and int(step) < len(place):
        return place[int(step)]
    raise bad_request("The path in 'map' leads nowhere in 'operations'.")


@dataclass(slots=True)
class _Part:
    name: str
    file_name: str | None
    media_type: str | None
    length: int | None


@dataclass(slots=True)
class _Data:
    """A piece of the part's content; `at` is its place in the body."""

    piece: bytes
    at: int


class _PartEnd:
    """The part's content is over."""


class _BodyEnd:
    """The last boundary has come."""


_Event = _Part | _Data | _PartEnd | _BodyEnd


@dataclass(slots=True)
class _Head:
    """A part's headers while they come in."""

    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    headers: dict[str, str] = field(default_factory=dict)

    def end_line(self) -> None:
        key = self.name.decode("latin-1").lower()
        if key in self.headers:
            raise bad_request(f"The header {key[:80]!r} stands twice in one part.")
        self.headers[key] = self.value.decode("latin-1").strip()
        self.name.clear()
        self.value.clear()

    def part(self) -> _Part:
        disposition = self.headers.get("content-disposition", "")
        kind, options = parse_options_header(disposition)
        name = options.get(b"name")
        if kind != b"form-data" or name is None:
            raise bad_request("A part has no form-data name.")
        file_name = options.get(b"filename")
        length = self.headers.get("content-length", "")
        return _Part(
            name=_decoded(name),
            file_name=None if file_name is None else _decoded(file_name),
            media_type=self.headers.get("content-type"),
            length=int(length) if _is_number(length) else None,
        )


class _Parts:
    """The parts of a body, one after the other; python-multipart does the reading."""

    def __init__(self, head: Head, body: AsyncGenerator[bytes, None]) -> None:
        _, options = parse_options_header(head.text(b"content-type"))
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise bad_request("The multipart body has no boundary.")
        self._body = body
        self._piece = b""
        self._read_bytes = 0
        self._events: list[_Event] = []
        self._head = _Head()
        length = head.text(b"content-length")
        # Clients end the body by a line end, as RFC 2046 shows it, with few exceptions.
        self.content_end = (
            int(length) - len(boundary) - len(b"\r\n----\r\n")
            if _is_number(length)
            else None
        )
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError:
            raise bad_request("The multipart boundary is too long.") from None

    async def next(self) -> _Part | None:
        """The next part, None at the end of the body. Raises: RefusalError."""
        event = await self._event()
        if isinstance(event, _BodyEnd):
            return None
        if not isinstance(event, _Part):
            raise bad_request("The multipart body is malformed.")
        return event

    async def content(self) -> AsyncIterator[bytes]:
        """The part's content. Raises: RefusalError."""
        while isinstance(event := await self._event(), _Data):
            yield event.piece

    async def content_start(self) -> int | None:
        """Where in the body the part's content begins; None if there is none."""
        event = await self._event()
        self._events.insert(0, event)
        return event.at if isinstance(event, _Data) else None

    async def _event(self) -> _Event:
        while not self._events:
            self._piece = await anext(self._body, b"")
            if not self._piece:
                raise bad_request("The multipart body ends too early.")
            try:
                self._parser.write(self._piece)
            except FormParserError:
                raise bad_request("The multipart body is malformed.") from None
            self._read_bytes += len(self._piece)
        return self._events.pop(0)

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._head.name.extend(
                data[start:end]
            ),
            "on_header_value": lambda data, start, end: self._head.value.extend(
                data[start:end]
            ),
            "on_header_end": lambda: self._head.end_line(),
            "on_headers_finished": lambda: self._events.append(self._head.part()),
            "on_part_data": self._data,
            "on_part_end": lambda: self._events.append(_PartEnd()),
            "on_end": lambda: self._events.append(_BodyEnd()),
        }

    def _begin_part(self) -> None:
        self._head = _Head()

    def _data(self, data: bytes, start: int, end: int) -> None:
        """A part's content, or what looked like a boundary at the last piece's end."""
        at = start if data is self._piece else start - end
        self._events.append(_Data(data[start:end], self._read_bytes + at))


class _PartFile(ArrivingFile):
    """The file of a multipart body; it must be the last part."""

    def __init__(self, parts: _Parts, part: _Part) -> None:
        super().__init__(
            self._content(), name=part.file_name, media_type=part.media_type
        )
        self._parts = parts
        self._size = part.length

    async def _content(self) -> AsyncGenerator[bytes, None]:
        start = await self._parts.content_start()
        if self._size is None and start is not None and self._parts.content_end:
            self._size = self._parts.content_end - start
        async for piece in self._parts.content():
            yield piece
        if await self._parts.next() is not None:
            raise bad_request("The file must be the last part, and the only file.")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _decoded(value: bytes) -> str:
    """Header text: browsers send UTF-8 (RFC 7578, section 5.1)."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
