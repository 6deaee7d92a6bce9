"""The questions behind readiness: does Redis, Flux, Conduit answer?

Cheap ones that need no token and count against no limit: a ping, the gateway's
`/health` (flux.md §9), Conduit's `/ready` (conduit.md §7).
"""

from collections.abc import Callable

from clients.errors import UpstreamUnavailableError
from clients.http import CallScope, UpstreamHTTP
from session.vault import TokenVault

from .health import PROBE_TIMEOUT_S, Probe

REQUEST_ID = "readiness"


def probes(
    vault: TokenVault, flux: UpstreamHTTP, conduit: UpstreamHTTP
) -> dict[str, Probe]:
    async def ask_flux() -> None:
        # A project without a gateway has no /health; any answer shows that it lives.
        await _ask(flux, "/health", well=lambda status: status < 500)

    async def ask_conduit() -> None:
        await _ask(conduit, "/ready", well=lambda status: status == 200)

    return {"vault": vault.ping, "flux": ask_flux, "conduit": ask_conduit}


async def _ask(http: UpstreamHTTP, target: str, *, well: Callable[[int], bool]) -> None:
    response = await http.send(
        "GET",
        target,
        operation="readiness",
        scope=CallScope.for_background(PROBE_TIMEOUT_S, REQUEST_ID),
    )
    if not well(response.status):
        raise UpstreamUnavailableError(f"answered {response.status}")
