"""Refused sign-ins take equally long, whatever the upstream did to refuse them.

Used by `session/accounts.py`. Conduit compares a password only where there is an
account to compare with, so how quickly it refuses tells which addresses are known.
"""

import asyncio
from typing import Final

# Well above what comparing a password costs the upstream (tens of milliseconds).
STEP_S: Final = 0.5


async def even_out(started: float) -> None:
    """Wait for the next full step since `started` (event loop time)."""
    spent = asyncio.get_running_loop().time() - started
    await asyncio.sleep(STEP_S - spent % STEP_S)
