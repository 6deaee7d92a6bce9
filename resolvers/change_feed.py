"""What has changed through this server, told to all of its processes.

`resolvers/changes.py` announces changes and turns them into events; the feed itself is
one per process, made by `server/resources.py`. A word on the broadcast holds kind and
ids, never contents: what a subscriber may see is decided when the row is read again,
with the subscriber's own token.
"""

import asyncio
import logging
import weakref
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Literal

import msgspec

from clients.errors import InvalidInputError
from clients.ids import conduit_id, flux_id
from session.broadcast import Broadcast, Listener, LocalBroadcast

from .batching import MAX_BATCH

DEFAULT_BACKLOG: Final = 256

log = logging.getLogger("mainstem.changes")


class ChangeKind(StrEnum):
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


class ChangesMissedError(Exception):
    """Changes came that this subscriber has not been told of; it must read anew."""


class Change(msgspec.Struct, frozen=True):
    """`owner_id`: whose row it is, where not everybody may hear of it."""

    domain: Literal["Note", "Post"]
    kind: ChangeKind
    id: str
    owner_id: str | None = None


_WORD: Final = msgspec.json.Decoder(Change)


class Mailbox:
    """Changes that wait for one subscriber; several of one row count as one.

    Bounded: a subscriber that cannot keep up is told so, once, and gets no more.
    """

    def __init__(self, wants: Callable[[Change], bool], *, backlog: int) -> None:
        self._wants = wants
        self._backlog = backlog
        self._waiting: dict[str, Change] = {}
        self._news = asyncio.Event()
        self._missed = False

    def put(self, change: Change) -> None:
        """Keep it, if the subscriber wants it."""
        if self._missed or not self._wants(change):
            return
        if change.id not in self._waiting and len(self._waiting) >= self._backlog:
            self.miss()
            return
        before = self._waiting.pop(change.id, None)
        self._waiting[change.id] = change if before is None else _both(before, change)
        self._news.set()

    def miss(self) -> None:
        """From here on the subscriber would not know what it has not been told."""
        self._missed = True
        self._waiting.clear()
        self._news.set()

    async def take(self) -> list[Change]:
        """The next changes, as many as one call upstream can read.

        Raises: ChangesMissedError.
        """
        await self._news.wait()
        if self._missed:
            raise ChangesMissedError
        keys = list(self._waiting)[:MAX_BATCH]
        batch = [self._waiting.pop(key) for key in keys]
        if not self._waiting:
            self._news.clear()
        return batch


class ChangeFeed:
    """Tells every mailbox of this process what changed in any process."""

    def __init__(
        self, broadcast: Broadcast | None = None, *, backlog: int = DEFAULT_BACKLOG
    ) -> None:
        """Without a broadcast it reaches this feed's own mailboxes only."""
        self._broadcast = broadcast or LocalBroadcast()
        self._backlog = backlog
        # Weak: a mailbox lives as long as its subscription, however that ends.
        self._mailboxes: weakref.WeakSet[Mailbox] = weakref.WeakSet()
        self._broadcast.listen("changes", Listener(self._hear, self._lost))

    def announce(self, change: Change) -> None:
        """Tell everybody, soon; it never fails and nobody waits for it."""
        self._broadcast.send("changes", msgspec.json.encode(change))

    async def mailbox(self, wants: Callable[[Change], bool]) -> Mailbox:
        """A mailbox that gets every change from now on.

        Raises: VaultUnavailableError while nothing can be heard.
        """
        await self._broadcast.up()
        mailbox = Mailbox(wants, backlog=self._backlog)
        self._mailboxes.add(mailbox)
        return mailbox

    def _hear(self, word: bytes) -> None:
        if not self._mailboxes:
            return
        try:
            change = _checked(_WORD.decode(word))
        except (msgspec.MsgspecError, UnicodeDecodeError, InvalidInputError):
            log.warning("a change that makes no sense was ignored")
            return
        for mailbox in self._mailboxes:
            mailbox.put(change)

    def _lost(self) -> None:
        for mailbox in self._mailboxes:
            mailbox.miss()


def _checked(change: Change) -> Change:
    """One malformed id would fail the whole batch that reads the rows."""
    check = flux_id if change.domain == "Note" else conduit_id
    return msgspec.structs.replace(change, id=check(change.id))


def _both(before: Change, change: Change) -> Change:
    """Two changes of one row as one. Ids are used once, so a deletion is the last."""
    if before.kind is ChangeKind.DELETED:
        return before
    if before.kind is ChangeKind.CREATED and change.kind is ChangeKind.UPDATED:
        return before
    return change
