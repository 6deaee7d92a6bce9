"""From a request to its `RequestContext`: session, clients bound to it, deadline.

Called by the GraphQL and preview routes. Fetches nothing: the vault is read when the
first field needs a token.
"""

from functools import partial
from ipaddress import ip_address

from starlette.types import Scope

from clients.conduit.calls import ConduitCalls
from clients.conduit.client import ConduitClient
from clients.flux.client import FluxClient
from clients.http import CallScope
from resolvers.context import RequestContext
from session.auth import ConduitAuth, FluxAuth
from session.login_limits import network
from session.session import Session

from .cookies import SESSION, LateSession
from .head import HEAD, Head, head_of
from .resources import Resources
from .trace import TRACE, RequestTrace

USER_AGENT_LIMIT = 256


def resources_of(scope: Scope) -> Resources:
    """What the lifespan opened."""
    resources: Resources = scope["app"].resources
    return resources


def request_context(scope: Scope, session: Session | None = None) -> RequestContext:
    """Without `session` for the one that came with this request's own headers."""
    if session is None:
        late: LateSession = scope[SESSION]
        session = late.read()
    resources: Resources = scope["app"].resources
    address = client_address(scope, resources.settings.guard.trusted_proxy_hops)
    call_scope = _call_scope(scope, resources, address)
    conduit_auth = ConduitAuth(resources.keeper, session, call_scope)
    flux_auth = FluxAuth(resources.flux_tokens, session, conduit_auth)
    ref = session.ref
    # Whose operations are counted: an account's, else an address's.
    if ref is None:
        person = f"address:{network(address) if address else ''}"
    else:
        person = f"user:{ref.user_id}"
        resources.conduit_offers.note_id(ref.user_id)
    budget = resources.cost_budget
    charge = (
        None
        if budget is None
        else partial(budget.take, person, request_id=call_scope.request_id)
    )
    return RequestContext(
        session=session,
        shared=resources.shared,
        flux=FluxClient(resources.flux_calls(flux_auth, call_scope)),
        conduit=ConduitClient(
            ConduitCalls(
                resources.conduit_http,
                conduit_auth,
                call_scope,
                resources.conduit_offers,
            ),
            resources.storage_http,
        ),
        scope=call_scope,
        user_agent=partial(_user_agent, scope[HEAD]),
        client_address=address,
        person=person,
        charge=charge,
    )


def _user_agent(head: Head) -> str | None:
    return head.text(b"user-agent")[:USER_AGENT_LIMIT] or None


def _call_scope(scope: Scope, resources: Resources, address: str | None) -> CallScope:
    trace: RequestTrace = scope[TRACE]
    settings = resources.settings
    now = resources.loop.time()
    return CallScope(
        request_id=trace.request_id,
        deadline=now + settings.deadline_s,
        fresh_from=0.0 if settings.thrift.joins_sent else now,
        forwarded_for=address,
        calls=trace.calls,
        max_calls=resources.max_calls,
    )


def client_address(scope: Scope, trusted_hops: int) -> str | None:
    """The caller's address as the outermost trusted proxy saw it.

    Each proxy appends what it saw, so only the last `trusted_hops` entries are
    the word of our own proxies; everything before them a client can forge.
    """
    peer = scope["client"][0] if scope.get("client") else None
    if trusted_hops == 0:
        return peer
    forwarded = head_of(scope).joined(b"x-forwarded-for")
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
