"""`SessionWatch`: tells a connection that stays open when its session has ended.

Used by the live transports in `server/`. A sign-out in any process is heard at once
over the broadcast; every other end (idle, absolute, refused renewal, a record that the
Next.js application deleted) is found by looking into the vault now and then.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from clients.errors import UpstreamUnavailableError

from .broadcast import Broadcast, Listener
from .policy import SessionPolicy
from .records import SessionEntry, VaultRecord, digest
from .session import SessionRef
from .tasks import TaskSet, watch
from .vault import TokenVault

LOOK_S: Final = 10.0
# After a cut of the line all look; requests must find room in the vault beside them.
MOST_LOOKING: Final = 256


class SessionWatch:
    """One per process. Looking does not count as use: it must not keep alive."""

    def __init__(
        self,
        vault: TokenVault,
        policy: SessionPolicy,
        broadcast: Broadcast,
        *,
        every_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._vault = vault
        self._policy = policy
        self._broadcast = broadcast
        self._every_s = every_s
        self._clock = clock
        self._tasks = TaskSet()
        self._looking = asyncio.Semaphore(MOST_LOOKING)
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        broadcast.listen("ends", Listener(self._hear, self._look_at_all))

    def announce(self, vault_key: str) -> None:
        """Tell all processes that this session has ended. Its key is not told."""
        self._broadcast.send("ends", digest(vault_key).encode())

    async def until_end(self, ref: SessionRef) -> None:
        """Return when the session has ended; an outage of the vault ends nothing."""
        name = digest(ref.vault_key)
        look = asyncio.Event()
        look.set()
        self._waiting[name].add(look)
        try:
            # An end between a look and the line being up would be heard by nobody.
            with contextlib.suppress(UpstreamUnavailableError):
                await self._broadcast.up()
            while await self._is_open(ref, look):
                pass
        finally:
            self._waiting[name].discard(look)
            if not self._waiting[name]:
                del self._waiting[name]

    async def _is_open(self, ref: SessionRef, look: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._every_s):
                await look.wait()
        except TimeoutError:
            pass
        look.clear()
        try:
            async with self._looking:
                record, entry = await self._read(ref)
        except UpstreamUnavailableError:
            return True
        if record is None:
            return False
        return entry is None or not self._policy.is_over(entry, self._clock())

    async def _read(
        self, ref: SessionRef
    ) -> tuple[VaultRecord | None, SessionEntry | None]:
        # In a task of its own: redis-py ends a command that is under way although its
        # caller was cancelled, and forgets the cancellation (seen with 7.x).
        reading = self._tasks.start(self._vault.resolve(ref))
        deadline = asyncio.get_running_loop().time() + LOOK_S
        return await watch(reading, deadline=deadline, what="vault read")

    def _hear(self, word: bytes) -> None:
        for look in self._waiting.get(word.decode("ascii", "replace"), ()):
            look.set()

    def _look_at_all(self) -> None:
        for looks in self._waiting.values():
            for look in looks:
                look.set()
