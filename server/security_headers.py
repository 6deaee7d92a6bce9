"""The headers that every answer carries, whatever it is, even an unexpected failure's.

Put onto the answer by `door.py`. A route that needs another policy (GraphiQL's page, a
file's bytes) sets its own and keeps it.
"""

from collections.abc import Mapping
from typing import Final

from .head import RawHeaders

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}
# One year. Only in production, where HTTPS is certain: the cookies demand it.
TRANSPORT_SECURITY: Final = {"strict-transport-security": "max-age=31536000"}


class SecurityHeaders:
    def __init__(self, *, production: bool) -> None:
        headers = {**SECURITY_HEADERS, **(TRANSPORT_SECURITY if production else {})}
        self._headers = {
            name.encode(): value.encode() for name, value in headers.items()
        }

    def add_to(self, headers: RawHeaders) -> None:
        """Those that are not there yet."""
        present = dict(headers)
        if self._headers.keys().isdisjoint(present):
            headers += self._headers.items()
        else:
            headers += [
                each for each in self._headers.items() if each[0] not in present
            ]
