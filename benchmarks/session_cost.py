"""What a session costs a request: the cookie unsealed, the vault read, both tokens.

Called by `__main__.py`. The parts are our server's own, opened as it opens them, in
the process of the benchmark on the server's core; Valkey is on the other. One request
after the other shows the latency that a session adds when nobody waits; sixteen at once
what it takes from a busy server, where reads of the vault go out together. The least of
many repeats counts: whatever else the machine does can only add.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter, process_time

from clients.http import CallScope
from server.cookies import LateSession
from server.head import Head
from server.resources import Resources, open_resources
from server.settings import Settings
from session.auth import ConduitAuth, FluxAuth
from session.cookie import SessionCookie
from session.session import Session

from .processes import LOAD_CORE, SERVER_CORE, pinned
from .servers import OURS, Surroundings
from .surroundings import PERSON, stage

REPEATS = 20
READS = 200
AT_ONCE = 16

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SessionCost:
    """Microseconds a request; `busy`: with AT_ONCE requests in flight."""

    unseal_us: float
    vault_us: float
    unseal_cpu_us: float
    vault_cpu_us: float
    busy_vault_cpu_us: float

    @property
    def total_us(self) -> float:
        return self.unseal_us + self.vault_us

    @property
    def cpu_us(self) -> float:
        return self.unseal_cpu_us + self.vault_cpu_us

    @property
    def busy_cpu_us(self) -> float:
        return self.unseal_cpu_us + self.busy_vault_cpu_us


async def measure() -> SessionCost:
    """Sign in at the stub, then resolve that session over and over."""
    with pinned(LOAD_CORE):
        async with stage() as set_up:
            with pinned(SERVER_CORE):
                return await _measure(_settings(set_up.around))


def _settings(around: Surroundings) -> Settings:
    values = around.values(port=0)
    env = {name: value.format_map(values) for name, value in OURS.env.items()}
    return Settings.from_env(env)


async def _measure(settings: Settings) -> SessionCost:
    cookie = SessionCookie(settings.session.cookie)
    async with open_resources(settings, cookie) as resources:
        session = Session()
        scope = CallScope.for_background(600.0, "benchmark")
        await resources.shared.sessions.sign_in(session, *PERSON, scope)
        sent = cookie.write(session)[0].partition(";")[0].encode()
        head = Head([(b"host", b"localhost"), (b"cookie", sent)])

        async def unseal() -> None:
            LateSession(cookie, head).read()

        async def read_vault() -> None:
            await _both_tokens(resources, Session(session.ref), scope)

        await read_vault()  # connects
        unseal_us, unseal_cpu_us = await _timed(unseal, at_once=1)
        vault_us, vault_cpu_us = await _timed(read_vault, at_once=1)
        _, busy_vault_cpu_us = await _timed(read_vault, at_once=AT_ONCE)
        return SessionCost(
            unseal_us, vault_us, unseal_cpu_us, vault_cpu_us, busy_vault_cpu_us
        )


async def _both_tokens(
    resources: Resources, session: Session, scope: CallScope
) -> None:
    """What a request does that asks both upstreams."""
    conduit = ConduitAuth(resources.keeper, session, scope)
    flux = FluxAuth(resources.flux_tokens, session, conduit)
    await conduit.token()
    await flux.token()


async def _timed(work: Work, *, at_once: int) -> tuple[float, float]:
    """Wall time and CPU time of one run, in microseconds: least of all repeats."""
    walls, cpus = [], []
    each = READS // at_once
    for _ in range(REPEATS):
        wall, cpu = perf_counter(), process_time()
        if at_once == 1:
            await _repeat(work, each)
        else:
            await asyncio.gather(*(_repeat(work, each) for _ in range(at_once)))
        walls.append((perf_counter() - wall) / (each * at_once) * 1e6)
        cpus.append((process_time() - cpu) / (each * at_once) * 1e6)
    return min(walls), min(cpus)


async def _repeat(work: Work, times: int) -> None:
    for _ in range(times):
        await work()
