"""One call to Flux as every method makes it: profile header, token, failures."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from clients.http import NO_HEADERS, Auth, CallScope, Response, UpstreamHTTP

from . import failures, postgrest
from .postgrest import URL_BUDGET_BYTES


@dataclass(frozen=True, slots=True)
class FluxCalls:
    """Bound to one person and one request.

    `schema` is None when the upstream's default is meant. `token_is_ours` tells that
    the tokens are minted by us, so that a refusal is our mistake and not the person's.
    """

    http: UpstreamHTTP
    auth: Auth | None
    scope: CallScope
    schema: str | None = None
    token_is_ours: bool = True
    url_budget_bytes: int = URL_BUDGET_BYTES

    async def read(
        self,
        target: str,
        *,
        operation: str,
        method: str = "GET",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Response:
        """GET or HEAD; raises what `failures.py` makes of a refusal."""
        response = await self.http.send(
            method,
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers={**postgrest.profile(method, self.schema), **headers},
        )
        failures.raise_for_failure(response, token_is_ours=self.token_is_ours)
        return response

    async def call(self, target: str, arguments: object, *, operation: str) -> Response:
        """POST to a function that only reads: ids in a body have no length limit."""
        response = await self.http.send(
            "POST",
            target,
            operation=operation,
            scope=self.scope,
            auth=self.auth,
            headers=postgrest.profile("POST", self.schema),
            json=arguments,
            idempotent=True,
        )
        failures.raise_for_failure(response, token_is_ours=self.token_is_ours)
        return response

    async def write(
        self,
        method: str,
        target: str,
        *,
        operation: str,
        json: object = msgspec.UNSET,
    ) -> Response:
        """POST, PATCH or DELETE, answered by the rows it touched; never repeated."""
        response = await self.http.send(
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
        )
        failures.raise_for_failure(response, token_is_ours=self.token_is_ours)
        return response
