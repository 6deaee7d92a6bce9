"""The peers: pinned, without any host, in step with our graph and upstream calls."""

import json
import re
from pathlib import Path

import pytest
import uvloop
from graphql import build_schema, parse, validate

from benchmarks import servers
from benchmarks.cost import CostOptions, measure
from benchmarks.operations import MEASURED, document
from benchmarks.peers import install, table
from benchmarks.peers.install import SOURCES, MissingError
from benchmarks.servers import OURS, Surroundings


@pytest.mark.parametrize("name", ["node", "hive"])
def test_versions_are_pinned_and_locked_without_naming_a_registry(name: str) -> None:
    manifest = json.loads((SOURCES / name / "package.json").read_text())
    text = (SOURCES / name / "package-lock.json").read_text()
    locked = json.loads(text)["packages"]

    for package, version in manifest["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), package
        assert locked[f"node_modules/{package}"]["version"] == version
    assert '"resolved"' not in text
    assert all("integrity" in entry for path, entry in locked.items() if path)


def test_the_node_peers_graph_takes_our_documents() -> None:
    text = (SOURCES / "node" / "graph.mjs").read_text()
    found = re.search(r"export const SDL = `(.*?)`", text, re.DOTALL)
    assert found is not None
    graph = build_schema(found[1])

    for name in ("ids_of_three_kinds", *(query.document for query in MEASURED)):
        assert validate(graph, parse(document(name))) == [], name


@pytest.mark.parametrize("name", ["tailcall", "hive"])
def test_a_dialect_asks_for_the_same_fields_as_our_document(name: str) -> None:
    named = {query.name: query.document for query in MEASURED}
    for query in ("Q1", "Q2", "Q6"):
        theirs = (SOURCES / name / f"{query}.graphql").read_text()
        assert leaves(theirs) == leaves(document(named[query]))


def leaves(text: str) -> list[str]:
    """Response names of the fields without a selection, in order."""
    names = re.findall(r"^ +(\w+)(?:: \w+)?$", text, re.MULTILINE)
    assert names
    return names


def test_a_peer_that_cannot_be_installed_is_told_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> Path:
        raise MissingError("npm and Node are not installed")

    monkeypatch.setattr(install, "node_project", fail)

    peers = table.installed(["yoga", "hive"], lambda _: None)

    assert peers.servers == []
    assert peers.missing == [
        "yoga does not take part: npm and Node are not installed",
        "hive does not take part: npm and Node are not installed",
    ]


def test_a_failed_command_is_told_with_the_end_of_its_output(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="python3 failed: no such package"):
        install._run(["python3", "-c", "exit('no such package')"], tmp_path)


def test_a_configuration_is_filled_in_for_each_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(servers, "BUILD", tmp_path)
    template = SOURCES / "tailcall" / "graph.graphql"
    values = Surroundings("http://f", "http://c", "redis://r").values(4711)

    text = servers._filled(template, values).read_text()

    assert "@server(port: 4711," in text
    assert '"http://c/database/Post"' in text
    assert "$" not in text.partition("schema\n")[2]


@pytest.mark.node
def test_the_node_peers_answer_as_ours_does_out_of_the_same_calls() -> None:
    peers = table.installed(["mercurius", "yoga", "apollo"], lambda _: None)
    options = CostOptions(
        servers=[OURS, *peers.servers],
        queries=MEASURED,
        seconds=0.1,
        rounds=1,
        connections=4,
        warm_up_s=0.05,
    )

    report = uvloop.run(measure(options, lambda _: None))

    assert peers.missing == []
    assert report.failures == []
    calls = {(w.query, w.upstream_calls) for w in report.windows}
    assert len(calls) == len(MEASURED)
    assert len(report.windows) == 4 * len(MEASURED)
