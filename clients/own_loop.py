"""The loop of what belongs to one: asked for once.

`asyncio.get_running_loop()` makes a system call on CPython 3.11 (getpid), and a call to
an upstream needs the loop or its time seven times. Used by what lives as long as the
process: clients, gates and pools.
"""

import asyncio
from collections.abc import Callable
from functools import cache


def own_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """Gives the loop that runs when it is first called, and that one ever after."""
    return cache(asyncio.get_running_loop)
