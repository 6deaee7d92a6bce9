"""What lives as long as the process: connection pools, vault, keeper of tokens.

Opened and closed by the lifespan in `app.py`; `context.py` binds it to one request.
Opening connects to nothing: an upstream or Redis that is down costs only the fields
that need it, and its return needs no restart.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from clients.conduit.authentication import ConduitAuthentication
from clients.conduit.client import conduit_http, storage_http
from clients.flux.client import flux_http
from clients.http import HttpxTransport, UpstreamHTTP, tls_context
from session.accounts import SessionService
from session.cookie import SessionCookie
from session.encryption import RecordCodec
from session.flux_tokens import FluxTokens, flux_tokens
from session.redis_connection import connect
from session.renewal import TokenKeeper
from session.vault import RedisVault, TokenVault

from .health import Readiness
from .probes import probes
from .settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    settings: Settings
    flux_http: UpstreamHTTP
    conduit_http: UpstreamHTTP
    storage_http: UpstreamHTTP
    vault: TokenVault
    keeper: TokenKeeper
    flux_tokens: FluxTokens
    sessions: SessionService
    readiness: Readiness


@asynccontextmanager
async def open_resources(
    settings: Settings, cookie: SessionCookie
) -> AsyncIterator[Resources]:
    """Everything open; closed in reverse, so renewals end before the vault does."""
    async with AsyncExitStack() as stack:
        flux, conduit, storage = _upstreams(settings)
        vault = _vault(settings)
        for part in (flux, conduit, storage, vault):
            stack.push_async_callback(part.aclose)
        authentication = ConduitAuthentication(conduit)
        keeper = TokenKeeper(vault, authentication, policy=settings.session.policy)
        stack.push_async_callback(keeper.aclose)
        sessions = SessionService(
            vault,
            keeper,
            authentication,
            cookie,
            policy=settings.session.policy,
            limits=settings.session.login_limits,
        )
        yield Resources(
            settings=settings,
            flux_http=flux,
            conduit_http=conduit,
            storage_http=storage,
            vault=vault,
            keeper=keeper,
            flux_tokens=flux_tokens(settings.session.flux_tokens),
            sessions=sessions,
            readiness=Readiness(probes(vault, flux, conduit)),
        )


def _upstreams(settings: Settings) -> tuple[UpstreamHTTP, UpstreamHTTP, UpstreamHTTP]:
    """A pool for each: Flux, Conduit, and file bytes, which never carry a token."""
    ca_bundle = str(settings.ca_bundle) if settings.ca_bundle else None
    tls = tls_context(ca_bundle)
    limits = settings.limits
    return (
        flux_http(settings.flux.url, HttpxTransport(limits, tls), limits),
        conduit_http(
            settings.conduit.url,
            HttpxTransport(limits, tls),
            limits,
            client_id=settings.conduit.client_id,
            client_secret=settings.conduit.client_secret,
        ),
        storage_http(HttpxTransport(limits, tls), limits),
    )


def _vault(settings: Settings) -> TokenVault:
    session = settings.session
    return RedisVault(
        connect(session.redis),
        RecordCodec(session.encryption),
        record_ttl_s=session.policy.idle_s,
        index_ttl_s=session.policy.index_ttl_s,
        max_in_flight=session.redis.max_connections,
    )
