"""A request's body as it arrives, and a file within it on its way to the resolver.

Used by `multipart.py` and `uploads.py`. What ends a body early (too large, too slow,
the client is gone) is a `RefusalError` of the door. Once a file is on its way it is a
resolver that hears of it, in its own terms; the refusal is kept, and the route answers
with it instead of with what the resolver made of it.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from starlette.types import Receive

from clients.errors import InvalidInputError
from resolvers.upload_rules import IncomingFile

from .refusals import RefusalCode, RefusalError, bad_request

# Slower than any line; who sends less holds an upload's place and means harm.
LEAST_BYTES_PER_S: Final = 1024


async def body_pieces(
    receive: Receive, silence_s: float
) -> AsyncGenerator[bytes, None]:
    """The body, in the pieces it comes in, as fast as they are taken.

    Raises: RefusalError 408 for a client that is silent for `silence_s`, or sends less
    than `LEAST_BYTES_PER_S` meanwhile, 400 for one that is gone, and what the guard
    raises.
    """
    clock = asyncio.get_running_loop().time
    waited_s, came, more = 0.0, 0, True
    while more:
        started = clock()
        try:
            async with asyncio.timeout(silence_s):
                message = await receive()
        except TimeoutError:
            raise _too_slow() from None
        # The time that the taker of the pieces needs is not the sender's.
        waited_s += clock() - started
        came += len(message.get("body", b""))
        if waited_s > silence_s:
            if came < LEAST_BYTES_PER_S * waited_s:
                raise _too_slow()
            waited_s, came = 0.0, 0
        if message["type"] == "http.disconnect":
            raise bad_request("The body broke off.")
        more = message.get("more_body", False)
        if piece := message.get("body", b""):
            yield piece


def _too_slow() -> RefusalError:
    return RefusalError(
        408,
        RefusalCode.REQUEST_TIMEOUT,
        "The body did not arrive in time.",
        headers={"connection": "close"},
    )


class ArrivingFile(IncomingFile):
    """`refusal` is set once the pieces have ended early."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        name: str | None,
        media_type: str | None,
        size: int | None = None,
    ) -> None:
        self.name = name
        self.media_type = media_type
        self.refusal: RefusalError | None = None
        self._pieces = pieces
        self._size = size
        self._taken = False

    def check(self) -> None:
        """Raises: RefusalError, once the file has ended early."""
        if self.refusal is not None:
            raise self.refusal

    @property
    def size(self) -> int | None:
        return self._size

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        if self._taken:
            raise InvalidInputError(
                "the operation uses its file twice",
                public_message="A file can be used once: it is not kept.",
                field="file",
            )
        self._taken = True
        try:
            async for piece in self._pieces:
                yield piece
        except RefusalError as refusal:
            self.refusal = refusal
            raise InvalidInputError(
                f"the upload ended early: {refusal.message}",
                public_message=refusal.message,
                field="file",
            ) from None
