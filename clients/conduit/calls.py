"""One call to Conduit as every method makes it: cache, token, failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from clients.http import Auth, CallScope, Response, UpstreamHTTP

from . import failures

# Only this exact header goes round the router's cache of 10 s (conduit.md §3).
FRESH: Final[Mapping[str, str]] = {"Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True)
class ConduitCalls:
    """Bound to one person and one request; `auth` None sends no token."""

    http: UpstreamHTTP
    auth: Auth | None
    scope: CallScope

    async def read(self, target: str, *, operation: str) -> Response:
        """GET, never from the router's cache; raises what `failures.py` says."""
        response = await self.http.send(
            "GET",
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers=FRESH,
        )
        failures.raise_for_failure(response)
        return response

    async def write(
        self,
        method: str,
        target: str,
        *,
        operation: str,
        json: object = msgspec.UNSET,
    ) -> Response:
        """POST, PUT, PATCH or DELETE; never repeated but with a renewed token."""
        response = await self.http.send(
            method,
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            json=json,
        )
        failures.raise_for_failure(response)
        return response
