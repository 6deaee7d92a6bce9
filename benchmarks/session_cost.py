"""What a session costs a request: the cookie unsealed and the vault read once.

Called by `__main__.py`. The parts are our server's own, opened as it opens them, in
the process of the benchmark on the server's core; Valkey is on the other. One request
after the other, so the time is the latency that a session adds when nobody waits, and
the CPU is what it takes from the server. The least of many repeats counts: whatever
else the machine does can only add.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter, process_time

from clients.http import CallScope
from server.resources import open_resources
from server.settings import Settings
from session.cookie import SessionCookie
from session.session import Session

from .processes import LOAD_CORE, SERVER_CORE, pinned
from .servers import OURS, Surroundings
from .surroundings import PERSON, stage

REPEATS = 20
READS = 200


@dataclass(frozen=True, slots=True)
class SessionCost:
    """Microseconds a request."""

    unseal_us: float
    vault_us: float
    cpu_us: float

    @property
    def total_us(self) -> float:
        return self.unseal_us + self.vault_us


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
        scope = CallScope.for_background(30.0, "benchmark")
        await resources.sessions.sign_in(session, *PERSON, scope)
        name, _, rest = cookie.write(session)[0].partition("=")
        cookies = {name: rest.partition(";")[0]}
        ref = session.ref
        if ref is None:
            raise RuntimeError("the sign-in opened no session")

        async def unseal() -> None:
            cookie.read(cookies)

        async def read_vault() -> None:
            await resources.keeper.resolve(ref)

        await read_vault()  # connects
        unseal_us, unseal_cpu_us = await _timed(unseal)
        vault_us, vault_cpu_us = await _timed(read_vault)
        return SessionCost(unseal_us, vault_us, unseal_cpu_us + vault_cpu_us)


async def _timed(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Wall time and CPU time of one run, in microseconds: least of all repeats."""
    walls, cpus = [], []
    for _ in range(REPEATS):
        wall, cpu = perf_counter(), process_time()
        for _ in range(READS):
            await work()
        walls.append((perf_counter() - wall) / READS * 1e6)
        cpus.append((process_time() - cpu) / READS * 1e6)
    return min(walls), min(cpus)
