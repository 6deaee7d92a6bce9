"""Carries out a plan. Used by `command.py`; nothing is ever deleted or repeated."""

from collections.abc import Callable

from .admin_api import AdminAPI, NameInUseError
from .steps import Plan, Step


async def apply(plan: Plan, api: AdminAPI, say: Callable[[str], None]) -> None:
    """Create what is missing, change what differs, in the plan's order.

    Stops at the first failure; a new run goes on from there. Raises: AdminError.
    """
    for step in plan.changes:
        await _carry_out(step, api, say)


async def _carry_out(step: Step, api: AdminAPI, say: Callable[[str], None]) -> None:
    if step.body is None:
        raise RuntimeError(f"a step without a body was planned: {step}")
    if step.id is not None:
        await api.change(step.kind, step.name, step.id, step.body)
        say(f"changed {step.kind} {step.name}")
        return
    try:
        await api.create(step.kind, step.name, step.body)
    except NameInUseError:
        # Another run at the same moment; the comparison afterwards judges what it made.
        say(f"exists by now: {step.kind} {step.name}")
    else:
        say(f"created {step.kind} {step.name}")
