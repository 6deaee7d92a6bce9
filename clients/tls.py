"""Whom we believe that a server is who it says: used by the transports written here."""

import ssl
from functools import lru_cache


@lru_cache(maxsize=4)
def tls_context(ca_bundle: str | None = None) -> ssl.SSLContext:
    """Verify against the system's store and, added to it, our own CA bundle.

    All pools of a process share it: reading the system's store takes 35 ms, and what
    changes there counts from the next start.

    Raises: OSError, ssl.SSLError: the bundle cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_bundle is not None:
        context.load_verify_locations(cafile=ca_bundle)
    context.set_alpn_protocols(["http/1.1"])
    return context
