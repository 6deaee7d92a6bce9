"""`Broadcast`: short words from one server process to all, itself included.

Used by `session/watch.py` (sessions that have ended) and `resolvers/change_feed.py`
(what has changed). It lies here because Redis does: everything above asks for it by
the protocol. Words are small and hold ids only; whoever hears one looks for itself.

Redis pub/sub keeps nothing: a process that is cut off misses words. It finds out when
the line is back (`lost`), and whoever listens must then look anew.

Channels: `mainstem:live:{topic}`. Commands, for an ACL: PUBLISH SUBSCRIBE PING, on the
channels `&mainstem:live:*`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, cast

from redis.exceptions import RedisClusterException, RedisError

from clients.errors import VaultUnavailableError

from .outage import Outage
from .redis_connection import (
    RedisCommands,
    RedisSettings,
    connect,
    single_server,
)
from .redis_reader import RedisReader
from .shared_read import SharedRead

Topic = Literal["changes", "ends"]
TOPICS: Final[tuple[Topic, ...]] = ("changes", "ends")

LONGEST_WORD_BYTES: Final = 512
MOST_WAITING: Final = 10_000
# Opening the line needs a moment when Redis has just come back.
UP_S: Final = 2.0
# A line that is silent for so long is asked whether it is still there.
SILENCE_S: Final = 10.0
SHORTEST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0

FAILURES: Final = (RedisError, RedisClusterException, OSError, VaultUnavailableError)

log = logging.getLogger("mainstem.session")


@dataclass(frozen=True, slots=True)
class Listener:
    """Neither call may block or raise. `lost`: words may have been missed."""

    hear: Callable[[bytes], None]
    lost: Callable[[], None]


class Broadcast(Protocol):
    """One per process."""

    def send(self, topic: Topic, word: bytes) -> None:
        """Say it soon, in order. Never waits, never fails: it may get lost."""

    def listen(self, topic: Topic, listener: Listener) -> None:
        """Tell `listener` every word from now on, once the line is `up`."""

    async def up(self) -> None:
        """Return when words are heard. Raises: VaultUnavailableError."""

    async def aclose(self) -> None:
        """Say what is waiting, then hang up."""


class LocalBroadcast:
    """Within one process and without Redis; for unit tests."""

    def __init__(self) -> None:
        self._listeners = _Listeners()

    def send(self, topic: Topic, word: bytes) -> None:
        self._listeners.hear(topic, word)

    def listen(self, topic: Topic, listener: Listener) -> None:
        self._listeners.add(topic, listener)

    async def up(self) -> None:
        return

    async def aclose(self) -> None:
        return


class PubSub(Protocol):
    """What is needed of redis-py's own class, which it left untyped."""

    def subscribe(self, *channels: str) -> Awaitable[None]: ...

    def ping(self) -> Awaitable[object]: ...

    def get_message(self, *, timeout: float) -> Awaitable[dict[str, object] | None]: ...

    def aclose(self) -> Awaitable[None]: ...


class RedisLine(RedisCommands, Protocol):
    """A client of `redis_connection.connect`, seen as a line."""

    def pubsub(self) -> PubSub: ...


def redis_broadcast(settings: RedisSettings) -> "RedisBroadcast":
    """A broadcast with connections of its own, so that it takes none of the vault's."""
    client = connect(replace(settings, max_connections=4))
    return RedisBroadcast(cast("RedisLine", client))


class RedisBroadcast:
    """Over Redis pub/sub. Nothing is opened before the first word or `up`."""

    def __init__(self, client: RedisLine, *, prefix: str = "mainstem:live:") -> None:
        self._client = client
        # redis-py takes 110 µs of CPU for a word, which is a tenth of a mutation.
        pool = single_server(client)
        self._line = RedisReader(pool, Outage()) if pool is not None else None
        self._channels = {topic: f"{prefix}{topic}" for topic in TOPICS}
        self._listeners = _Listeners()
        # The line keeps the order of words, so the last one is answered last.
        self._last: SharedRead[int] | None = None
        # Of redis-py, which sends one after the other.
        self._waiting: asyncio.Queue[tuple[Topic, bytes]] = asyncio.Queue(MOST_WAITING)
        self._sending: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._is_up = asyncio.Event()
        self._closing = False

    def send(self, topic: Topic, word: bytes) -> None:
        if len(word) > LONGEST_WORD_BYTES:
            log.error("word too long to say", extra={"fields": {"topic": topic}})
            return
        if self._line is None:
            self._send_later(topic, word)
            return
        channel = self._channels[topic]
        try:
            self._last = self._line.ask(
                "PUBLISH", channel, word, convert=int, lost=_lost
            )
        except VaultUnavailableError as error:
            _lost(error)

    def listen(self, topic: Topic, listener: Listener) -> None:
        self._listeners.add(topic, listener)

    async def up(self) -> None:
        self._hearing = _running(self._hearing, self._hear_all)
        try:
            async with asyncio.timeout(UP_S):
                await self._is_up.wait()
        except TimeoutError:
            # Who goes on without the line hears when it is there: words may have
            # been missed, although nothing was cut.
            self._listeners.some_went_on = True
            raise VaultUnavailableError(
                "no line for live changes", service="vault"
            ) from None

    async def aclose(self) -> None:
        with contextlib.suppress(TimeoutError, VaultUnavailableError):
            async with asyncio.timeout(UP_S):
                await self._said()
        self._closing = True
        for task in (self._sending, self._hearing):
            if task is not None:
                task.cancel()  # which redis-py may forget: see `_closing`
                await asyncio.wait({task}, timeout=UP_S)
        if self._line is not None:
            await self._line.aclose()
        await self._client.aclose()

    async def _said(self) -> None:
        """Return when all words have been said. Raises: VaultUnavailableError."""
        if self._last is not None:
            await self._last
        if self._sending is not None:
            await asyncio.wait({self._sending})

    def _send_later(self, topic: Topic, word: bytes) -> None:
        try:
            self._waiting.put_nowait((topic, word))
        except asyncio.QueueFull:
            log.warning("word dropped: Redis does not take them fast enough")
            return
        self._sending = _running(self._sending, self._send_all)

    async def _send_all(self) -> None:
        """One sender, so that the words of this process keep their order."""
        while not self._waiting.empty():
            topic, word = self._waiting.get_nowait()
            try:
                channel = self._channels[topic]
                await self._client.execute_command("PUBLISH", channel, word)
            except Exception as error:
                _lost(error)

    async def _hear_all(self) -> None:
        pause_s = SHORTEST_PAUSE_S
        while not self._closing:
            try:
                await self._hear()
            except FAILURES as error:
                log.warning(
                    "live line broken",
                    extra={"fields": {"error": type(error).__name__}},
                )
            except Exception:
                # A line that has ended for good would still look as if it were up.
                log.exception("live line broken")
            pause_s = SHORTEST_PAUSE_S if self._is_up.is_set() else pause_s * 2
            self._is_up.clear()
            await asyncio.sleep(min(pause_s, LONGEST_PAUSE_S))

    async def _hear(self) -> None:
        """Listen on one connection until it breaks."""
        pubsub = self._client.pubsub()
        try:
            await pubsub.subscribe(*self._channels.values())
            unanswered = 0
            while unanswered < 2 and not self._closing:
                message = await pubsub.get_message(timeout=SILENCE_S)
                if message is None:
                    unanswered += 1
                    await pubsub.ping()
                else:
                    unanswered = 0
                    self._take(message)
        finally:
            with contextlib.suppress(*FAILURES):
                await pubsub.aclose()

    def _take(self, message: dict[str, object]) -> None:
        channel, word = message.get("channel"), message.get("data")
        name = channel.decode() if isinstance(channel, bytes) else channel
        topic = next((one for one, its in self._channels.items() if its == name), None)
        if topic is None:
            return
        if message.get("type") == "subscribe":
            # redis-py connects anew by itself, and this is how one hears of it.
            self._listeners.subscribed(topic)
            if self._listeners.all_subscribed:
                self._is_up.set()
        elif isinstance(word, bytes) and len(word) <= LONGEST_WORD_BYTES:
            self._listeners.hear(topic, word)


class _Listeners:
    def __init__(self) -> None:
        self._by_topic: dict[Topic, list[Listener]] = {topic: [] for topic in TOPICS}
        self._subscribed: set[Topic] = set()
        self.some_went_on = False

    @property
    def all_subscribed(self) -> bool:
        return len(self._subscribed) == len(TOPICS)

    def add(self, topic: Topic, listener: Listener) -> None:
        self._by_topic[topic].append(listener)

    def hear(self, topic: Topic, word: bytes) -> None:
        for listener in self._by_topic[topic]:
            listener.hear(word)

    def subscribed(self, topic: Topic) -> None:
        """The first time there was no gap, unless somebody went on without it."""
        if topic in self._subscribed or self.some_went_on:
            for listener in self._by_topic[topic]:
                listener.lost()
        self._subscribed.add(topic)


def _lost(error: Exception) -> None:
    """Nobody waits for a word, and the session or row is as it is anyway."""
    if isinstance(error, FAILURES):
        log.warning("word lost", extra={"fields": {"error": type(error).__name__}})
    else:
        log.error("word lost", exc_info=error)


def _running(
    task: asyncio.Task[None] | None, work: Callable[[], Coroutine[object, object, None]]
) -> asyncio.Task[None]:
    """`task`, or a new one if it has not been started or has ended."""
    if task is None or task.done():
        return asyncio.get_running_loop().create_task(work())
    return task
