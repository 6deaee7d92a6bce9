"""The choice of transport: `UPSTREAM_TRANSPORT`.

Called by `server/resources.py`, once per upstream. `pyreqwest` costs about 30 µs of CPU
a call and speaks HTTP/2 where TLS offers it; `httpx` costs about 1,500 µs, speaks
HTTP/1.1, and is Python all the way down. A library is imported only when it is chosen.
"""

from typing import Final, Literal

from .transport import HTTPLimits, Transport

TransportName = Literal["pyreqwest", "httpx"]
DEFAULT_TRANSPORT: Final[TransportName] = "pyreqwest"


def open_transport(
    name: TransportName, limits: HTTPLimits, *, ca_bundle: str | None = None
) -> Transport:
    """A new pool; it connects to nothing yet. `ca_bundle` is the path of a PEM file.

    Raises: OSError, ValueError: the CA bundle, or no certificates in the system.
    """
    if name == "httpx":
        from .transport_httpx import HttpxTransport, tls_context

        return HttpxTransport(limits, tls_context(ca_bundle))
    from .transport_pyreqwest import PyreqwestTransport

    return PyreqwestTransport(limits, ca_bundle=ca_bundle)
