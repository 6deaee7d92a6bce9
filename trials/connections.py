"""Very many connections at once: idle ones, active ones, and some that mean harm.

Called by `__main__.py`. The idle ones have been answered once and say nothing more; the
active ones ask every few seconds; the hostile ones send headers or bodies a byte a
second, nothing at all, or half a request and then the end of their side.
"""

import asyncio
import resource
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from .journal import quantile
from .place import Place, Sample

ASK: Final = (
    b"POST /graphql HTTP/1.1\r\nHost: trial\r\nContent-Type: application/json\r\n"
    b'Content-Length: 26\r\n\r\n{"query":"{ __typename }"}'
)
HEAD: Final = b"POST /graphql HTTP/1.1\r\nHost: trial\r\n"
SLOW_BODY: Final = (
    HEAD + b"Content-Type: application/json\r\nContent-Length: 999\r\n\r\n"
)
OPENED_AT_ONCE: Final = 200
ASK_EVERY_S: Final = 5.0
# On top of the server's own time-out, for a machine with much else to do.
GRACE_S: Final = 5.0
MOST_KB_EACH: Final = 64.0
# Descriptors that a worker may hold more than before, in pools towards the upstreams.
MOST_LEFT: Final = 20


@dataclass(frozen=True, slots=True)
class CrowdPlan:
    """`hostile`: of each of the four kinds. Time-outs as the server has them."""

    idle: int = 10_000
    active: int = 1_000
    hostile: int = 50
    active_s: float = 30.0
    head_s: float = 10.0
    body_s: float = 10.0

    @property
    def settings(self) -> dict[str, str]:
        return {
            "HEAD_TIMEOUT_S": f"{self.head_s:g}",
            "BODY_TIMEOUT_S": f"{self.body_s:g}",
            "KEEPALIVE_TIMEOUT_S": "600",
        }


@dataclass(slots=True)
class Found:
    """What became of them; times in seconds."""

    idle: int = 0
    idle_cut: int = 0
    answered_s: list[float] = field(default_factory=list)
    failed: int = 0
    cut_after_s: dict[str, list[float]] = field(default_factory=dict)
    told: dict[str, set[bytes]] = field(default_factory=dict)
    before: list[Sample] = field(default_factory=list)
    during: list[Sample] = field(default_factory=list)
    after: list[Sample] = field(default_factory=list)

    @property
    def kb_each(self) -> float:
        """Memory of the workers for each connection."""
        grown = _rss(self.during) - _rss(self.before)
        return grown / 1024 / max(1, self.idle)

    @property
    def left(self) -> int:
        """Descriptors more than before, when all are gone."""
        return _descriptors(self.after) - _descriptors(self.before)


class Line(asyncio.Protocol):
    """One connection of a client; keeps what it heard, and when it was closed."""

    def __init__(self) -> None:
        self.heard = b""
        self.closed = asyncio.Event()
        self.transport: asyncio.Transport | None = None
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none by their class.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._news.set()

    def send(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    async def ask(self) -> bool:
        """Whether it was answered well."""
        self.heard = b""
        self.send(ASK)
        while not self.heard.endswith(b"}}") and not self.closed.is_set():
            self._news.clear()
            await self._news.wait()
        return self.heard.startswith(b"HTTP/1.1 200") and b'"Query"' in self.heard


async def crowd(plan: CrowdPlan, place: Place, say: Callable[[str], None]) -> Found:
    """Everything at once. Raises: OSError when no more can be opened."""
    _allow_many()
    found = Found()
    now = asyncio.get_running_loop().time
    found.before = place.sample(now())
    port = int(place.url.rsplit(":", 1)[1])
    idle = await _open(port, plan.idle)
    found.idle = len(idle)
    found.during = place.sample(now())
    say(f"{len(idle)} idle connections: {found.kb_each:.1f} KiB each")
    active = await _open(port, plan.active)
    await asyncio.gather(
        _be_active(active, plan.active_s, found),
        *(_be_hostile(kind, port, plan, found) for kind in HOSTILE),
    )
    found.idle_cut = sum(line.closed.is_set() for line in idle)
    for line in (*idle, *active):
        if line.transport is not None:
            line.transport.close()
    await asyncio.sleep(2)
    found.after = place.sample(now())
    return found


async def _open(port: int, count: int) -> list[Line]:
    """Each answered once; a few hundred at a time, since a backlog has an end."""
    lines: list[Line] = []
    while len(lines) < count:
        batch = min(OPENED_AT_ONCE, count - len(lines))
        opened = await asyncio.gather(*(_line(port) for _ in range(batch)))
        await asyncio.gather(*(line.ask() for line in opened))
        lines += opened
    return lines


async def _line(port: int) -> Line:
    loop = asyncio.get_running_loop()
    _, line = await loop.create_connection(Line, "127.0.0.1", port)
    return line


async def _be_active(lines: Sequence[Line], for_s: float, found: Found) -> None:
    now = asyncio.get_running_loop().time
    ends_at = now() + for_s

    async def ask_on(line: Line, first_s: float) -> None:
        await asyncio.sleep(first_s)
        while now() < ends_at:
            started = now()
            if await line.ask():
                found.answered_s.append(now() - started)
            else:
                found.failed += 1
                return
            await asyncio.sleep(ASK_EVERY_S)

    spread = min(ASK_EVERY_S, for_s / 2) / max(1, len(lines))
    await asyncio.gather(*(ask_on(line, n * spread) for n, line in enumerate(lines)))


async def _be_hostile(kind: str, port: int, plan: CrowdPlan, found: Found) -> None:
    now = asyncio.get_running_loop().time
    allowed_s = max(plan.head_s, plan.body_s) + GRACE_S

    async def harm() -> None:
        line = await _line(port)
        started = now()
        doing = asyncio.create_task(HOSTILE[kind](line))
        try:
            async with asyncio.timeout(allowed_s):
                await line.closed.wait()
        except TimeoutError:
            found.cut_after_s[kind].append(float("inf"))
        else:
            found.cut_after_s[kind].append(now() - started)
        doing.cancel()
        found.told[kind].add(line.heard[9:12])
        if line.transport is not None:
            line.transport.abort()

    found.cut_after_s[kind], found.told[kind] = [], set()
    await asyncio.gather(*(harm() for _ in range(plan.hostile)))


async def _silent(line: Line) -> None:
    """Connects, and that is all."""


async def _slow_head(line: Line) -> None:
    for byte in HEAD + b"X-Slow: " + b"a" * 999:
        line.send(bytes([byte]))
        await asyncio.sleep(1)


async def _slow_body(line: Line) -> None:
    line.send(SLOW_BODY)
    for _ in range(999):
        line.send(b" ")
        await asyncio.sleep(1)


async def _half(line: Line) -> None:
    line.send(SLOW_BODY + b'{"query"')
    if line.transport is not None and not line.transport.is_closing():
        line.transport.write_eof()


HOSTILE: Final = {
    "silent": _silent,
    "a byte of head a second": _slow_head,
    "a byte of body a second": _slow_body,
    "half a request, then EOF": _half,
}


def _allow_many() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _rss(samples: list[Sample]) -> int:
    return sum(each.rss_bytes for each in samples)


def _descriptors(samples: list[Sample]) -> int:
    return sum(each.descriptors for each in samples)


def missed(found: Found) -> list[str]:
    """The bars that were missed, in words."""
    never = [
        kind
        for kind, times in found.cut_after_s.items()
        if not times or max(times) == float("inf")
    ]
    bars = {
        f"{found.failed} active questions had no good answer": found.failed,
        f"{found.idle_cut} idle connections were cut": found.idle_cut,
        f"{found.kb_each:.0f} KiB for each connection": found.kb_each > MOST_KB_EACH,
        f"not cut off: {', '.join(never)}": never,
        f"{found.left} descriptors are left open": found.left > MOST_LEFT,
    }
    return [text for text, is_missed in bars.items() if is_missed]


def as_json(plan: CrowdPlan, found: Found) -> dict[str, object]:
    """The last line."""
    return {
        "trial": "connections",
        "idle": found.idle,
        "active": plan.active,
        "answered": len(found.answered_s),
        "failed": found.failed,
        "p50Ms": _ms(found.answered_s, 0.5),
        "p99Ms": _ms(found.answered_s, 0.99),
        "cutAfterS": {
            kind: [round(min(times), 1), round(max(times), 1)]
            for kind, times in found.cut_after_s.items()
        },
        "told": {
            kind: sorted(text.decode() or "nothing" for text in told)
            for kind, told in found.told.items()
        },
        "rssMb": [
            round(_rss(samples) / 2**20)
            for samples in (found.before, found.during, found.after)
        ],
        "kibEach": round(found.kb_each, 1),
        "descriptors": [
            _descriptors(samples)
            for samples in (found.before, found.during, found.after)
        ],
    }


def table(plan: CrowdPlan, found: Found) -> str:
    """For people."""
    figures = as_json(plan, found)
    lines = [
        f"{found.idle} idle: {found.idle_cut} cut, {found.kb_each:.1f} KiB each",
        f"{plan.active} active: {len(found.answered_s)} answers, {found.failed} failed,"
        f" p50 {figures['p50Ms']} ms, p99 {figures['p99Ms']} ms",
        f"workers: {figures['rssMb']} MB, {figures['descriptors']} descriptors"
        " (before, with all, after)",
    ]
    for kind, times in found.cut_after_s.items():
        told = b", ".join(sorted(found.told[kind])).decode() or "nothing"
        lines.append(
            f"{len(times)} of {kind}: cut after {min(times):.1f} to {max(times):.1f} s"
            f" (median {statistics.median(times):.1f}), told {told}"
        )
    return "\n".join(lines)


def _ms(times: list[float], q: float) -> float | None:
    if not times:
        return None
    return round(quantile(((each, 1.0) for each in times), q) * 1000, 1)
