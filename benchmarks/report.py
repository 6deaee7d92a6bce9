"""Tables on standard output, and the one line of JSON at the end.

Called by `__main__.py`; pure, so that the tests can look at what is printed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from .calls import Count
from .figures import OURS, CostReport, Window

# Heading, the figure, how it is printed.
FIGURES: tuple[tuple[str, Callable[[Window], float], str], ...] = (
    ("requests/s", lambda window: window.per_second, ",.0f"),
    ("p50 ms", lambda window: window.p50_ms, ",.2f"),
    ("p99 ms", lambda window: window.p99_ms, ",.2f"),
    ("CPU µs", lambda window: window.cpu_us, ",.0f"),
    ("calls", lambda window: window.upstream_calls, ",.2f"),
    ("RSS MB", lambda window: window.rss_mb, ",.0f"),
)
# In the JSON line whether or not they took part: null says that they did not.
_ALWAYS = (("Q2", "stock"), ("Q2", "handwritten"))


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns set with blanks; the first is text, the others stand to the right."""
    lines = [list(heading), *map(list, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(heading))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def cost_tables(report: CostReport, titles: Mapping[str, str], base: str) -> str:
    """One table per query: medians, and in brackets the ratio to `base`."""
    parts = []
    for query in report.queries():
        rows = [
            [server, *_cells(report, query, server, base)]
            for server in report.servers(query)
        ]
        heading = [query, *(name for name, _, _ in FIGURES), "its core", "others"]
        parts.append(f"{query}: {titles[query]}\n{table(heading, rows)}")
    return "\n\n".join(parts)


def _cells(report: CostReport, query: str, server: str, base: str) -> list[str]:
    cells = []
    for _, figure, spec in FIGURES:
        value = report.median(query, server, figure)
        ratio = report.ratio(query, base, figure, of=server)
        text = "-" if value is None else format(value, spec)
        bare = ratio is None or server == base
        cells.append(text if bare else f"{text} ({ratio:.2f})")
    windows = report.of(query, server)
    share = min(window.core_share for window in windows)
    starved = "~" if any(window.starved for window in windows) else ""
    others = max(window.others for window in windows)
    disturbed = "!" if any(window.disturbed for window in windows) else ""
    return [*cells, f"{share:.0%}{starved}", f"{others:.0%}{disturbed}"]


def noise(report: CostReport) -> dict[str, int]:
    """How many cells stand on windows that something else has touched."""
    cells = {(window.query, window.server) for window in report.windows}
    windows = [report.of(query, server) for query, server in cells]
    return {
        "disturbed_cells": sum(any(w.disturbed for w in cell) for cell in windows),
        "starved_cells": sum(any(w.starved for w in cell) for cell in windows),
    }


def ratios(report: CostReport) -> dict[str, float | None]:
    """Ours divided by theirs; null where one side is missing.

    CPU per request of each query and server, and requests/s of Q2.
    """
    cells = dict.fromkeys(
        [
            *_ALWAYS,
            *(
                (query, server)
                for query in report.queries()
                for server in report.servers(query)
                if server != OURS
            ),
        ]
    )
    found = {}
    for query, server in cells:
        cpu = report.ratio(query, server, lambda window: window.cpu_us)
        found[f"{query.lower()}_cpu_vs_{server}"] = _rounded(cpu)
    for query, server in cells:
        if query == "Q2":
            rate = report.ratio(query, server, lambda window: window.per_second)
            found[f"q2_rps_vs_{server}"] = _rounded(rate)
    return found


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 4)


def call_table(counts: Sequence[Count]) -> str:
    """Operations down, numbers of rows across."""
    rows_asked = sorted({count.rows for count in counts})
    cells = {(count.operation.title, count.rows): count for count in counts}
    lines = []
    for title in dict.fromkeys(count.operation.title for count in counts):
        found = [cells[title, rows] for rows in rows_asked]
        promised = found[0].operation.promised
        lines.append([title, *map(_calls_cell, found), str(promised)])
    heading = ["", *(f"{rows} rows" for rows in rows_asked), "promised"]
    return (
        table(heading, lines)
        + "\n(calls to Flux + calls to Conduit; ! is not as promised. Each answer took"
        f" {_span(count.vault_reads for count in counts)} read of the vault.)"
    )


def _calls_cell(count: Count) -> str:
    mark = "" if count.as_promised else " !"
    return f"{count.flux} + {count.conduit} = {count.total}{mark}"


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"
