"""What was measured: windows, and the medians and ratios over them.

Filled by `cost.py`, read by `report.py` and `page.py`; pure arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

# The name of our server in windows.
OURS = "ours"
# A window is disturbed when others took more than this share of the server's core.
OTHERS_LIMIT = 0.10
# A window is starved when the server's core idled for more than this share.
IDLE_LIMIT = 0.10


@dataclass(frozen=True, slots=True)
class Window:
    """One server under load for a few seconds."""

    query: str
    server: str
    round: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    upstream_calls: float
    rss_mb: float
    core_share: float
    others: float

    @property
    def disturbed(self) -> bool:
        """Somebody else was on the server's core: its caches and its turn were not
        its own, so all figures suffer."""
        return self.others > OTHERS_LIMIT

    @property
    def starved(self) -> bool:
        """The server waited for load: others kept the generator or the stub from
        their core. CPU per request holds; requests/s and latencies do not."""
        return 1.0 - self.core_share - self.others > IDLE_LIMIT


@dataclass(slots=True)
class CostReport:
    """All windows, and what went wrong in words for the reader."""

    windows: list[Window] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def queries(self) -> list[str]:
        """In the order measured."""
        return list(dict.fromkeys(window.query for window in self.windows))

    def servers(self, query: str) -> list[str]:
        """Those with a window of the query, in the order measured."""
        return list(dict.fromkeys(w.server for w in self.windows if w.query == query))

    def of(self, query: str, server: str) -> list[Window]:
        """The windows of one cell; undisturbed ones only, if there are any."""
        cell = self._cell(query, server)
        return [window for window in cell if not window.disturbed] or cell

    def _cell(self, query: str, server: str) -> list[Window]:
        return [w for w in self.windows if (w.query, w.server) == (query, server)]

    def median(
        self, query: str, server: str, figure: Callable[[Window], float]
    ) -> float | None:
        cell = self.of(query, server)
        return median(map(figure, cell)) if cell else None

    def ratio(
        self, query: str, to: str, figure: Callable[[Window], float], of: str = OURS
    ) -> float | None:
        """The median over rounds of `of`'s figure divided by `to`'s.

        Of undisturbed pairs only, if there are any.
        """
        theirs = {w.round: w for w in self._cell(query, to)}
        pairs = [
            (window, theirs[window.round])
            for window in self._cell(query, of)
            if window.round in theirs
        ]
        quiet = [pair for pair in pairs if not any(w.disturbed for w in pair)]
        ratios = [figure(one) / figure(other) for one, other in quiet or pairs]
        return median(ratios) if ratios else None
