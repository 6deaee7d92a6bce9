"""The picture and the page: every figure in them is one that was saved."""

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import page, results
from benchmarks.chart import draw, panels, write
from benchmarks.figures import Window
from benchmarks.operations import MEASURED
from benchmarks.page import BEGIN, END, NOTHING, PAGE, results_text, with_results
from benchmarks.peers.table import PEERS
from benchmarks.servers import SERVERS

SVG = "{http://www.w3.org/2000/svg}"
WINDOW = Window(
    query="Q2",
    server="ours",
    round=0,
    per_second=2000.0,
    p50_ms=1.0,
    p99_ms=2.0,
    cpu_us=300.0,
    upstream_calls=2.0,
    rss_mb=50.0,
    core_share=1.0,
    others=0.0,
)
WINDOWS = [
    WINDOW,
    replace(WINDOW, round=1, cpu_us=320.0),
    replace(WINDOW, round=2, cpu_us=310.0),
    replace(WINDOW, server="stock", cpu_us=15_500.0, per_second=50.0),
    replace(WINDOW, server="a <b> & c", cpu_us=620.0, per_second=1000.0),
]


@pytest.fixture
def saved() -> dict[str, Any]:
    return {
        "date": "2026-11-25",
        "commit": "0123456789ab",
        "machine": {"processor": "Some CPU", "cores": 2, "kernel": "6.1"},
        "python": "3.11.7 (main)",
        "titles": {"Q2": "posts & notes"},
        "windows": [asdict(window) for window in WINDOWS],
        "notes": ["hive does not take part: npm failed"],
        "peer_packages": {"node": "v20", "mercurius": "16.10.1"},
        "sweeps": [
            {
                "title": "Two workers",
                "method": "As it is.",
                "heading": ["workers", "requests/s"],
                "rows": [["1", "100"], ["2", "190"]],
                "bar": "two bring at least 1.8 times one (here 1.90)",
                "holds": True,
            }
        ],
    }


def test_panels_hold_medians_the_best_server_first(saved: dict[str, Any]) -> None:
    cpu, rate = panels(results.cost_of(saved))

    assert cpu.bars == [("ours", 310.0), ("a <b> & c", 620.0), ("stock", 15_500.0)]
    assert rate.bars == [("ours", 2000.0), ("a <b> & c", 1000.0), ("stock", 50.0)]


def test_bars_are_as_long_as_their_figures_and_ours_is_marked(
    saved: dict[str, Any],
) -> None:
    picture = parsed(draw(saved))

    bars = [bar for bar in picture.iter(f"{SVG}rect") if bar.get("class") != "back"]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert [bar.get("class") for bar in bars] == ["ours", "other", "other"] * 2
    assert widths[1] / widths[2] == pytest.approx(620 / 15_500, rel=0.01)
    assert widths[4] / widths[3] == pytest.approx(0.5, rel=0.01)


def test_the_picture_names_every_server_and_stays_within_its_frame(
    saved: dict[str, Any],
) -> None:
    picture = parsed(draw(saved))

    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert texts.count("a <b> & c") == 2
    assert {"310", "620", "15,500", "2,000", "50"} <= set(texts)
    width, height = (float(picture.attrib[side]) for side in ("width", "height"))
    for bar in picture.iter(f"{SVG}rect"):
        x, y = float(bar.get("x", "0")), float(bar.get("y", "0"))
        assert x + float(bar.attrib["width"]) <= width
        assert y + float(bar.attrib["height"]) <= height


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)  # noqa: S314 - drawn by ourselves


def test_no_picture_without_windows(saved: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nothing saved about Q2"):
        draw({**saved, "windows": []})


def test_page_shows_medians_ratios_sweeps_and_what_they_depend_on(
    saved: dict[str, Any],
) -> None:
    text = results_text(saved)

    assert "| ours | 2,000 | 1.00 | 2.00 | 310 | 2.00 | 50 |" in text
    assert "| stock | 0.019 |" in text
    assert "commit 0123456789ab: Some CPU, 2 cores, Linux 6.1, Python 3.11.7." in text
    assert "Note: hive does not take part: npm failed." in text
    assert "| 2 | 190 |" in text
    assert "(here 1.90): holds." in text
    assert "mercurius 16.10.1" in text


def test_only_what_stands_between_the_marks_is_replaced(saved: dict[str, Any]) -> None:
    before = f"head\n\n{BEGIN}\n\nformer\n\n{END}\n\ntail\n"

    once = with_results(before, saved)

    assert once.startswith(f"head\n\n{BEGIN}\n\nMeasured on")
    assert once.endswith(f"{END}\n\ntail\n")
    assert "former" not in once
    assert with_results(once, saved) == once
    with pytest.raises(ValueError, match="lost its marks"):
        with_results("head", saved)


def test_the_committed_page_and_picture_are_made_of_the_newest_saved_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = results.newest()
    text = PAGE.read_text()
    if newest is None:
        assert f"{BEGIN}\n\n{NOTHING}\n\n{END}" in text
        return
    assert with_results(text, results.read(newest)) == text
    committed = page.chart.PICTURE.read_text()
    monkeypatch.setattr(page.chart, "PICTURE", tmp_path / "benchmark.svg")
    assert write(newest).read_text() == committed


def test_the_page_names_every_query_and_server() -> None:
    text = PAGE.read_text()
    for name in [*(server.name for server in SERVERS), *PEERS]:
        assert f"| `{name}` |" in text
    for query in MEASURED:
        assert re.search(rf"^\| {query.name} \|", text, re.MULTILINE)
