"""One call to Flux as every method makes it: profile header, token, failures."""

import sys
from collections.abc import Mapping
from typing import Final

import msgspec

from clients.http import (
    NO_HEADERS,
    Auth,
    CallScope,
    HTTPLimits,
    Response,
    Sending,
    Transport,
    UpstreamHTTP,
)

from . import failures, postgrest
from .postgrest import IDS_PER_REQUEST, URL_BUDGET_BYTES

# Small enough for any proxy; below it, a refusal has another reason.
_FEWEST_IDS: Final = 20


class FluxHTTP(UpstreamHTTP):
    """The one connection to Flux of this process, and how much a call may ask for.

    What stands between us and PostgREST is not known beforehand (flux.md §13.1).
    `max_rows` is its `db-max-rows`: it cuts longer answers without a word (recording
    18, "db-max-rows caps the page silently").
    """

    def __init__(
        self,
        base_url: str,
        transport: Transport,
        limits: HTTPLimits,
        max_rows: int | None = None,
    ) -> None:
        super().__init__(
            "flux",
            base_url,
            transport,
            limits,
            {"Accept": "application/json"},
            failures.token_refused,
        )
        self.max_rows = max_rows
        self.ids_per_request = min(IDS_PER_REQUEST, max_rows or IDS_PER_REQUEST)

    def groups_per_call(self, rows_each: int) -> int:
        """How many groups of so many rows fit into one answer; at least one."""
        rows = sys.maxsize if self.max_rows is None else self.max_rows
        return max(1, rows // rows_each)

    def took_no_more_than(self, ids: int) -> None:
        """Remember the size that was taken after a larger one had been refused."""
        self.ids_per_request = min(self.ids_per_request, max(ids, _FEWEST_IDS))


class FluxCalls(msgspec.Struct, frozen=True):
    """Bound to one person and one request.

    `auth` None sends no token; `schema` is None when the upstream's default is meant.
    `token_is_ours` tells that the tokens are minted by us, so that a refusal is our
    mistake and not the person's.
    """

    http: FluxHTTP
    auth: Auth | None
    scope: CallScope
    schema: str | None = None
    token_is_ours: bool = True
    url_budget_bytes: int = URL_BUDGET_BYTES

    def read(
        self,
        target: str,
        *,
        operation: str,
        method: str = "GET",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Sending:
        """GET or HEAD; raises what `failures.py` makes of a refusal."""
        if self.schema is not None:
            headers = {**postgrest.profile(method, self.schema), **headers}
        return self.http.send(
            method,
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers=headers,
            check=self._check,
        )

    async def read_unless_too_long(
        self, target: str, *, operation: str
    ) -> Response | None:
        """GET as `read`; None when it was refused, as it seems, for its length."""
        response = await self.http.send(
            "GET",
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers=postgrest.profile("GET", self.schema),
        )
        if failures.too_long(response, len(target)):
            return None
        self._check(response)
        return response

    def call(self, target: str, arguments: object, *, operation: str) -> Sending:
        """POST to a function that only reads: ids in a body have no length limit."""
        return self.http.send(
            "POST",
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers=postgrest.profile("POST", self.schema),
            json=arguments,
            idempotent=True,
            check=self._check,
        )

    def write(
        self,
        method: str,
        target: str,
        *,
        operation: str,
        json: object = msgspec.UNSET,
    ) -> Sending:
        """POST, PATCH or DELETE, answered by the rows it touched; never repeated."""
        return self.http.send(
            method,
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers={
                **postgrest.profile(method, self.schema),
                "Prefer": "return=representation",
            },
            json=json,
            check=self._check,
        )

    def _check(self, response: Response) -> None:
        failures.raise_for_failure(response, token_is_ours=self.token_is_ours)
