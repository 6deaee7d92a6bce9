"""Writes the tables of docs/performance.md out of a saved file.

Called by `__main__.py` with `--save`; `python -m benchmarks.page [FILE]` writes them
again. Everything between the two marks is replaced, so that no figure is typed by hand.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import chart, results
from .figures import OURS, CostReport
from .processes import ROOT
from .report import FIGURES

PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- results: written by `python -m benchmarks.page` -->"
END = "<!-- end of results -->"
NOTHING = "No results are saved yet: `make bench-record` measures and writes them here."


def markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first column is text, the others stand to the right."""
    rule = ["---", *("---:" for _ in heading[1:])]
    lines = [heading, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def results_text(saved: Mapping[str, Any] | None) -> str:
    """What stands between the marks."""
    if saved is None:
        return NOTHING
    report = results.cost_of(saved)
    parts = [_measured(saved)]
    if chart.has_bars(saved):
        picture = chart.PICTURE.relative_to(PAGE.parent)
        parts.append(f"![Q2: CPU per request and requests per second]({picture})")
    parts += _ratios(report)
    parts += [_query(report, query, saved) for query in report.queries()]
    parts += [f"Note: {note}." for note in saved.get("notes", [])]
    parts += [_sweep(sweep) for sweep in saved.get("sweeps", [])]
    if "session_us" in saved:
        busy = saved.get("session_busy_cpu_us")
        parts.append(
            f"A session costs a request {saved['session_us']:,.0f} µs, of which"
            f" {saved['session_cpu_us']:,.0f} are CPU"
            + (f" ({busy:,.0f} in a busy server)." if busy else ".")
        )
    if peers := saved.get("peer_packages"):
        named = ", ".join(f"{name} {version}" for name, version in peers.items())
        parts.append(f"Peers: {named}.")
    return "\n\n".join(parts)


def _measured(saved: Mapping[str, Any]) -> str:
    machine = saved["machine"]
    python = saved["python"].split()[0]
    text = (
        f"Measured on {saved['date']} at commit {saved['commit']}:"
        f" {machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']},"
        f" Python {python}."
    )
    if disturbed := saved.get("disturbed_cells"):
        text += f" In {disturbed} cells another program was on the server's core."
    return text


def _ratios(report: CostReport) -> list[str]:
    """CPU per request of ours divided by that of each other server."""
    queries = report.queries()
    servers = dict.fromkeys(
        server for query in queries for server in report.servers(query)
    )
    rows = []
    for server in servers:
        if server == OURS:
            continue
        ratios = [report.ratio(query, server, lambda w: w.cpu_us) for query in queries]
        rows.append([server, *("" if r is None else f"{r:.3f}" for r in ratios)])
    if not rows:
        return []
    heading = ["CPU of ours divided by theirs", *queries]
    return ["### CPU per request\n\n" + markdown(heading, rows)]


def _query(report: CostReport, query: str, saved: Mapping[str, Any]) -> str:
    rows = []
    for server in report.servers(query):
        medians = [
            report.median(query, server, figure) or 0.0 for _, figure, _ in FIGURES
        ]
        cells = (
            format(value, spec)
            for value, (_, _, spec) in zip(medians, FIGURES, strict=True)
        )
        rows.append([server, *cells])
    heading = ["", *(name for name, _, _ in FIGURES)]
    return f"### {query}: {saved['titles'][query]}\n\n{markdown(heading, rows)}"


def _sweep(sweep: Mapping[str, Any]) -> str:
    verdict = "holds" if sweep["holds"] else "does not hold"
    table = markdown(sweep["heading"], sweep["rows"])
    return (
        f"### {sweep['title']}\n\n{sweep['method']}\n\n{table}\n\n"
        f"Bar: {sweep['bar']}: {verdict}."
    )


def with_results(page: str, saved: Mapping[str, Any] | None) -> str:
    """The page with the part between its marks replaced. Raises: ValueError."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has lost its marks")
    return f"{before}{BEGIN}\n\n{results_text(saved)}\n\n{END}{after}"


def write(path: Path | None = None) -> Path:
    """Write a saved file, or the newest, into the page."""
    found = path or results.newest()
    saved = None if found is None else results.read(found)
    PAGE.write_text(with_results(PAGE.read_text(), saved))
    return PAGE


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if sys.argv[1:] else None))
