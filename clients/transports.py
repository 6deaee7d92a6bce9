"""The choice of transport: `UPSTREAM_TRANSPORT`.

Called by `server/resources.py`, once per upstream. Their costs a call are in decision
12. A library is imported only when it is chosen.
"""

from typing import Final, Literal, get_args

from .transport import HTTPLimits, Transport

TransportName = Literal["asyncio", "pyreqwest", "httpx"]
TRANSPORTS: Final[tuple[TransportName, ...]] = get_args(TransportName)
DEFAULT_TRANSPORT: Final[TransportName] = "asyncio"


def open_transport(
    name: TransportName, limits: HTTPLimits, *, ca_bundle: str | None = None
) -> Transport:
    """A new pool; it connects to nothing yet. `ca_bundle` is the path of a PEM file.

    Raises: OSError, ValueError: the CA bundle, or no certificates in the system.
    """
    if name == "pyreqwest":
        from .transport_pyreqwest import PyreqwestTransport

        return PyreqwestTransport(limits, ca_bundle=ca_bundle)
    from .tls import tls_context

    context = tls_context(ca_bundle)
    if name == "httpx":
        from .transport_httpx import HttpxTransport

        return HttpxTransport(limits, context)
    from .transport_asyncio import AsyncioTransport

    return AsyncioTransport(limits, context)
