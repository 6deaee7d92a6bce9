"""The command's course: compare, tell, add, look again, see the routes answer.

`run` is called by `__main__.py`, which turns the failures raised here into a line.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from . import report
from .access import Access
from .admin_api import AdminAPI, AdminError
from .apply import apply
from .plan import make_plan
from .records import Declared
from .routes import RouterError, silent_routes
from .steps import Plan

IN_ORDER, DRIFT, FAILED = 0, 1, 2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. Times in seconds."""

    applies: bool
    file: Path
    timeout_s: float
    wait_s: float


async def run(options: Options, declared: Declared, access: Access, say: Say) -> int:
    """Compare, then add or not. Raises: AdminError, RouterError, ShapeError."""
    tls = access.tls()
    async with AdminAPI(access, tls, timeout_s=options.timeout_s) as api:
        await check_modules(api, say)
        plan = make_plan(declared, await api.found())
        say(f"{options.file.name} against {access.admin_url}:")
        for line in report.lines(plan):
            say(line)
        if options.applies and plan.changes:
            await apply(plan, api, say)
            plan = await settled(api, declared, options.wait_s)
        address = access.client_url or await api.router_address()
    if address is None:
        raise RouterError("The router does not say where it is; set CLIENT_BASE_URL.")
    async with httpx.AsyncClient(
        base_url=address,
        headers=access.client_headers,
        timeout=options.timeout_s,
        trust_env=False,
        verify=tls,
    ) as http:
        routes_answer = await check_routes(plan, http, options, say)
    return conclude(plan, routes_answer, options, say)


async def check_modules(api: AdminAPI, say: Say) -> None:
    """Tell of modules that are down. Raises: AdminError (without database)."""
    serving = await api.modules()
    if not serving.get("database"):
        raise AdminError("Conduit's database module is not serving; try again later.")
    for name in ("authentication", "storage", "router"):
        if not serving.get(name):
            say(f"note: Conduit's {name} module is not serving")


async def settled(api: AdminAPI, declared: Declared, wait_s: float) -> Plan:
    """The comparison once changes are seen: a change's own answer is not to be relied
    on (recordings/admin.json, "add a field"). Raises: AdminError."""
    deadline = time.monotonic() + wait_s
    while True:
        plan = make_plan(declared, await api.found())
        if not plan.changes or time.monotonic() >= deadline:
            return plan
        await asyncio.sleep(1)


async def check_routes(
    plan: Plan, http: httpx.AsyncClient, options: Options, say: Say
) -> bool:
    """Whether every route answers that should; waits for them after `--apply`.

    Raises: RouterError.
    """
    steps = plan.with_status("present", "differs")
    routes = [step.route for step in steps if step.route is not None]
    wait_s = options.wait_s if options.applies else 0
    silent = await silent_routes(http, routes, wait_s=wait_s)
    for route, instead in silent.items():
        say(f"no answer yet: {route} ({instead})")
    answering = len(routes) - len(silent)
    say(f"{answering} of {len(routes)} routes answer at {http.base_url}")
    return not silent


def conclude(plan: Plan, routes_answer: bool, options: Options, say: Say) -> int:
    """The last line and the exit code."""
    if plan.in_order and routes_answer:
        say("In order.")
        return IN_ORDER
    say(f"Not in order: {report.summary(plan)}.")
    if plan.with_status("blocked"):
        say("What is blocked must be decided by a person, in the admin panel.")
    return FAILED if options.applies else DRIFT
