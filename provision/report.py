"""The plan in words, for the operator's screen and a deployment's log."""

from collections.abc import Iterator, Mapping

from .steps import Plan, Status

SIGNS: Mapping[Status, str] = {
    "present": "  ",
    "missing": "+ ",
    "differs": "~ ",
    "blocked": "! ",
}


def lines(plan: Plan) -> Iterator[str]:
    """One line for each step, its details and notes beneath."""
    for step in plan.steps:
        sign = SIGNS[step.status]
        yield f"{sign}{step.status:8} {step.kind:9} {step.name}"
        yield from (f"             {detail}" for detail in step.details)
        yield from (f"             note: {note}" for note in step.notes)


def summary(plan: Plan) -> str:
    """How many of each, e.g. `9 present, 2 missing`."""
    counts = {status: len(plan.with_status(status)) for status in SIGNS}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)
