"""One call to Conduit as every method makes it: cache, token, failures."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from clients.http import Auth, CallScope, Response, UpstreamHTTP
from clients.ids import conduit_id, malformed

from . import failures
from .offers import Offers

# Only this exact header goes round the router's cache of 10 s (conduit.md §3).
FRESH: Final[Mapping[str, str]] = {"Cache-Control": "no-cache"}


class ConduitCalls(msgspec.Struct, frozen=True):
    """Bound to one person and one request; `auth` None sends no token."""

    http: UpstreamHTTP
    auth: Auth | None
    scope: CallScope
    offers: Offers = msgspec.field(default_factory=Offers)

    def id(self, value: str, *, field: str = "id") -> str:
        """The id in lower case. Raises: InvalidInputError if it cannot be one here."""
        checked = conduit_id(value, field=field)
        if not self.offers.made([checked]):
            raise malformed("conduit", field)
        return checked

    def ids(self, values: Iterable[str]) -> list[str]:
        """Each once, without those that this Conduit cannot have: nothing is there.

        Raises: InvalidInputError for what is no id at all.
        """
        return self.offers.made(dict.fromkeys(map(conduit_id, values)))

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

    async def ask(self, query: str, *, operation: str) -> Response:
        """POST a query to the router's own GraphQL; errors of fields are in the body.

        `operation` must end in "by aliases": `failures.token_refused` looks into such
        an answer, because a refused token is a 200 here.
        """
        response = await self.http.send(
            "POST",
            "/graphql",
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers=FRESH,
            json={"query": query},
            idempotent=True,
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
