"""What a trial found, for people and for programs; and whether it is good enough."""

import statistics
from dataclasses import dataclass
from typing import Final

from .journal import Latency
from .place import Sample
from .trial import Outcome

# Fewer say nothing about the slowest in a hundred.
LEAST_SAMPLES: Final = 1000
LEAST_S_FOR_MEMORY: Final = 300.0
MOST_RATIO: Final = 2.0
MOST_GROWTH: Final = 1.10
MOST_NEW_DESCRIPTORS: Final = 10
RECOVERED_S: Final = 5.0
SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Life:
    """The oldest worker at start, middle and end of its life; medians of a tenth."""

    rss_mb: tuple[float, float, float]
    descriptors: tuple[float, float, float]

    @property
    def grew(self) -> bool:
        """From the middle on: before it, caches and pools fill up."""
        _, middle, end = self.rss_mb
        return end > middle * MOST_GROWTH

    @property
    def leaks(self) -> bool:
        _, middle, end = self.descriptors
        return end > middle + MOST_NEW_DESCRIPTORS


def life_of(samples: list[Sample]) -> Life:
    """Raises: ValueError when nothing was sampled."""
    if not samples:
        raise ValueError("no samples")
    oldest = samples[0].pid
    own = [each for each in samples if each.pid == oldest]
    tenth = max(1, len(own) // 10)
    middle = len(own) // 2
    parts = (own[:tenth], own[middle : middle + tenth], own[-tenth:])
    start, half, end = (
        (
            statistics.median(each.rss_bytes for each in part) / 2**20,
            statistics.median(each.descriptors for each in part),
        )
        for part in parts
    )
    return Life((start[0], half[0], end[0]), (start[1], half[1], end[1]))


def missed(outcome: Outcome, latency: Latency, life: Life) -> list[str]:
    """The bars that were missed, in words."""
    model, journal = outcome.model, outcome.journal
    silent = journal.codes()["SILENT"]
    unexplained = journal.unexplained()
    ratio = latency.ratio if outcome.plan.name == "soak" else None
    late = outcome.recovered_s is None or outcome.recovered_s > RECOVERED_S
    long = outcome.plan.trial_s >= LEAST_S_FOR_MEMORY
    bars = {
        f"{len(model.crossed)} crossed: {model.crossed[:SHOWN]}": model.crossed,
        f"{len(model.lost)} lost: {model.lost[:SHOWN]}": model.lost,
        f"{len(model.ghosts)} there that failed: {model.ghosts[:SHOWN]}": model.ghosts,
        f"{len(model.duplicates)} twice: {model.duplicates[:SHOWN]}": model.duplicates,
        f"unexplained: {dict(unexplained.most_common(SHOWN))}": unexplained,
        f"{silent} without any answer": silent,
        f"recovered after {outcome.recovered_s} s": late,
        f"p99 of the unaffected is {ratio} times": ratio and ratio > MOST_RATIO,
        f"memory grew: {life.rss_mb} MB": long and life.grew,
        f"descriptors grew: {life.descriptors}": long and life.leaks,
    }
    return [text for text, is_missed in bars.items() if is_missed]


def as_json(outcome: Outcome, latency: Latency, life: Life) -> dict[str, object]:
    """The last line."""
    journal, model = outcome.journal, outcome.model
    return {
        "trial": outcome.plan.name,
        "seed": outcome.plan.seed,
        "seconds": round(outcome.plan.trial_s),
        "operations": len(journal.entries),
        "leftOut": journal.left_out,
        "capacity": round(outcome.capacity, 1),
        "rate": round(outcome.rate, 1),
        "faults": len(journal.windows),
        "faultKinds": journal.kinds,
        "crossed": len(model.crossed),
        "lost": len(model.lost),
        "ghosts": len(model.ghosts),
        "duplicates": len(model.duplicates),
        "unexplained": journal.unexplained().total(),
        "silent": journal.codes()["SILENT"],
        "sessionsLost": outcome.sessions_lost,
        "events": outcome.events,
        "recoveredS": _rounded(outcome.recovered_s),
        "unaffected": {
            "quiet": latency.quiet,
            "beside": latency.beside,
            "p50QuietMs": _ms(latency.p50_quiet),
            "p50BesideMs": _ms(latency.p50_beside),
            "p99QuietMs": _ms(latency.p99_quiet),
            "p99BesideMs": _ms(latency.p99_beside),
            "p99Ratio": _rounded(latency.ratio),
        },
        "rssMb": [round(each) for each in life.rss_mb],
        "descriptors": list(life.descriptors),
    }


def table(outcome: Outcome, latency: Latency, life: Life) -> str:
    """For people."""
    journal, model = outcome.journal, outcome.model
    written = sum(None not in each.possible for each in model.things.values())
    codes = ", ".join(f"{code} {n}" for code, n in journal.codes().most_common())
    sizes = " → ".join(f"{each:.0f}" for each in life.rss_mb)
    open_files = " → ".join(f"{each:.0f}" for each in life.descriptors)
    lines = {
        "operations": f"{len(journal.entries)}, {outcome.rate:.1f} a second of"
        f" {outcome.capacity:.1f}; {journal.left_out} left out",
        "faults": f"{len(journal.windows)} of {journal.kinds} kinds",
        "written": f"{len(model.things)} things, {written} to be found at the end",
        "crossed, lost": f"{len(model.crossed)}, {len(model.lost)}",
        "failed but there": f"{len(model.ghosts)}",
        "made twice": f"{len(model.duplicates)}",
        "errors": codes or "none",
        "unexplained": f"{journal.unexplained().total()}",
        "sessions lost": f"{outcome.sessions_lost} (signed in again)",
        "live events": f"{outcome.events}",
        "recovered": f"{_rounded(outcome.recovered_s)} s after the last fault",
        "unaffected": f"{latency.quiet} quiet, {latency.beside} beside faults",
        "  p50": f"{_ms(latency.p50_quiet)} ms, {_ms(latency.p50_beside)} ms",
        "  p99": f"{_ms(latency.p99_quiet)} ms, {_ms(latency.p99_beside)} ms:"
        f" {_rounded(latency.ratio)} times (judged from {LEAST_SAMPLES} on)",
        "oldest worker": f"{sizes} MB, {open_files} descriptors",
    }
    return "\n".join(f"{name:18}{text}" for name, text in lines.items())


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
