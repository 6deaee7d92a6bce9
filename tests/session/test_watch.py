"""When a connection that stays open hears that its session has ended."""

import asyncio
from collections.abc import Callable

import pytest

from clients.conduit.records import TokenPair
from clients.errors import VaultUnavailableError
from session.broadcast import LocalBroadcast, Topic
from session.memory import MemoryVault
from session.policy import SessionPolicy
from session.records import SessionEntry, VaultRecord
from session.session import SessionRef
from session.watch import SessionWatch

REF = SessionRef("person", "k" * 32)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def open_session(vault: MemoryVault, clock: Callable[[], float]) -> None:
    await vault.create(REF.vault_key, TokenPair("a.b.c", "r"))
    await vault.enter(REF, SessionEntry(clock(), clock()))


def watch_of(vault: MemoryVault, clock: Clock, every_s: float) -> SessionWatch:
    return SessionWatch(
        vault, SessionPolicy(), LocalBroadcast(), every_s=every_s, clock=clock
    )


async def test_an_announced_end_is_heard_at_once() -> None:
    vault, clock = MemoryVault(), Clock()
    await open_session(vault, clock)
    watch = watch_of(vault, clock, every_s=3600)
    waiting = asyncio.create_task(watch.until_end(REF))
    await asyncio.sleep(0.05)
    await vault.take(REF.vault_key)
    assert not waiting.done()
    watch.announce(REF.vault_key)
    await asyncio.wait_for(waiting, 1)


class OpeningBroadcast(LocalBroadcast):
    """What is said before the line is up is heard by nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()

    def send(self, topic: Topic, word: bytes) -> None:
        if self.opened.is_set():
            super().send(topic, word)

    async def up(self) -> None:
        await self.opened.wait()


async def test_an_end_while_the_line_is_being_opened_is_found_when_it_is_up() -> None:
    vault, clock, line = MemoryVault(), Clock(), OpeningBroadcast()
    await open_session(vault, clock)
    watch = SessionWatch(vault, SessionPolicy(), line, every_s=3600, clock=clock)
    waiting = asyncio.create_task(watch.until_end(REF))
    await asyncio.sleep(0.05)
    await vault.take(REF.vault_key)
    watch.announce(REF.vault_key)
    line.opened.set()
    await asyncio.wait_for(waiting, 1)


async def test_a_crowd_that_looks_at_once_leaves_the_vault_to_others_too() -> None:
    """After a cut of the line all look. What is refused then is found much later."""

    class Narrow(MemoryVault):
        """As the reader's bound on questions, only smaller."""

        asking = 0

        async def resolve(
            self, ref: SessionRef
        ) -> tuple[VaultRecord | None, SessionEntry | None]:
            if self.asking >= 500:
                raise VaultUnavailableError("too many wait")
            self.asking += 1
            await asyncio.sleep(0)
            self.asking -= 1
            return await super().resolve(ref)

    vault, clock = Narrow(), Clock()
    await open_session(vault, clock)
    watch = watch_of(vault, clock, every_s=3600)
    waiting = [asyncio.create_task(watch.until_end(REF)) for _ in range(1000)]
    await asyncio.sleep(0.1)
    await vault.take(REF.vault_key)
    watch._look_at_all()
    await asyncio.wait_for(asyncio.gather(*waiting), 60)


async def test_an_announcement_is_not_believed_without_a_look() -> None:
    """Whoever can publish must not be able to sign people out."""
    vault, clock = MemoryVault(), Clock()
    await open_session(vault, clock)
    watch = watch_of(vault, clock, every_s=3600)
    waiting = asyncio.create_task(watch.until_end(REF))
    await asyncio.sleep(0.05)
    watch.announce(REF.vault_key)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize("idle", [True, False])
async def test_ends_by_time_are_found_and_looking_is_no_use_of_the_session(
    idle: bool,
) -> None:
    vault, clock = MemoryVault(), Clock()
    await open_session(vault, clock)
    watch = watch_of(vault, clock, every_s=0.01)
    waiting = asyncio.create_task(watch.until_end(REF))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    policy = SessionPolicy()
    clock.now += (policy.idle_s if idle else policy.absolute_s) + 1
    await asyncio.wait_for(waiting, 1)


async def test_an_outage_of_the_vault_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vault, clock = MemoryVault(), Clock()
    await open_session(vault, clock)

    async def down(ref: SessionRef) -> None:
        raise VaultUnavailableError("down", service="vault")

    watch = watch_of(vault, clock, every_s=0.01)
    with monkeypatch.context() as patch:
        patch.setattr(vault, "resolve", down)
        waiting = asyncio.create_task(watch.until_end(REF))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    await vault.take(REF.vault_key)
    await asyncio.wait_for(waiting, 1)


async def test_a_watch_that_is_given_up_leaves_nothing_behind() -> None:
    vault, clock = MemoryVault(), Clock()
    await open_session(vault, clock)
    watch = watch_of(vault, clock, every_s=3600)
    waiting = asyncio.create_task(watch.until_end(REF))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert not watch._waiting
