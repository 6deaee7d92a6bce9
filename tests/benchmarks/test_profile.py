"""The profile: what a sample counts for, and samples of the real server."""

from benchmarks.operations import MEASURED
from benchmarks.processes import ROOT
from benchmarks.profile import (
    NOBODY,
    OWN_LAYERS,
    itself,
    layer,
    on_behalf_of,
    sample,
    shares,
    tables,
)
from benchmarks.sampled import Stack

HTTPX = ("/venv/lib/python3.11/site-packages/httpx/_models.py", "Request.__init__")
CORE = ("/venv/lib/python3.11/site-packages/graphql/execution/execute.py", "execute")
CLIENT = (str(ROOT / "clients" / "http.py"), "UpstreamHTTP.send")
RESOLVER = (str(ROOT / "resolvers" / "posts.py"), "list_posts")
TASK = ("/usr/lib/python3.11/asyncio/tasks.py", "Task.__step")


def test_files_belong_to_layers_as_a_reader_thinks_of_them() -> None:
    files = [HTTPX[0], CORE[0], CLIENT[0], TASK[0], "<string>", "/usr/lib/json.py"]

    assert [layer(file) for file in files] == [
        "httpx, httpcore, h11, anyio",
        "graphql-core",
        "clients",
        "asyncio, uvloop",
        "generated code (dataclasses, named tuples)",
        "standard library",
    ]
    assert layer("<frozen importlib._bootstrap>") == "import system"


def test_a_sample_counts_for_the_innermost_of_our_layers() -> None:
    stack: Stack = (HTTPX, CLIENT, RESOLVER, CORE, TASK)

    assert itself(stack) == "httpx, httpcore, h11, anyio"
    assert on_behalf_of(stack) == "clients"
    assert on_behalf_of((CORE, TASK)) == NOBODY


def test_shares_are_parts_of_all_samples() -> None:
    samples: list[tuple[Stack, int]] = [((CLIENT, RESOLVER), 3), ((RESOLVER,), 1)]

    assert shares(samples, on_behalf_of) == {"clients": 0.75, "resolvers": 0.25}


async def test_samples_of_the_real_server_reach_our_layers() -> None:
    (query,) = [query for query in MEASURED if query.name == "Q2"]
    samples, per_second = await sample(query, 0.5)

    asked = shares(samples, on_behalf_of)
    assert per_second > 0
    assert {"server", "clients"} <= asked.keys() <= {*OWN_LAYERS, NOBODY}
    assert "engine" in tables(samples, top=3)
