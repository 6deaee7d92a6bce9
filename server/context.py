"""From a request to its `RequestContext`: session, clients bound to it, deadline.

Called by the GraphQL and preview routes. Fetches nothing: the vault is read when the
first field needs a token.
"""

import asyncio
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from clients.conduit.client import ConduitClient
from clients.flux.client import FluxClient
from clients.http import CallScope
from resolvers.context import RequestContext
from session.auth import ConduitAuth, FluxAuth

from .cookies import session_of
from .resources import Resources
from .trace import trace_of

USER_AGENT_LIMIT = 256


def resources_of(scope: Scope) -> Resources:
    """What the lifespan opened."""
    resources: Resources = scope["app"].state.resources
    return resources


def request_context(scope: Scope) -> RequestContext:
    resources = resources_of(scope)
    settings = resources.settings
    session = session_of(scope)
    address = client_address(scope, settings.guard.trusted_proxy_hops)
    call_scope = _call_scope(scope, settings.deadline_s, address)
    conduit_auth = ConduitAuth(resources.keeper, session, call_scope)
    flux_auth = FluxAuth(resources.flux_tokens, session, conduit_auth)
    return RequestContext(
        session=session,
        sessions=resources.sessions,
        flux=FluxClient(
            resources.flux_http, flux_auth, call_scope, settings.flux.schema
        ),
        conduit=ConduitClient(
            resources.conduit_http, resources.storage_http, conduit_auth, call_scope
        ),
        scope=call_scope,
        user_agent=Headers(scope=scope).get("user-agent", "")[:USER_AGENT_LIMIT]
        or None,
        client_address=address,
    )


def _call_scope(scope: Scope, deadline_s: float, address: str | None) -> CallScope:
    trace = trace_of(scope)
    return CallScope(
        request_id=trace.request_id,
        deadline=asyncio.get_running_loop().time() + deadline_s,
        forwarded_for=address,
        calls=trace.calls,
    )


def client_address(scope: Scope, trusted_hops: int) -> str | None:
    """The caller's address as the outermost trusted proxy saw it.

    Each proxy appends what it saw, so only the last `trusted_hops` entries are
    the word of our own proxies; everything before them a client can forge.
    """
    peer = scope["client"][0] if scope.get("client") else None
    if trusted_hops == 0:
        return peer
    forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
    addresses = [part.strip() for part in forwarded.split(",") if part.strip()]
    if len(addresses) < trusted_hops:
        return peer
    found = addresses[-trusted_hops]
    return found if _is_address(found) else peer


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
