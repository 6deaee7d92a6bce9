"""A body on its way in: how slow its sender may be."""

import asyncio

import pytest
from starlette.types import Message

from server.incoming import body_pieces
from server.refusals import RefusalError

SILENCE_S = 0.2


class Sender:
    """Sends `pieces` of `size` bytes, one every `every_s`."""

    def __init__(self, pieces: int, size: int, every_s: float) -> None:
        self.left, self.size, self.every_s = pieces, size, every_s

    async def __call__(self) -> Message:
        await asyncio.sleep(self.every_s)
        self.left -= 1
        body = bytes(self.size)
        return {"type": "http.request", "body": body, "more_body": self.left > 0}


async def total(sender: Sender, *, taken_in_s: float = 0) -> int:
    came = 0
    async for piece in body_pieces(sender, SILENCE_S):
        came += len(piece)
        await asyncio.sleep(taken_in_s)
    return came


@pytest.mark.parametrize(
    "sender", [Sender(1000, 1, 0.02), Sender(2, 9, 60)], ids=["trickle", "silent"]
)
async def test_who_sends_too_little_is_refused_though_never_silent(
    sender: Sender,
) -> None:
    """Tried without the count: a byte every now and then holds a place for ever."""
    async with asyncio.timeout(5):
        with pytest.raises(RefusalError) as refused:
            await total(sender)
    assert refused.value.status == 408


async def test_a_slow_line_and_a_slow_taker_are_let_through() -> None:
    assert await total(Sender(20, 500, 0.05)) == 10_000
    assert await total(Sender(10, 1, 0.001), taken_in_s=0.1) == 10
