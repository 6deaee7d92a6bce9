"""The mailbox: what is told, what counts as one, and when too much is too much."""

import asyncio
import gc
from collections.abc import Sequence

import pytest
from clock import timeless

from clients.errors import RateLimitedError
from resolvers.change_feed import (
    Change,
    ChangeFeed,
    ChangeKind,
    ChangesMissedError,
    Mailbox,
)
from resolvers.changes import LONGEST_WAIT_S, PAUSES_S, _events
from session.broadcast import LocalBroadcast
from tests.resolvers.stubs import World, make_context

NOTE = "5f0f9a1e-2d3c-4b5a-8f6e-7d8c9b0a1f2e"
CREATED, UPDATED, DELETED = ChangeKind


def everything(change: Change) -> bool:
    return True


async def kinds_of(mailbox: Mailbox) -> list[ChangeKind]:
    return [change.kind for change in await mailbox.take()]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([CREATED, UPDATED], CREATED),
        ([UPDATED, UPDATED], UPDATED),
        ([CREATED, DELETED], DELETED),
        ([DELETED, UPDATED], DELETED),
    ],
)
async def test_changes_of_one_row_that_come_together_are_told_as_one(
    changes: list[ChangeKind], told: ChangeKind
) -> None:
    """Words of two processes may overtake each other; a deletion is the last."""
    mailbox = Mailbox(everything, backlog=2)
    for kind in changes:
        mailbox.put(Change("Note", kind, NOTE))
    assert await kinds_of(mailbox) == [told]


async def test_a_batch_is_what_one_call_can_read_and_the_rest_waits() -> None:
    mailbox = Mailbox(everything, backlog=250)
    for n in range(250):
        mailbox.put(Change("Note", CREATED, str(n)))
    sizes = [len(await mailbox.take()) for _ in range(3)]
    assert sizes == [100, 100, 50]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(mailbox.take(), 0.01)


async def test_more_than_the_backlog_is_told_as_missed_and_keeps_nothing() -> None:
    mailbox = Mailbox(everything, backlog=2)
    for n in range(3):
        mailbox.put(Change("Note", CREATED, str(n)))
    mailbox.put(Change("Note", CREATED, "later"))
    with pytest.raises(ChangesMissedError):
        await mailbox.take()


async def test_a_feed_tells_ids_and_nothing_else() -> None:
    broadcast = LocalBroadcast()
    words: list[bytes] = []
    feed = ChangeFeed(broadcast)
    listener_of(broadcast, words)
    feed.announce(Change("Note", UPDATED, NOTE, "owner"))
    assert words == [
        b'{"domain":"Note","kind":"UPDATED","id":"%b","owner_id":"owner"}'
        % NOTE.encode()
    ]


@pytest.mark.parametrize(
    "word",
    [
        b"nonsense",
        b'{"domain":"File","kind":"UPDATED","id":"1"}',
        b'{"domain":"Note","kind":"UPDATED","id":"not a uuid"}',
        b"\xff",
        b'{"domain":"Note","kind":"UPDATED","id":"\xff"}',
    ],
)
async def test_a_word_that_makes_no_sense_reaches_nobody(word: bytes) -> None:
    """One malformed id would fail the whole batch that reads the rows."""
    broadcast = LocalBroadcast()
    feed = ChangeFeed(broadcast)
    mailbox = await feed.mailbox(everything)
    broadcast.send("changes", word)
    feed.announce(Change("Note", CREATED, NOTE))
    assert await mailbox.take() == [Change("Note", CREATED, NOTE)]


async def test_a_mailbox_that_nobody_holds_is_forgotten() -> None:
    feed = ChangeFeed()
    mailbox = await feed.mailbox(everything)
    assert len(feed._mailboxes) == 1
    del mailbox
    gc.collect()
    assert len(feed._mailboxes) == 0


def listener_of(broadcast: LocalBroadcast, words: list[bytes]) -> None:
    from session.broadcast import Listener

    broadcast.listen("changes", Listener(words.append, lambda: None))


@pytest.mark.parametrize("told_s", [None, 20.0])
def test_a_budget_that_is_used_up_is_waited_for(told_s: float | None) -> None:
    """Or all subscribers would end at once, and come back to read anew at once."""
    asked: list[float] = []

    async def read(_: object, batch: Sequence[Change]) -> dict[str, None]:
        asked.append(asyncio.get_running_loop().time() - 1000)
        if len(asked) == 1:
            raise RateLimitedError("used up", retry_after_s=told_s)
        return dict.fromkeys(change.id for change in batch)

    async def work() -> None:
        feed = ChangeFeed()
        mailbox = await feed.mailbox(everything)
        feed.announce(Change("Note", CREATED, NOTE))
        events = _events(make_context(World()), mailbox, read)
        assert (await anext(events)).id == NOTE

    timeless(work())
    assert asked == [0, told_s or PAUSES_S[0]]


def test_a_budget_that_lasts_too_long_ends_the_events() -> None:
    async def read(_: object, batch: Sequence[Change]) -> dict[str, None]:
        raise RateLimitedError("used up", retry_after_s=LONGEST_WAIT_S + 1)

    async def work() -> None:
        feed = ChangeFeed()
        mailbox = await feed.mailbox(everything)
        feed.announce(Change("Note", CREATED, NOTE))
        with pytest.raises(RateLimitedError):
            await anext(_events(make_context(World()), mailbox, read))

    timeless(work())
