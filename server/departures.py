"""A client that goes away while its operation runs.

Used by `graphql.py`. Its reads are cut short, down to the upstream; what writes goes on
to its end, and so do renewals of tokens, which run in tasks of their own: their outcome
matters to the next request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from starlette.types import Receive


class ClientGoneError(Exception):
    """Nobody waits for the answer."""


@asynccontextmanager
async def while_present(
    receive: Receive | None,
    *,
    may_stop: Callable[[], bool],
    abandon: Callable[[], None],
) -> AsyncIterator[None]:
    """Run the block, and cancel it when the client goes and `may_stop` says yes.

    Raises: ClientGoneError.
    """
    if receive is None:
        yield
        return
    running = asyncio.current_task()
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        if running is not None and may_stop():
            gone = True
            abandon()
            running.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone or running is None or running.uncancel():
            raise  # it is the server that stops
        raise ClientGoneError from None
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
