"""The headers of a request, read once for all who ask, and its answer on the way out.

`head_of` is used instead of starlette's `Headers` wherever every request passes: that
one looks through the raw list at each question. `Answer` is the `send` that the door
hands inwards.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from starlette.types import Message, Scope, Send

from .refusals import send_whole

RawHeaders = list[tuple[bytes, bytes]]
# The same for many answers.
FixedHeaders = tuple[tuple[bytes, bytes], ...]

# Of the ASGI scope, under `extensions`: a `Direct`, where the server offers one.
DIRECT: Final = "mainstem.direct"

_HEAD: Final = "head"


class Direct(Protocol):
    """A server's shorter ways: a body and an answer in one piece, without a wait."""

    def whole_body(self) -> bytes | None:
        """The body, once; None, and nothing taken, if all of it is not here yet."""

    def write_whole(
        self, status: int, lines: bytes, headers: RawHeaders, body: bytes
    ) -> bool:
        """Writes the answer; False, and nothing written, if it is not the time.

        `lines` are sound header lines, each with its end; `headers` are those besides.
        """


class Parting(Protocol):
    """What the door puts onto an answer."""

    def own(self) -> RawHeaders:
        """What belongs to this answer alone; asked for once."""

    def complete(self, headers: RawHeaders) -> None:
        """Adds what every answer carries."""

    def lines(self, fixed: FixedHeaders) -> bytes:
        """`fixed`, complete and written out: known from the answers before."""


class Head:
    """Names are asked for in lower case; of a header sent twice the first counts.

    ASGI servers hand names over in lower case. Values are decoded when asked for: most
    headers of a browser nobody reads.
    """

    __slots__ = ("_first", "_raw", "content_type", "media_type")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = list(raw)
        self._first = dict(reversed(self._raw))
        # Of the body; may be empty.
        self.content_type = self.get("content-type")
        # In lower case and without parameters.
        self.media_type = self.content_type.partition(";")[0].strip().lower()

    def __contains__(self, name: str) -> bool:
        return name.encode() in self._first

    def get(self, name: str, default: str = "") -> str:
        """The value, or `default`."""
        value = self._first.get(name.encode())
        return default if value is None else value.decode("latin-1")

    def find(self, name: str) -> str | None:
        """The value, or None."""
        value = self._first.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def all(self, name: str) -> list[str]:
        """The values of a header that may be sent more than once."""
        key = name.encode()
        if key not in self._first:
            return []
        return [value.decode("latin-1") for found, value in self._raw if found == key]


def head_of(scope: Scope) -> Head:
    """The head of this request, read at the first call."""
    state = scope.setdefault("state", {})
    head: Head | None = state.get(_HEAD)
    if head is None:
        head = state[_HEAD] = Head(scope["headers"])
    return head


class Answer:
    """What goes out, as an ASGI `send`: status, size, and what all answers carry."""

    __slots__ = ("_direct", "_parting", "_send", "sent_bytes", "status")

    def __init__(self, send: Send, parting: Parting, direct: Direct | None) -> None:
        self._send = send
        self._parting = parting
        self._direct = direct
        self.status: int | None = None
        self.sent_bytes = 0

    @property
    def started(self) -> bool:
        """Whether the head is out."""
        return self.status is not None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *self._parting.own()]
            self._parting.complete(headers)
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
        parting, direct = self._parting, self._direct
        own = parting.own()
        own.append((b"content-length", b"%d" % size))
        if direct is None or not direct.write_whole(
            status, parting.lines(fixed), own, body
        ):
            headers = [*fixed, *own]
            parting.complete(headers)
            await send_whole(self._send, status, headers, body)


def answer_of(send: Send) -> Answer:
    """The answer that the door made, for a route that got it as its `send`."""
    if not isinstance(send, Answer):
        raise TypeError("this route stands behind the door")
    return send
