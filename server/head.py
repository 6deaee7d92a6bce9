"""The headers of a request, read once for all who ask, and those of its answer.

`head_of` is used instead of starlette's `Headers` wherever every request passes: that
one looks through the raw list at each question. `Answer` stands in for a `send` of
each middleware's own: what they add to an answer they add through one.
"""

from collections.abc import Callable, Iterable
from typing import Final

from starlette.types import Message, Scope, Send

from .refusals import send_whole

RawHeaders = list[tuple[bytes, bytes]]
Finish = Callable[[RawHeaders], None]
# Writes status, headers and body; False if it is not the time for it.
WriteWhole = Callable[[int, RawHeaders, bytes], bool]

# Of the ASGI scope: a server's way to take an answer in one piece.
WHOLE: Final = "mainstem.whole"

_HEAD: Final = "head"
_ANSWER: Final = "answer"


class Head:
    """Names are asked for in lower case; of a header sent twice the first counts.

    ASGI servers hand names over in lower case. Values are decoded when asked for: most
    headers of a browser nobody reads.
    """

    __slots__ = ("_first", "_raw", "media_type")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = list(raw)
        self._first = dict(reversed(self._raw))
        # Of the body, in lower case and without parameters; may be empty.
        self.media_type = self.get("content-type").partition(";")[0].strip().lower()

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
    """What goes out: its status, its size, and who has a header to add."""

    def __init__(self, send: Send, write_whole: WriteWhole | None = None) -> None:
        self._send = send
        self._write_whole = write_whole
        self._finishes: list[Finish] = []
        self.status: int | None = None
        self.sent_bytes = 0

    @property
    def started(self) -> bool:
        """Whether the head is out."""
        return self.status is not None

    def finish_with(self, finish: Finish) -> None:
        """Call `finish` with the headers before they go out; the last named first."""
        self._finishes.append(finish)

    async def send(self, message: Message) -> None:
        """An ASGI `send`."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": self._finished(message["headers"])}
        elif message["type"] == "http.response.body":
            self.sent_bytes += len(message.get("body", b""))
        await self._send(message)

    async def send_whole(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """One complete answer, and the last that is sent."""
        # They know each other through the scope.
        write_whole, self._write_whole = self._write_whole, None
        self.status = status
        self.sent_bytes += len(body)
        headers = self._finished(headers)
        if write_whole is None or not write_whole(status, headers, body):
            await send_whole(self._send, status, headers, body)

    def _finished(self, headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
        finished = list(headers)
        for finish in reversed(self._finishes):
            finish(finished)
        return finished


def answer_of(scope: Scope, send: Send) -> Answer:
    """The answer of this request. It is made by the outermost who asks for it."""
    state = scope.setdefault("state", {})
    answer: Answer | None = state.get(_ANSWER)
    if answer is None:
        extensions = scope.get("extensions") or {}
        answer = state[_ANSWER] = Answer(send, extensions.get(WHOLE))
    return answer
