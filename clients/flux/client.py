"""Flux as one request sees it: bound to its person and its deadline.

Made by `server/context.py` for each request, over the pool that `flux_http` made once.
"""

import msgspec

from clients.http import HTTPLimits, Response, Transport

from .calls import FluxCalls, FluxHTTP
from .notes import FluxNotes


def flux_http(
    base_url: str,
    transport: Transport,
    limits: HTTPLimits,
    *,
    max_rows: int | None = None,
) -> FluxHTTP:
    """The one `FluxHTTP` of this process; `max_rows` is the server's `db-max-rows`."""
    return FluxHTTP(base_url, transport, limits, max_rows)


class FluxClient(msgspec.Struct, frozen=True):
    """Everything that is asked of Flux, by these calls."""

    _calls: FluxCalls

    @property
    def notes(self) -> FluxNotes:
        return FluxNotes(self._calls)

    async def bearer(self) -> str | None:
        """The token that calls go out with now; raises when there may be none."""
        return None if self._calls.auth is None else await self._calls.auth.token()

    async def check(self) -> Response:
        """The guide's check, `GET /notes?select=*&limit=1`: any row or none is well.

        Raises: what is wrong, as any other call would.
        """
        return await self._calls.read("/notes?select=*&limit=1", operation="check")
