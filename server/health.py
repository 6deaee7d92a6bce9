"""`/health/live` and `/health/ready`, for the platform's probes.

Live: this process answers. Ready: Redis, Flux and Conduit answer too, and the process
is not about to stop (`workers.py`). Readiness is
looked up at most every ten seconds whatever the number of probes, because Conduit
counts requests per address (flux.md §9, conduit.md §8). The answer names the part that
fails, never its address.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .refusals import method_not_allowed

log = logging.getLogger("mainstem.health")

CACHE_S: Final = 10.0
PROBE_TIMEOUT_S: Final = 2.0

Probe = Callable[[], Awaitable[None]]
State = Literal["ok", "failed"]
STOPPING: Final[Mapping[str, object]] = {"status": "stopping", "checks": {}}


class Readiness:
    """Runs the probes side by side, and remembers what they said."""

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        leaving: asyncio.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probes = probes
        self._leaving = leaving
        self._clock = clock
        self._lock = asyncio.Lock()
        self._checks: dict[str, State] = {}
        self._checked_at: float | None = None

    @property
    def leaving(self) -> bool:
        """Whether this process takes leave: then nobody new should come."""
        return self._leaving is not None and self._leaving.is_set()

    async def checks(self) -> dict[str, State]:
        """State by part. Probes that come together share one look."""
        async with self._lock:
            now = self._clock()
            if self._checked_at is None or now - self._checked_at >= CACHE_S:
                names = list(self._probes)
                states = await asyncio.gather(*map(self._probe, names))
                self._checks = dict(zip(names, states, strict=True))
                self._checked_at = now
            return self._checks

    async def _probe(self, name: str) -> State:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self._probes[name]()
        except Exception as error:
            # Whatever it is, the part does not work; the log says what it was.
            log.warning("%s is not ready: %s: %s", name, type(error).__name__, error)
            return "failed"
        return "ok"


class LiveRoute:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(scope, receive, send, 200, {"status": "ok"})


class ReadyRoute:
    def __init__(self, readiness_of: Callable[[Scope], Readiness]) -> None:
        self._readiness_of = readiness_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        readiness = self._readiness_of(scope)
        if readiness.leaving:
            await _answer(scope, receive, send, 503, STOPPING)
            return
        checks = await readiness.checks()
        well = all(state == "ok" for state in checks.values())
        body = {"status": "ok" if well else "failed", "checks": checks}
        await _answer(scope, receive, send, 200 if well else 503, body)


async def _answer(
    scope: Scope, receive: Receive, send: Send, status: int, body: Mapping[str, object]
) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        raise method_not_allowed("GET", "HEAD")
    content = b"" if scope["method"] == "HEAD" else orjson.dumps(body)
    response = Response(
        content,
        status,
        headers={"cache-control": "no-store"},
        media_type="application/json",
    )
    await response(scope, receive, send)
