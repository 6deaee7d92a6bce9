"""Random schedules of everything that can happen to sessions, against a real Valkey.

Each step compares what a device gets with what upstream and store held before it:

* the answer is the device's own person, or an error;
* a session that was signed out never answers again;
* while its record is there and any record of its person holds a refresh token that
  the upstream honours, a session answers. (A process that dies between the upstream's
  answer and the write takes the only copy with it; then nothing is honoured.)

Tried by leaving out the compare in compare-and-set, and the look at a person's other
records: each was found within 150 schedules. (Without the lease, or without reading
the vault again, the other safeguards heal what these schedules do; test_renewal.py
shows what those two are for.) `SESSION_SCHEDULES` sets how many are tried.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Coroutine
from typing import Any, Never, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)
from redis import Redis
from session_harness import (
    PASSWORD,
    Clock,
    FakeConduit,
    Process,
    ref_of,
    scope,
)

from clients.errors import NotAuthenticatedError, UpstreamUnavailableError
from sandbox.launch import ValkeyServer
from session.encryption import RecordCodec, VaultEncryption
from session.lease import LeaseSettings
from session.policy import SessionPolicy
from session.redis_connection import RedisSettings, connect
from session.renewal import RenewalSettings
from session.session import Session, SessionRef
from session.vault import RedisVault

T = TypeVar("T")
PEOPLE = ("first@example.com", "second@example.com")
SETTINGS = RenewalSettings(
    give_up_after_s=0.2,
    save_patience_s=2.0,
    lease=LeaseSettings(lease_s=0.3, wait_s=3.0),
)
people = st.sampled_from(PEOPLE)
numbers = st.integers(0, 1)
moments = st.sampled_from([0.0, 0.001, 0.003, 0.01])


class Schedules(RuleBasedStateMachine):
    """Two processes, two people, any number of devices."""

    devices = Bundle("devices")

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.runner = asyncio.Runner()
        self.valkey = Redis.from_url(url)
        self.valkey.flushall()
        self.clock = Clock()
        self.conduit = FakeConduit(self.clock)
        self.ended: set[SessionRef] = set()
        self.vaults: list[RedisVault] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        async def close() -> None:
            for process in self.processes:
                await process.keeper.aclose()
            for vault in self.vaults:
                await vault.aclose()

        self.run(close())
        self.runner.close()
        self.valkey.close()

    @initialize()
    def start(self) -> None:
        self.processes = [self.new_process(), self.new_process()]

    def new_process(self) -> Process:
        client = connect(RedisSettings(url=self.url))
        vault = RedisVault(client, RecordCodec(VaultEncryption()))
        self.vaults.append(vault)
        return Process(vault, self.conduit, self.clock, SessionPolicy(), SETTINGS)

    # -- what is true before a step

    def record(self, key: str) -> dict[str, str]:
        value: dict[str, str] = json.loads(self.valkey.get(f"vault:{key}") or b"{}")
        return value

    def must_answer(self, device: Session) -> bool:
        ref = ref_of(device)
        if ref in self.ended or not self.record(ref.vault_key):
            return False
        index = self.valkey.hkeys(f"mainstem:sessions:{ref.user_id}")
        keys = {ref.vault_key, *(key.decode() for key in index)}
        tokens = [self.record(key).get("refreshToken", "") for key in keys]
        return any(self.conduit.owns(token) == ref.user_id for token in tokens)

    async def answers(self, device: Session, number: int) -> bool:
        """Whether the device is signed in; never as somebody else."""
        try:
            answer = await self.processes[number].call(device)
        except NotAuthenticatedError:
            return False
        assert answer == device.user_id
        assert ref_of(device) not in self.ended
        return True

    # -- what can happen

    @rule(target=devices, person=people, number=numbers)
    def sign_in(self, person: str, number: int) -> Session:
        return self.run(self.processes[number].sign_in(person))

    @rule(target=devices, person=people)
    def sign_in_at_the_next_app(self, person: str) -> Session:
        pair = self.run(self.conduit.sign_in(person, PASSWORD, scope_in(self.runner)))
        ref = SessionRef(f"user-{person}", secrets.token_hex(12))
        value = {"accessToken": pair.access_token, "refreshToken": pair.refresh_token}
        self.valkey.set(f"vault:{ref.vault_key}", json.dumps(value), ex=604_800)
        session = Session(ref, source="cookie")
        assert self.run(self.answers(session, 0))  # adopted by its first use
        self.run(self.processes[0].keeper.tasks.drain(2))
        return session

    @rule(seconds=st.sampled_from([1, 2, 3580, 3601]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(delay_s=st.sampled_from([0.0, 0.002, 0.02]))
    def the_upstream_gets_slower_or_faster(self, delay_s: float) -> None:
        self.conduit.delay_s = delay_s

    @rule(device=devices, number=numbers)
    def operate(self, device: Session, number: int) -> None:
        expected = self.must_answer(device)
        answered = self.run(self.answers(device, number))
        assert answered or not expected

    @rule(first=devices, second=devices)
    def operate_in_a_crowd(self, first: Session, second: Session) -> None:
        """Two devices, each from both processes, five times."""
        crowd = [(d, n) for d in (first, second) for n in (0, 1) for _ in range(5)]
        expected = [self.must_answer(device) for device, _ in crowd]

        async def all_at_once() -> list[bool]:
            return await asyncio.gather(*(self.answers(d, n) for d, n in crowd))

        answered = self.run(all_at_once())
        lost = [e and not a for e, a in zip(expected, answered, strict=True)]
        assert not any(lost)

    @rule(device=devices, person=people, moment=moments)
    def operate_while_signing_in(
        self, device: Session, person: str, moment: float
    ) -> None:
        expected = self.must_answer(device)

        async def both() -> bool:
            operating = asyncio.create_task(self.answers(device, 0))
            await asyncio.sleep(moment)
            await self.processes[1].sign_in(person)
            return await operating

        assert self.run(both()) or not expected

    @rule(device=devices, number=numbers, moment=moments)
    def a_client_disconnects(self, device: Session, number: int, moment: float) -> None:
        async def abandoned() -> None:
            operating = asyncio.create_task(self.answers(device, number))
            await asyncio.sleep(moment)
            operating.cancel()
            await asyncio.gather(operating, return_exceptions=True)

        self.run(abandoned())

    @rule(device=devices, number=numbers, moment=moments)
    def a_process_dies(self, device: Session, number: int, moment: float) -> None:
        async def killed() -> None:
            process = self.processes[number]
            operating = asyncio.create_task(self.answers(device, number))
            await asyncio.sleep(moment)
            # All at once and for good: nothing of it may clean up after itself.
            process.vault.__class__ = Dead
            operating.cancel()
            for task in list(process.keeper.tasks._tasks):
                task.cancel()
            await asyncio.gather(operating, return_exceptions=True)
            self.processes[number] = self.new_process()

        self.run(killed())

    @rule(device=devices, number=numbers, moment=moments)
    def redis_fails_over(self, device: Session, number: int, moment: float) -> None:
        """Connections break and the newest writes, here the locks, are lost."""
        expected = self.must_answer(device)

        async def failing_over() -> bool | None:
            operating = asyncio.create_task(self.answers(device, number))
            await asyncio.sleep(moment)
            self.valkey.client_kill_filter(_type="normal", skipme=True)
            for name in self.valkey.keys("mainstem:lock:*"):
                self.valkey.delete(name)
            try:
                return await operating
            except UpstreamUnavailableError:
                return None

        assert self.run(failing_over()) is not False or not expected

    @rule(device=devices, number=numbers)
    def sign_out(self, device: Session, number: int) -> None:
        self.run(self.signed_out(device, number, everywhere=False))

    @rule(device=devices, number=numbers, moment=moments)
    def sign_out_while_operating(
        self, device: Session, number: int, moment: float
    ) -> None:
        async def both() -> None:
            operating = asyncio.create_task(self.answers(device, 1 - number))
            await asyncio.sleep(moment)
            await self.signed_out(device, number, everywhere=False)
            await asyncio.gather(operating, return_exceptions=True)

        self.run(both())
        assert not self.run(self.answers(device, 0))

    @rule(target=devices, device=devices, number=numbers)
    def sign_out_everywhere(self, device: Session, number: int) -> object:
        ref = ref_of(device)
        if self.record(ref.vault_key):
            self.run(self.signed_out(device, number, everywhere=True))
            assert self.valkey.hkeys(f"mainstem:sessions:{ref.user_id}") == []
            assert ref.user_id not in self.conduit.live_users()
        return multiple()

    async def signed_out(
        self, device: Session, number: int, *, everywhere: bool
    ) -> None:
        copy = Session(device.ref, source="cookie")
        await self.processes[number].service.sign_out(
            copy, scope(), everywhere=everywhere
        )
        self.ended.add(ref_of(device))


class Dead(RedisVault):
    """The store as a process sees it that has been killed: it cannot do a thing."""

    async def _guarded(self, call: object) -> object:
        raise asyncio.CancelledError

    async def _together(self, *commands: object) -> list[object]:
        raise asyncio.CancelledError

    def begin_read(self, ref: object, **more: object) -> Never:
        raise asyncio.CancelledError


def scope_in(runner: asyncio.Runner) -> Any:
    async def make() -> Any:
        return scope()

    return runner.run(make())


def test_no_schedule_loses_or_crosses_a_session(valkey_server: ValkeyServer) -> None:
    run_state_machine_as_test(
        lambda: Schedules(valkey_server.url),
        settings=settings(
            max_examples=int(os.environ.get("SESSION_SCHEDULES", "20")),
            # The short form tries the same schedules each time; the long one searches.
            derandomize="SESSION_SCHEDULES" not in os.environ,
            stateful_step_count=20,
            deadline=None,
            # Real time and a real store: what fails once may not fail again.
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
