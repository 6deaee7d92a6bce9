"""One call to Conduit as every method makes it: cache, token, failures."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from clients.http import Auth, CallScope, Sending, UpstreamHTTP
from clients.ids import conduit_id, malformed

from . import failures
from .offers import Offers

# Only this exact header goes round the router's cache of 10 s (conduit.md §3).
FRESH: Final[Mapping[str, str]] = {"Cache-Control": "no-cache"}


class ConduitCalls(msgspec.Struct, frozen=True):
    """Bound to one person and one request.

    `auth` None sends no token; `offers` is the process's own.
    """

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

    def read(self, target: str, *, operation: str) -> Sending:
        """GET, never from the router's cache; raises what `failures.py` says."""
        return self.http.send(
            "GET",
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers=FRESH,
            check=failures.raise_for_failure,
        )

    def ask(self, query: str, *, operation: str) -> Sending:
        """POST a query to the router's own GraphQL; errors of fields are in the body,
        that of a refused token too.
        """
        return self.http.send(
            "POST",
            "/graphql",
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers=FRESH,
            json={"query": query},
            idempotent=True,
            told_within=True,
            check=failures.raise_for_failure,
        )

    def write(
        self,
        method: str,
        target: str,
        *,
        operation: str,
        json: object = msgspec.UNSET,
    ) -> Sending:
        """POST, PUT, PATCH or DELETE; never repeated but with a renewed token."""
        return self.http.send(
            method,
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            json=json,
            check=failures.raise_for_failure,
        )
