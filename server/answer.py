"""An answer on its way out: what a route says, what is this request's, what all carry.

`Answer` is the `send` that the door (`door.py`) hands inwards.
"""

import msgspec
from starlette.types import Message, Send

from .cookies import LateSession
from .guard import open_to, vary_by_origin
from .head import Direct, FixedHeaders, RawHeaders
from .refusals import send_whole
from .security_headers import SecurityHeaders
from .trace import REQUEST_ID_HEADER, RequestTrace


class CommonHeaders(dict[FixedHeaders, bytes]):
    """What all answers of a server carry.

    As a mapping: these with what a route names once and for all, as sound header lines,
    each with its end. Written out at the first answer, and kept.
    """

    def __init__(self, security: SecurityHeaders) -> None:
        super().__init__()
        self._security = security

    def complete(self, headers: RawHeaders) -> None:
        """Adds them to an answer's other headers."""
        vary_by_origin(headers)
        self._security.add_to(headers)

    def __missing__(self, fixed: FixedHeaders) -> bytes:
        headers = [*fixed]
        self.complete(headers)
        lines = self[fixed] = b"".join(b"%b: %b\r\n" % each for each in headers)
        return lines


class Answer(msgspec.Struct, eq=False):
    """As an ASGI `send`, which also knows what has been sent.

    `_origin` is of a page that may read the answer.
    """

    _send: Send
    _direct: Direct | None
    _common: CommonHeaders
    _session: LateSession
    _origin: bytes | None
    trace: RequestTrace
    status: int | None = None
    sent_bytes: int = 0

    @property
    def started(self) -> bool:
        """Whether the head is out."""
        return self.status is not None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *self._own()]
            self._common.complete(headers)
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self.sent_bytes += len(message.get("body", b""))
        await self._send(message)

    async def send_whole(
        self, status: int, fixed: FixedHeaders, size: int, body: bytes
    ) -> None:
        """One complete answer, and the last that is sent.

        `fixed` without the content's length, which is `size`, also if no `body` goes.
        """
        self.status = status
        self.sent_bytes += len(body)
        own = self._own()
        own.append((b"content-length", b"%d" % size))
        direct = self._direct
        if direct is None or not direct.write_whole(
            status, self._common[fixed], own, body
        ):
            headers = [*fixed, *own]
            self._common.complete(headers)
            await send_whole(self._send, status, headers, body)

    def _own(self) -> RawHeaders:
        """What belongs to this answer alone; asked for once."""
        headers = [(REQUEST_ID_HEADER, self.trace.request_id.encode())]
        session = self._session.session
        if session is not None and session.changed:
            self._session.tell(session, headers)
        if self._origin:
            open_to(self._origin, headers)
        return headers
