"""The headers of a request, read once for all who ask.

`head_of` is used instead of starlette's `Headers` wherever every request passes: that
one looks through the raw list at each question.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from starlette.types import Scope

from .media_types import JSON

RawHeaders = list[tuple[bytes, bytes]]
# The same for many answers.
FixedHeaders = tuple[tuple[bytes, bytes], ...]

# Of the ASGI scope: a `Direct`, where the server offers one.
DIRECT: Final = "mainstem.direct"

_JSON: Final = JSON.encode()

# Of the ASGI scope: its `Head`, which our own protocol puts there.
HEAD: Final = "mainstem.head"


class Direct(Protocol):
    """A server's shorter ways: a body and an answer in one piece, without a wait."""

    def whole_body(self, most: int) -> bytes | None:
        """The body, once; None, and nothing taken, if it is not all here and no more.

        It may have `most` bytes.
        """

    def write_whole(
        self, status: int, lines: bytes, headers: RawHeaders, body: bytes
    ) -> bool:
        """Writes the answer; False, and nothing written, if it is not the time.

        `lines` are sound header lines, each with its end; `headers` are those besides.
        """


class Head(dict[bytes, bytes]):
    """The headers by name; of one that was sent twice the first counts.

    ASGI servers hand names over in lower case. Values are decoded by who reads one:
    most headers of a browser nobody reads.
    """

    __slots__ = ("_raw", "media_type")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        """Of `raw`, which stays as it is."""
        super().__init__(reversed(raw))
        self._raw = raw
        # Of the body, in lower case and without parameters; may be empty.
        self.media_type = (
            JSON
            if self.get(b"content-type") == _JSON  # as nearly all say it
            else self.text(b"content-type").partition(";")[0].strip().lower()
        )

    def __repr__(self) -> str:
        """Names alone: values may be secret."""
        return f"{type(self).__name__}({', '.join(map(repr, self))})"

    def text(self, name: bytes) -> str:
        """The value; empty if there is none."""
        return self.get(name, b"").decode("latin-1")

    def joined(self, name: bytes, by: bytes = b",") -> str:
        """All values of a header that may be sent more than once; empty without one."""
        if len(self) == len(self._raw):  # no header was sent twice
            return self.get(name, b"").decode("latin-1")
        values = [value for found, value in self._raw if found == name]
        return by.join(values).decode("latin-1")


def put_head(scope: Scope) -> Head:
    """Where our own protocol has not: under another server, and of a WebSocket."""
    head = scope[HEAD] = Head(list(scope["headers"]))
    return head


def head_of(scope: Scope) -> Head:
    """As the door has read it."""
    head: Head = scope[HEAD]
    return head
