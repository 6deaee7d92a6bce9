"""Live and ready: what is asked, how often, and what is told."""

import asyncio

import httpx
import pytest

from server.health import CACHE_S, Readiness


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_live_needs_nothing(http: httpx.AsyncClient) -> None:
    response = await http.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_names_the_parts_that_fail_and_no_address(
    http: httpx.AsyncClient,
) -> None:
    response = await http.get("/health/ready")
    assert response.status_code == 503
    assert response.json() == {
        "status": "failed",
        "checks": {"vault": "failed", "flux": "failed", "conduit": "failed"},
    }


async def test_ready_looks_at_most_every_ten_seconds() -> None:
    asked = 0
    clock = Clock()

    async def probe() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)

    readiness = Readiness({"flux": probe}, clock=clock)
    await asyncio.gather(*(readiness.checks() for _ in range(50)))
    assert asked == 1
    clock.now = CACHE_S - 0.1
    await readiness.checks()
    assert asked == 1
    clock.now = CACHE_S
    assert await readiness.checks() == {"flux": "ok"}
    assert asked == 2


async def test_a_hanging_part_does_not_hold_the_others_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.health.PROBE_TIMEOUT_S", 0.05)

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def well() -> None:
        return None

    readiness = Readiness({"flux": hangs, "conduit": well})
    async with asyncio.timeout(2):
        assert await readiness.checks() == {"flux": "failed", "conduit": "ok"}


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_probes_are_read_only(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.post(path)).status_code == 405
    head = await http.head(path)
    assert head.content == b""
