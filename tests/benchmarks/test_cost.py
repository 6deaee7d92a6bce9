"""The comparison itself: real servers, a real session store, a few tenths of a second.

A server that does not start or answers otherwise must never give a figure.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from benchmarks import load
from benchmarks.cost import CostOptions, measure
from benchmarks.figures import CostReport
from benchmarks.operations import MEASURED, Measured
from benchmarks.servers import OURS, PLAIN, SERVERS, Server

# A server without sense: the same answer to everything.
SERVER = """
import http.server, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        page = b'{"nodes":[{"id":"x","coverFile":{"id":"f"},"body":"b"}]}'
        answer = b'{"data":{"posts":' + page + b',"notes":' + page + b'}}'
        take_part()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

%s

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
LIAR = SERVER % "take_part = int"
# The same, and no answer from the fourth request on.
SLEEPER = (
    SERVER
    % """
answered = []

def take_part():
    answered.append(1)
    if len(answered) > 3:
        fall_asleep()

def fall_asleep():
    time.sleep(60)
"""
)


def compare(servers: Sequence[Server], queries: Sequence[Measured]) -> CostReport:
    options = CostOptions(
        servers=servers,
        queries=queries,
        seconds=0.2,
        rounds=1,
        connections=4,
        warm_up_s=0.05,
    )
    return uvloop.run(measure(options, lambda _: None))


@pytest.fixture(scope="module")
def good() -> CostReport:
    """Our servers over all queries."""
    return compare(SERVERS, MEASURED)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> CostReport:
    """A server that does not start, a good one, and one that lies."""
    program = tmp_path_factory.mktemp("liar") / "liar.py"
    program.write_text(LIAR)
    broken = replace(OURS, env={**OURS.env, "FLUX_URL": "not an address"})
    liar = replace(
        PLAIN, name="liar", command=(sys.executable, str(program), "{port}"), env={}
    )
    return compare([broken, PLAIN, liar], MEASURED[:1])


def test_all_servers_answer_all_queries_alike(good: CostReport) -> None:
    offered = [query.name for query in MEASURED if query.is_offered]

    assert good.failures == []
    assert {(w.query, w.server) for w in good.windows} == {
        (query, server.name) for query in offered for server in SERVERS
    }


def test_all_servers_make_the_same_upstream_calls(good: CostReport) -> None:
    calls = {(w.query, w.upstream_calls) for w in good.windows}

    assert len(calls) == len({query for query, _ in calls})
    assert {("Q1", 1.0), ("Q2", 2.0), ("Q3", 2.0), ("Q4", 3.0)} <= calls


def test_figures_of_a_window_belong_together(good: CostReport) -> None:
    for window in good.windows:
        assert 0 < window.p50_ms <= window.p99_ms
        assert window.cpu_us * window.per_second == pytest.approx(
            window.core_share * 1e6, rel=0.01
        )
        assert 20 < window.rss_mb < 400


def test_a_server_that_answers_otherwise_gives_no_figure(bad: CostReport) -> None:
    assert {window.server for window in bad.windows} == {"stock"}
    assert bad.failures[1].startswith("Q1: liar answers otherwise than stock: data.")


def test_a_server_that_does_not_start_is_told_and_the_rest_goes_on(
    bad: CostReport,
) -> None:
    assert len(bad.failures) == 2
    assert bad.failures[0].startswith("ours ended while starting")
    assert "FLUX_URL" in bad.failures[0]


def test_a_server_that_hangs_is_told_with_the_place_where_it_hangs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(load, "PATIENCE_S", 0.5)
    program = tmp_path / "sleeper.py"
    program.write_text(SLEEPER)
    sleeper = replace(
        PLAIN, name="sleeper", command=(sys.executable, str(program), "{port}"), env={}
    )

    report = compare([sleeper], MEASURED[:1])

    assert report.windows == []
    assert report.failures[0].startswith("Q1: sleeper broke: no answer within")
    assert "in fall_asleep" in report.failures[0]
