"""Two people at once, in one process and in two: nobody ever gets the other's answer.

`CROWD_OPERATIONS` says how many operations; 10,000 have been run, see docs/sessions.md.
"""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from processes_harness import (
    Device,
    Servers,
    client,
    expire_tokens,
    running_servers,
    sign_in,
)

from harness import Sandbox

OPERATIONS = int(os.environ.get("CROWD_OPERATIONS", "600"))
AT_ONCE = 24
PEOPLE = ("first", "second")
QUERIES = (
    "{ viewer { email notes(first: 2) { nodes { id } } } }",
    "{ notes(first: 3) { nodes { id } } viewer { email } }",
    "{ viewer { email sessions { userAgent } } }",
)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as http:
        yield http


@pytest.mark.parametrize("processes", [1, 2])
async def test_no_answer_is_crossed(
    sandbox: Sandbox, http: httpx.AsyncClient, processes: int
) -> None:
    """Cookies and bearers over the same connections, while tokens end and are renewed.

    Tried with Flux tokens cached under one name for all: both see the same notes.
    """
    async with running_servers(sandbox, processes) as servers:
        people = await signed_in(http, servers)
        own = {name: await own_notes(people[name][0], servers) for name in PEOPLE}
        assert not own["first"] & own["second"]
        turns = itertools.count()
        tally: Counter[str] = Counter()

        async def one_of_a_crowd() -> None:
            while (turn := next(turns)) < OPERATIONS:
                if turn % 200 == 100:
                    expire_tokens(sandbox)
                name = PEOPLE[turn % 2]
                device = people[name][turn // 2 % 2]
                url = servers.urls[turn // 4 % processes]
                answer = await device.ask(url, QUERIES[turn % 3])
                tally[verdict(answer, name, own[name])] += 1

        await asyncio.gather(*(one_of_a_crowd() for _ in range(AT_ONCE)))
    assert tally == {"right": OPERATIONS}


async def signed_in(
    http: httpx.AsyncClient, servers: Servers
) -> dict[str, list[Device]]:
    """Each person with a cookie and with a bearer."""
    url = servers.urls[0]
    return {
        name: [await sign_in(http, url, name, bearer=bearer) for bearer in (0, 1)]
        for name in PEOPLE
    }


async def own_notes(device: Device, servers: Servers) -> frozenset[str]:
    query = "{ notes(first: 100) { nodes { id } } }"
    data = await device.data(servers.urls[0], query)
    return frozenset(ids(data))


def verdict(answer: dict[str, Any], name: str, own: frozenset[str]) -> str:
    if "errors" in answer:
        return str(answer["errors"][0]["extensions"]["code"])
    data = answer["data"]
    if data["viewer"] != {**data["viewer"], "email": f"{name}@example.com"}:
        return "crossed"
    return "right" if set(ids(data)) <= own else "crossed"


def ids(value: Any) -> Iterator[str]:
    """All ids within an answer."""
    if isinstance(value, dict):
        if "id" in value:
            yield value["id"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from ids(each)
