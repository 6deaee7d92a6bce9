"""The upstreams' budgets, with the stand-ins' own limits on, as the real ones are.

Two server processes ask them from one address; the stand-ins record what they refused.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from processes_harness import Servers, client, running_servers, sign_in

from harness import Sandbox, started_sandbox

DEFAULTS = {"FLUX_RATE_LIMIT": "100/60", "CONDUIT_RATE_LIMIT": "50/1"}
# No two are equal: each costs a call at either upstream.
NOTES = "{ notes(first: 1) { nodes { body } } }"
BOTH = """query ($first: Int!, $text: String!) {
  posts(first: $first, filter: {titleContains: $text}) { nodes { title } }
  notes(first: $first, filter: {bodyContains: $text}) { nodes { body } }
}"""


@pytest.fixture
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    ready = tmp_path_factory.mktemp("limited") / "ready.json"
    with started_sandbox(ready) as sandbox:
        yield sandbox


def statuses(sandbox: Sandbox, upstream: str) -> Counter[int | None]:
    """How often the stand-in answered what since it began to record."""
    url = {"flux": sandbox.flux, "conduit": sandbox.conduit}[upstream]
    records = sandbox.http.get(f"{url}/_sandbox/requests").json()
    return Counter(record["status"] for record in records)


async def ask_all(servers: Servers, count: int) -> list[Any]:
    """At once, in turn at each server."""
    async with client() as http:
        device = await sign_in(http, servers.urls[0])
        return await asyncio.gather(
            *(
                device.ask(servers.urls[n % 2], BOTH, first=1 + n % 100, text=str(n))
                for n in range(count)
            )
        )


async def test_a_crowd_is_answered_or_told_the_wait_and_never_refused_upstream(
    limited: Sandbox,
) -> None:
    """Conduit's turn comes within the deadline, Flux's only in a minute.

    Tried with both off: Flux answers 429 to 20 of them.
    """
    async with running_servers(limited, 2, **DEFAULTS) as servers:
        # What they ask as they start goes out under their own address, another budget
        # than their clients'; here both are one address, so that second must be over.
        await asyncio.sleep(1.1)
        limited.forget()
        answers = await ask_all(servers, 120)
    seen = statuses(limited, "flux")
    assert set(seen) == {200}
    # One process may hold a few tokens more than it needs while the other refuses.
    assert 90 <= seen[200] <= 100
    assert statuses(limited, "conduit") == {200: 121}  # one signed in
    assert all(answer["data"]["posts"] for answer in answers)
    refused = [answer["errors"] for answer in answers if "errors" in answer]
    assert len(refused) == 120 - seen[200]
    for [error] in refused:
        assert error["path"] == ["notes"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert error["extensions"]["service"] == "flux"
        assert 0 < error["extensions"]["retryAfterS"] <= 63


async def test_a_429_all_the_same_holds_back_both_processes(sandbox: Sandbox) -> None:
    sandbox.fail(
        "flux",
        "/notes",
        status=429,
        times=1,
        body={"error": "rate limit exceeded"},
        headers={"retry-after": "30"},
    )
    async with running_servers(sandbox, 2, **DEFAULTS) as servers, client() as http:
        device = await sign_in(http, servers.urls[0])
        answers = [await device.ask(url, NOTES) for url in servers.urls]
    for answer in answers:
        assert answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert 25 < answer["errors"][0]["extensions"]["retryAfterS"] <= 30
    assert statuses(sandbox, "flux") == {429: 1}
