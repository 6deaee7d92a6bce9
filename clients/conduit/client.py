"""Conduit as one request sees it: bound to its person and its deadline.

Made by `server/context.py` for each request, over the pools that `conduit_http` and
`storage_http` made once.
"""

import msgspec

from clients.http import HTTPLimits, Response, Transport, UpstreamHTTP

from . import failures
from .authentication import ConduitAuthentication
from .calls import ConduitCalls
from .posts import ConduitPosts
from .records import ConduitViewer
from .storage import ConduitStorage
from .users import ConduitUsers


def conduit_http(
    base_url: str,
    transport: Transport,
    limits: HTTPLimits,
    *,
    client_id: str | None = None,
    client_secret: str | None = None,
) -> UpstreamHTTP:
    """The one `UpstreamHTTP` of this process for Conduit's router.

    `client_id` and `client_secret` where the router asks for them (conduit.md §8).
    """
    headers = {"Accept": "application/json"}
    if client_id is not None:
        headers["clientid"] = client_id
    if client_secret is not None:
        headers["clientsecret"] = client_secret
    return UpstreamHTTP(
        "conduit",
        base_url,
        transport,
        limits,
        headers,
        failures.token_refused,
        forwards_address=True,
    )


def storage_http(transport: Transport, limits: HTTPLimits) -> UpstreamHTTP:
    """The pool for bytes: whole addresses only, no token, no client's address."""
    return UpstreamHTTP("conduit", "", transport, limits)


class ConduitClient(msgspec.Struct, frozen=True):
    """Everything that is asked of Conduit, by these calls and, for bytes, that pool."""

    _calls: ConduitCalls
    _storage_http: UpstreamHTTP

    # Made when they are asked for: most requests need one of them.

    @property
    def posts(self) -> ConduitPosts:
        return ConduitPosts(self._calls)

    @property
    def users(self) -> ConduitUsers:
        return ConduitUsers(self._calls)

    @property
    def storage(self) -> ConduitStorage:
        return ConduitStorage(self._calls, self._storage_http)

    @property
    def authentication(self) -> ConduitAuthentication:
        return ConduitAuthentication(self._calls.http)

    async def viewer(self) -> ConduitViewer:
        """`GET /authentication/user`. Raises: NotAuthenticatedError."""
        calls = self._calls
        return await self.authentication.viewer(calls.auth, calls.scope)

    async def bearer(self) -> str | None:
        """The token that calls go out with now; raises when there may be none."""
        return None if self._calls.auth is None else await self._calls.auth.token()

    async def check(self) -> Response:
        """`GET /ready`: the router is there; its modules may still be down."""
        return await self._calls.read("/ready", operation="check")
