"""Request and answer as plain values: the parts of the stand-in need no framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded, `query` is as sent, header names are in lower case."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes = b""
    head_bytes: int = 0


@dataclass(slots=True)
class Answer:
    """What goes back; header names as PostgREST writes them."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def head_bytes(self) -> int:
        """The size of the header fields on the wire."""
        return sum(len(name) + len(value) + 4 for name, value in self.headers.items())
