"""What an upload is made of: the file on its way in, and the rules that it must keep.

The rules are settings and are made by `server/context.py`; the file by the routes
that take one (`server/multipart.py`, `server/uploads.py`). Used by `uploads.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from clients.errors import UpstreamMisconfiguredError

from . import file_types, inputs


class IncomingFile(ABC):
    """A file as its sender gives it; the pieces can be taken once."""

    name: str | None
    media_type: str | None

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Bytes in all, as told; asked after the first piece. None: not told."""

    @abstractmethod
    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The contents as they come. Raises: InvalidInputError when they break off."""


def _nowhere(url: str) -> str:
    raise UpstreamMisconfiguredError("no storage host is configured", service="conduit")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRules:
    """What may be uploaded. `admit` checks and rewrites a storage address."""

    max_bytes: int = 256 * 1024 * 1024
    allowed_types: tuple[str, ...] = ()
    denied_types: tuple[str, ...] = ()
    admit: Callable[[str], str] = _nowhere

    def check(self, name: str, media_type: str, size: int) -> None:
        """Size, type, and the type that a storage may tell by the name's ending.

        Raises: InvalidInputError.
        """
        if size > self.max_bytes:
            raise inputs.refused(
                "file", f"The file is larger than {self.max_bytes} bytes."
            )
        for each in {media_type, file_types.type_by_name(name) or media_type}:
            allowed = not self.allowed_types or file_types.is_one_of(
                each, self.allowed_types
            )
            if not allowed or file_types.is_one_of(each, self.denied_types):
                raise inputs.refused("file", f"Files of type {each} are not taken.")
