"""Splits what does not fit into one request, and runs the parts side by side."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TypeVar

T = TypeVar("T")


def equal_chunks(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    """As few parts as `size` allows, of nearly equal length, in order."""
    parts = -(-len(ids) // size)
    return [
        ids[len(ids) * n // parts : len(ids) * (n + 1) // parts] for n in range(parts)
    ]


async def concurrently(calls: Sequence[Coroutine[object, object, T]]) -> list[T]:
    """The results in order; the first failure ends the others and is raised."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
