"""The gate before an upstream: breaker, bulkhead, Retry-After, retry budget."""

import asyncio
import time
from collections.abc import AsyncIterable
from dataclasses import replace
from typing import Any

import pytest

from clients.resilience import (
    ResilienceLimits,
    ResilientTransport,
    RetryBudget,
    class_of,
)
from clients.transport import Answer, Incoming, Outgoing, TransportError

LIMITS = ResilienceLimits(failures=3, probe_every_s=0.1, concurrent=2, wait_s=0.05)
READ = Outgoing("GET", "http://up.test/things", {})
WRITE = Outgoing("PATCH", "http://up.test/things", {})
SIGN_IN = Outgoing("POST", "http://up.test/authentication/local", {})


class Upstream:
    """A transport whose next outcomes are given."""

    def __init__(self, outcome: Any = 200) -> None:
        self.outcome = outcome
        self.headers: dict[str, str] = {}
        self.calls = 0
        self.timeouts: list[float] = []

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        self.calls += 1
        self.timeouts.append(timeout_s)
        if isinstance(self.outcome, asyncio.Event):
            await self.outcome.wait()
            return Answer(200, {}, b"")
        if isinstance(self.outcome, str):
            raise TransportError(self.outcome, "as told", sent=True)  # type: ignore[arg-type]
        return Answer(self.outcome, self.headers, b"")

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        raise NotImplementedError

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


async def ask(
    transport: ResilientTransport, request: Outgoing = READ, timeout_s: float = 5
) -> int | str:
    """The status, or the trouble."""
    try:
        answer = await transport.exchange(request, timeout_s=timeout_s, max_bytes=10)
    except TransportError as error:
        return f"{error.trouble}{'' if error.sent else ', not sent'}"
    return answer.status


@pytest.mark.parametrize("failure", ["timeout", "connect", "lost", 502, 503, 504])
async def test_a_few_failures_in_a_row_open_the_circuit(failure: Any) -> None:
    upstream = Upstream(failure)
    transport = ResilientTransport(upstream, LIMITS)
    for _ in range(3):
        assert await ask(transport) == failure
    assert await ask(transport) == "circuit, not sent"
    assert upstream.calls == 3


@pytest.mark.parametrize("outcome", [200, 404, 429, 500, "malformed"])
async def test_what_only_this_call_suffers_opens_nothing(outcome: Any) -> None:
    upstream = Upstream(outcome)
    transport = ResilientTransport(upstream, LIMITS)
    for _ in range(10):
        await ask(transport)
    assert upstream.calls == 10


async def test_a_success_in_between_starts_the_count_anew() -> None:
    upstream = Upstream()
    transport = ResilientTransport(upstream, LIMITS)
    for outcome in ["timeout", "timeout", 200] * 3:
        upstream.outcome = outcome
        assert await ask(transport) == outcome


async def test_a_call_that_had_no_time_says_nothing_about_the_upstream() -> None:
    upstream = Upstream("timeout")
    transport = ResilientTransport(upstream, LIMITS)
    for _ in range(10):
        assert await ask(transport, timeout_s=0.01) == "timeout"


async def test_one_probe_at_a_time_finds_the_return() -> None:
    upstream = Upstream("timeout")
    transport = ResilientTransport(upstream, LIMITS)
    for _ in range(3):
        await ask(transport)
    await asyncio.sleep(0.11)
    assert [await ask(transport) for _ in range(3)] == [
        "timeout",
        "circuit, not sent",
        "circuit, not sent",
    ]
    upstream.outcome = 200
    await asyncio.sleep(0.11)
    assert [await ask(transport) for _ in range(3)] == [200, 200, 200]


async def test_a_probe_that_hangs_does_not_keep_the_next_one_away() -> None:
    upstream = Upstream("timeout")
    transport = ResilientTransport(upstream, LIMITS)
    for _ in range(3):
        await ask(transport)
    await asyncio.sleep(0.11)
    upstream.outcome = asyncio.Event()
    hanging = asyncio.create_task(ask(transport))
    await asyncio.sleep(0.11)
    upstream.outcome, hung = 200, upstream.outcome
    assert await ask(transport) == 200
    hung.set()
    assert await hanging == 200


async def test_classes_of_calls_fail_apart() -> None:
    upstream = Upstream("timeout")
    transport = ResilientTransport(upstream, LIMITS)
    for _ in range(4):
        await ask(transport, WRITE)
    upstream.outcome = 200
    assert await ask(transport, WRITE) == "circuit, not sent"
    assert await ask(transport, READ) == 200
    assert await ask(transport, SIGN_IN) == 200


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("HEAD", "/notes", "reads"),
        ("POST", "/rpc/notes_by_post", "reads"),
        ("DELETE", "/notes", "writes"),
        ("POST", "/authentication/renew", "authentication"),
        ("GET", "/authentication/user", "authentication"),
    ],
)
def test_each_call_has_its_class(method: str, path: str, expected: str) -> None:
    assert class_of(Outgoing(method, f"http://up.test{path}", {})) == expected


async def test_who_stands_in_a_line_that_moves_is_served_however_long_it_is() -> None:
    upstream = Upstream(asyncio.Event())
    transport = ResilientTransport(upstream, LIMITS)
    calls = [asyncio.create_task(ask(transport)) for _ in range(20)]
    for _ in range(10):  # 0.3 s in all, and 0.05 s is as long as nothing may move
        await asyncio.sleep(0.03)
        upstream.outcome, room = asyncio.Event(), upstream.outcome
        room.set()
    assert await asyncio.gather(*calls) == [200] * 20


async def test_the_time_in_line_is_taken_from_that_of_the_call() -> None:
    upstream = Upstream(asyncio.Event())
    transport = ResilientTransport(upstream, LIMITS)
    calls = [asyncio.create_task(ask(transport, timeout_s=2.0)) for _ in range(4)]
    for _ in range(3):
        await asyncio.sleep(0.03)
        upstream.outcome, room = asyncio.Event(), upstream.outcome
        room.set()
    assert await asyncio.gather(*calls) == [200] * 4
    assert upstream.timeouts[:2] == [2.0, 2.0]
    assert all(1.0 < left_s < 2.0 for left_s in upstream.timeouts[2:])


async def test_who_would_have_no_time_left_for_the_call_leaves_the_line() -> None:
    upstream = Upstream(asyncio.Event())
    transport = ResilientTransport(upstream, replace(LIMITS, wait_s=5.0))
    held = [asyncio.create_task(ask(transport)) for _ in range(2)]
    await asyncio.sleep(0)
    began = time.monotonic()
    assert await ask(transport, timeout_s=1.2) == "timeout, not sent"
    assert 0.6 <= time.monotonic() - began < 1.2
    upstream.outcome.set()
    assert await asyncio.gather(*held) == [200, 200]


async def test_nobody_waits_long_for_room_and_another_class_has_its_own() -> None:
    upstream = Upstream(asyncio.Event())
    transport = ResilientTransport(upstream, LIMITS)
    held = [asyncio.create_task(ask(transport)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await ask(transport) == "timeout, not sent"
    upstream.outcome, room = 200, upstream.outcome
    assert await ask(transport, WRITE) == 200
    room.set()
    assert await asyncio.gather(*held) == [200, 200]
    assert await ask(transport) == 200


async def test_retry_after_is_heeded_without_asking_again() -> None:
    upstream = Upstream(429)
    upstream.headers = {"retry-after": "1"}
    transport = ResilientTransport(upstream, LIMITS)
    answers = [
        await transport.exchange(READ, timeout_s=5, max_bytes=10) for _ in range(3)
    ]
    assert [answer.status for answer in answers] == [429, 429, 429]
    assert answers[2].headers["retry-after"] == "1"
    assert upstream.calls == 1
    assert await ask(transport, WRITE) == 429
    assert upstream.calls == 2
    upstream.outcome = 200
    await asyncio.sleep(1.05)
    assert await ask(transport) == 200


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [(429, {"retry-after": "9"}, 429), (503, {}, "circuit, not sent")],
)
async def test_who_stands_in_line_hears_that_the_upstream_wants_no_more_calls(
    status: int, headers: dict[str, str], told: int | str
) -> None:
    """They came before its answer; what they are told is what came after it."""

    class Answering(Upstream):
        """Holds the first two calls, and answers all alike."""

        def __init__(self) -> None:
            super().__init__()
            self.room = asyncio.Event()

        async def exchange(self, request: Outgoing, **how: Any) -> Answer:
            self.calls += 1
            await self.room.wait()
            return Answer(status, headers, b"")

    upstream = Answering()
    transport = ResilientTransport(upstream, replace(LIMITS, failures=2))
    calls = [asyncio.create_task(ask(transport)) for _ in range(8)]
    await asyncio.sleep(0)
    upstream.room.set()
    assert await asyncio.gather(*calls) == [status] * 2 + [told] * 6
    assert upstream.calls == 2
    assert transport._gates["reads"].free == LIMITS.concurrent


async def test_a_cancelled_call_gives_its_room_back_and_is_no_failure() -> None:
    upstream = Upstream(asyncio.Event())
    transport = ResilientTransport(upstream, LIMITS)
    for _ in range(5):
        call = asyncio.create_task(ask(transport))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    upstream.outcome = 200
    assert await ask(transport) == 200


@pytest.mark.parametrize("turns", range(6))
async def test_who_gives_up_just_as_there_is_room_leaves_it_to_the_next(
    turns: int,
) -> None:
    upstream = Upstream(asyncio.Event())
    transport = ResilientTransport(upstream, LIMITS)
    calls = [asyncio.create_task(ask(transport)) for _ in range(6)]
    for _ in range(2):
        await asyncio.sleep(0)
    upstream.outcome, room = 200, upstream.outcome
    room.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    for call in calls[2:5]:
        call.cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [found[0], found[1], found[5]] == [200, 200, 200]
    assert await asyncio.gather(*(ask(transport) for _ in range(8))) == [200] * 8


async def test_calls_that_time_out_while_waiting_take_no_room_along() -> None:
    upstream = Upstream(asyncio.Event())
    transport = ResilientTransport(upstream, LIMITS)
    held = [asyncio.create_task(ask(transport)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(ask(transport)) for _ in range(5)]
    assert await asyncio.gather(*waiting) == ["timeout, not sent"] * 5
    upstream.outcome, room = 200, upstream.outcome
    room.set()
    assert await asyncio.gather(*held) == [200, 200]
    assert await asyncio.gather(*(ask(transport) for _ in range(4))) == [200] * 4


def test_one_call_in_ten_may_be_repeated_in_the_long_run() -> None:
    budget = RetryBudget()
    assert [budget.take() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(30):
        budget.deposit()
    assert [budget.take() for _ in range(4)].count(True) in (2, 3)
