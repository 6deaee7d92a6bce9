"""Connections that are kept for the next call, and those that wait for one.

One bound for all origins of a pool. The connection used last is used next, so that
those that are not needed grow old and go. One look every `LOOK_S` finds what is
overdue: cheaper than a timer for each call, and nobody minds an end 25 ms late.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final

from clients.own_loop import own_loop
from clients.transport import HTTPLimits, TransportError

from .connecting import connect
from .connection import Connection
from .requests import Address

LOOK_S: Final = 0.025
# Storage is named by addresses, which change; an idle origin is made again any time.
_MOST_ORIGINS: Final = 256


class Origin:
    """One address of a pool: its idle connections, the one used last at the end."""

    def __init__(self, pool: "Pool", address: Address) -> None:
        self.pool = pool
        self.address = address
        self.shown = address.shown
        self.idle: list[Connection] = []
        # Nobody will ask for it any more: the pool has forgotten it.
        self.retired = False

    def take(self, now: float, *, alive: bool) -> Connection | None:
        """An idle connection that is likely to live; or that does live, by a look at
        it: a write must not be in doubt needlessly.
        """
        idle = self.idle
        while idle:
            connection = idle.pop()
            if (
                connection.due > now
                and not connection.is_closing()
                and not (alive and connection.has_news())
            ):
                return connection
            connection.break_off()
        return None

    def rest(self, connection: Connection) -> None:
        """See `Owner`: for who waits, or to be kept."""
        pool = self.pool
        connection.due = pool.loop().time() + pool.keepalive_s
        if pool.queue or self.retired:
            pool.hand_on(self, connection)
        else:
            self.idle.append(connection)

    def forget(self, connection: Connection, *, stale: bool) -> None:
        """See `Owner`."""
        if connection in self.idle:
            self.idle.remove(connection)
        if stale:
            for other in tuple(self.idle):
                other.break_off()
        self.pool.forget(connection)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call that waits for a connection, or (None) for room to open one."""

    origin: Origin
    until: float
    turn: asyncio.Future[Connection | None]


class Pool:
    """All connections of one transport."""

    def __init__(self, limits: HTTPLimits, tls: ssl.SSLContext) -> None:
        self._limits = limits
        self.keepalive_s = limits.keepalive_s
        self._tls = tls
        self.origins: dict[tuple[str, str | None], Origin] = {}
        self._connections: set[Connection] = set()
        # With those that are being opened.
        self._open = 0
        self.queue: deque[_Waiting] = deque()
        self._look: asyncio.TimerHandle | None = None
        self._closed = False
        self.loop = own_loop()

    def origin(self, key: tuple[str, str | None], address: Address) -> Origin:
        """A new one, known by this key from now on."""
        if len(self.origins) >= _MOST_ORIGINS:
            for name, one in tuple(self.origins.items()):
                if not one.idle:
                    one.retired = True
                    del self.origins[name]
        origin = self.origins[key] = Origin(self, address)
        return origin

    async def acquire(self, origin: Origin, ends_at: float) -> Connection:
        """A connection, when none is idle. Raises: TransportError, nothing sent."""
        now = self.loop().time()
        until = min(ends_at, now + self._limits.connect_s)
        while True:
            given = await self._turn(origin, until)
            if given is None:
                return await self._connect(origin, until)
            if given.usable:
                return given

    def hand_on(self, origin: Origin, connection: Connection) -> None:
        """A connection that has done its work, while somebody waits for one."""
        waiting = self._first()
        if waiting is None and not origin.retired:
            origin.idle.append(connection)
        elif waiting is not None and waiting.origin is origin:
            self.queue.popleft()
            waiting.turn.set_result(connection)
        else:
            # Its room goes to the first, who is of another origin, or is free.
            connection.break_off()

    def forget(self, connection: Connection) -> None:
        """The connection is gone, and its room is free."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._leave()

    async def aclose(self) -> None:
        """Break off everything, and let the loop close the sockets."""
        self._closed = True
        for waiting in self.queue:
            if not waiting.turn.done():
                waiting.turn.set_exception(_not_open())
        self.queue.clear()
        for connection in tuple(self._connections):
            connection.break_off()
        if self._look is not None:
            self._look.cancel()
        await asyncio.sleep(0)

    async def _turn(self, origin: Origin, until: float) -> Connection | None:
        """A connection, or None: room for one, already counted. First come, first."""
        if self._closed:
            raise _not_open()
        if self._open < self._limits.max_connections or self._made_room(origin):
            self._open += 1
            return None
        turn: asyncio.Future[Connection | None]
        turn = self.loop().create_future()
        self.queue.append(_Waiting(origin, until, turn))
        self._watch()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._decline(origin, turn.result())
            raise

    def _made_room(self, origin: Origin) -> bool:
        """Close what another origin keeps idle, the longest idle first."""
        others = (one for one in self.origins.values() if one is not origin)
        idle = [connection for one in others for connection in one.idle]
        if not idle:
            return False
        min(idle, key=lambda connection: connection.due).break_off()
        return self._open < self._limits.max_connections

    def _decline(self, origin: Origin, given: Connection | None) -> None:
        """Who was given it is cancelled."""
        if given is None:
            self._leave()
        elif given.usable:
            origin.rest(given)

    def _leave(self) -> None:
        """There is room for one more."""
        self._open -= 1
        waiting = self._first()
        if waiting is not None:
            self.queue.popleft()
            self._open += 1
            waiting.turn.set_result(None)

    def _first(self) -> _Waiting | None:
        while self.queue and self.queue[0].turn.done():
            self.queue.popleft()
        return self.queue[0] if self.queue else None

    async def _connect(self, origin: Origin, until: float) -> Connection:
        loop = self.loop()
        try:
            connection = await connect(
                origin.address,
                lambda: Connection(origin, loop),
                self._tls,
                within_s=until - loop.time(),
            )
            if self._closed:
                connection.break_off()
            if not connection.usable:
                raise TransportError("connect", "closed at once", sent=False)
        except BaseException:
            self._leave()
            raise
        self._connections.add(connection)
        self._watch()
        return connection

    def _watch(self) -> None:
        if self._look is None:
            self._look = self.loop().call_later(LOOK_S, self._look_round)

    def _look_round(self) -> None:
        """End what is overdue; look again while there is anything."""
        now = self.loop().time()
        for connection in [one for one in self._connections if one.due <= now]:
            connection.overdue()
        for waiting in self.queue:
            if waiting.until <= now and not waiting.turn.done():
                message = "no connection was free in time"
                error = TransportError("timeout", message, sent=False)
                waiting.turn.set_exception(error)
        # Here too: while no connection comes back nobody else looks at the line.
        self.queue = deque(one for one in self.queue if not one.turn.done())
        self._look = None
        if (self._connections or self.queue) and not self._closed:
            self._watch()


def _not_open() -> TransportError:
    return TransportError("connect", "the pool is closed", sent=False)
