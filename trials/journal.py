"""What happened when: every operation, every fault, and what one tells of the other.

Filled while a trial runs; read once it is over, when every fault has its end.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .client import Problem
from .faults import SERVICES, FaultKind, Target

# What a fault does to who comes after it: a circuit that is open, a probe that hangs.
AFTER_S: Final = 5.0
# An access token lives on after a renewal was lost; only then is it missed.
SESSION_AFTER_S: Final = 45.0
# A key whose first attempt was never told is undecided for so long.
KEY_AFTER_S: Final = 35.0


@dataclass(slots=True)
class Window:
    """A fault in force, in seconds of the event loop's clock."""

    kind: FaultKind
    started: float
    ended: float = math.inf

    def touches(self, since: float, until: float, after_s: float) -> bool:
        return self.started <= until and since <= self.ended + after_s

    def explains(self, entry: "Entry", problem: Problem) -> bool:
        """Whether this fault may be told so. docs/errors.md is the promise."""
        kind, since, until = self.kind, entry.due, entry.ended
        if problem.code == "UNAUTHENTICATED":
            return kind.loses and self.touches(since, until, SESSION_AFTER_S)
        if problem.code == "UPSTREAM_UNAVAILABLE" and problem.open:
            undecided = kind.target in ("conduit", "worker", "redis")
            if undecided and self.touches(since, until, KEY_AFTER_S):
                return True
        service = SERVICES[kind.target]
        same = service is None or problem.service in (service, None)
        return (
            same and problem.code in kind.codes and self.touches(since, until, AFTER_S)
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation; `due` is when it should have begun."""

    name: str
    needs: frozenset[Target]
    due: float
    ended: float
    problems: tuple[Problem, ...]

    @property
    def took_s(self) -> float:
        return self.ended - self.due


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the operations that no fault should touch; in seconds, None if too few."""

    quiet: int
    beside: int
    p50_quiet: float | None
    p50_beside: float | None
    p99_quiet: float | None
    p99_beside: float | None

    @property
    def ratio(self) -> float | None:
        if self.p99_quiet is None or self.p99_beside is None:
            return None
        return self.p99_beside / self.p99_quiet


@dataclass(slots=True)
class Journal:
    entries: list[Entry] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    left_out: int = 0

    def unexplained(self) -> Counter[str]:
        """What nobody can explain, by operation and code, with the faults near it."""
        found: Counter[str] = Counter()
        for entry in self.entries:
            for problem in entry.problems:
                if not any(each.explains(entry, problem) for each in self.windows):
                    what = f"{entry.name}: {problem.code} {problem.service or ''}"
                    found[f"{what} beside {', '.join(self._near(entry))}"] += 1
        return found

    def _near(self, entry: Entry) -> list[str]:
        """Faults, and how long before the operation's end each began and ended."""
        return [
            f"{window.kind.target} {window.kind.name}"
            f" ({entry.ended - window.started:.1f} to"
            f" {entry.ended - window.ended:.1f} s before)"
            for window in self.windows
            if window.touches(entry.due, entry.ended, 2 * AFTER_S)
        ]

    @property
    def kinds(self) -> int:
        """How many kinds of faults there were."""
        kinds = [window.kind for window in self.windows]
        return len({(kind.target, kind.name) for kind in kinds})

    def codes(self) -> Counter[str]:
        return Counter(p.code for entry in self.entries for p in entry.problems)

    def latency(self, least: int) -> Latency:
        """Quiet: no fault near. Beside: faults, but none of what was needed.

        The quiet ones count so that every operation has the same share as beside.
        """
        quiet: dict[str, list[float]] = defaultdict(list)
        beside: dict[str, list[float]] = defaultdict(list)
        for entry in self.entries:
            near = [
                window.kind.target
                for window in self.windows
                if window.touches(entry.due, entry.ended, AFTER_S)
            ]
            if not near:
                quiet[entry.name].append(entry.took_s)
            elif "worker" not in near and not entry.needs.intersection(near):
                beside[entry.name].append(entry.took_s)
        names = [name for name in beside if quiet[name]]
        weighed = [
            (took_s, len(beside[name]) / len(quiet[name]))
            for name in names
            for took_s in quiet[name]
        ]
        plain = [(took_s, 1.0) for name in names for took_s in beside[name]]
        enough = len(weighed) >= least and len(plain) >= least
        figures = [
            quantile(values, q) if enough else None
            for q in (0.5, 0.99)
            for values in (weighed, plain)
        ]
        return Latency(len(weighed), len(plain), *figures)


def quantile(weighed: Iterable[tuple[float, float]], q: float) -> float:
    """Of values with weights. Raises: ValueError when there are none."""
    ordered: Sequence[tuple[float, float]] = sorted(weighed)
    left = q * sum(weight for _, weight in ordered)
    for value, weight in ordered:
        left -= weight
        if left <= 0:
            return value
    return max(value for value, _ in ordered)
