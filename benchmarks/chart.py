"""Draws the chart that the documentation shows: Q2, all servers, as bars.

Called by `__main__.py` with `--save`; `python -m benchmarks.chart [FILE]` draws it
again out of a saved file. Plain SVG, without a plotting library.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from . import results
from .figures import OURS, CostReport, Window
from .processes import ROOT

PICTURE = ROOT / "docs" / "images" / "benchmark.svg"
QUERY = "Q2"

WIDTH, MARGIN, LABEL, VALUE = 760, 16, 112, 74
BAR, GAP, HEADING, TITLE, FOOT = 18, 8, 44, 40, 30
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .heading { font-weight: 600 }
  .foot { font-size: 11px; fill: #57606a }
  .value { font-variant-numeric: tabular-nums }
  .ours { fill: #0b6e4f } .other { fill: #a8b3bd } .back { fill: #ffffff }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of one figure, the best first."""

    heading: str
    bars: Sequence[tuple[str, float]]

    @property
    def height(self) -> int:
        return HEADING + len(self.bars) * (BAR + GAP)


def panels(report: CostReport) -> list[Panel]:
    """CPU per request and requests per second of every server."""
    cpu = _medians(report, lambda window: window.cpu_us)
    rate = _medians(report, lambda window: window.per_second)
    return [
        Panel("CPU per request in µs (shorter is better)", sorted(cpu, key=_value)),
        Panel(
            "Requests per second on one core (longer is better)",
            sorted(rate, key=_value, reverse=True),
        ),
    ]


def _value(bar: tuple[str, float]) -> float:
    return bar[1]


def _medians(
    report: CostReport, figure: Callable[[Window], float]
) -> list[tuple[str, float]]:
    found = [
        (name, report.median(QUERY, name, figure)) for name in report.servers(QUERY)
    ]
    return [(name, value) for name, value in found if value is not None]


def has_bars(saved: Mapping[str, Any]) -> bool:
    """Whether the query was measured."""
    return QUERY in results.cost_of(saved).queries()


def draw(saved: Mapping[str, Any]) -> str:
    """The whole picture. Raises: ValueError if the file has no window of the query."""
    if not has_bars(saved):
        raise ValueError(f"nothing saved about {QUERY}")
    shown = panels(results.cost_of(saved))
    height = TITLE + sum(panel.height for panel in shown) + FOOT
    title = f"{QUERY}: {saved['titles'][QUERY]}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}" rx="6"/>',
        _text(MARGIN, 28, title, "title"),
    ]
    top = TITLE
    for panel in shown:
        parts += _bars(panel, top)
        top += panel.height
    parts += [_text(MARGIN, height - 12, _foot(saved), "foot"), "</svg>"]
    return "\n".join(parts) + "\n"


def _bars(panel: Panel, top: int) -> list[str]:
    longest = max(value for _, value in panel.bars)
    room = WIDTH - 2 * MARGIN - LABEL - VALUE
    parts = [_text(MARGIN, top + 28, panel.heading, "heading")]
    for number, (name, value) in enumerate(panel.bars):
        y = top + HEADING + number * (BAR + GAP)
        kind = "ours" if name == OURS else "other"
        length = max(1.0, room * value / longest)
        x = MARGIN + LABEL
        parts += [
            _text(MARGIN, y + 14, name, "heading" if name == OURS else "name"),
            f'<rect class="{kind}" x="{x}" y="{y}" width="{length:.1f}"'
            f' height="{BAR}" rx="2"/>',
            _text(x + length + 6, y + 14, f"{value:,.0f}", "value"),
        ]
    return parts


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _foot(saved: Mapping[str, Any]) -> str:
    machine = saved["machine"]
    return (
        f"{saved['date']}, commit {saved['commit']}, {machine['processor']}: one core"
        " for the server, one for load and upstream"
    )


def write(path: Path | None = None) -> Path:
    """Draw a saved file, or the newest, into the documentation."""
    found = path or results.newest()
    if found is None:
        raise FileNotFoundError("nothing is saved: run `make bench-record`")
    PICTURE.write_text(draw(results.read(found)))
    return PICTURE


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if sys.argv[1:] else None))
