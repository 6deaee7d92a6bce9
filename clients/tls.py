"""Whom we believe that a server is who it says: used by the transports written here."""

import ssl


def tls_context(ca_bundle: str | None = None) -> ssl.SSLContext:
    """Verify against the system's store and, added to it, our own CA bundle.

    Raises: OSError, ssl.SSLError: the bundle cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_bundle is not None:
        context.load_verify_locations(cafile=ca_bundle)
    context.set_alpn_protocols(["http/1.1"])
    return context
