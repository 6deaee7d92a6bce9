"""What lives as long as the process: connection pools, vault, keeper of tokens.

Opened and closed by the lifespan in `app.py`; `context.py` binds it to one request.
Opening connects to nothing: an upstream or Redis that is down costs only the fields
that need it, and its return needs no restart.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from clients.budget import Budget, Rate
from clients.conduit import failures as conduit_failures
from clients.conduit.authentication import ConduitAuthentication
from clients.conduit.client import conduit_http, storage_http
from clients.conduit.offers import Offers
from clients.errors import Service
from clients.flux.calls import FluxCalls, FluxHTTP
from clients.flux.client import flux_http
from clients.http import Auth, CallScope, Transport, UpstreamHTTP, open_transport
from clients.resilience import ResilienceLimits, ResilientTransport
from clients.thrift import ThriftyTransport, refused_for_all
from clients.transport import Answer
from clients.transport_pinned import AddressPolicy, open_pinned
from resolvers.change_feed import ChangeFeed
from resolvers.context import Shared
from resolvers.shared_batches import SharedBatches
from resolvers.under_way import UnderWay
from resolvers.upload_rules import UploadRules
from session.accounts import SessionService
from session.broadcast import Broadcast, redis_broadcast
from session.budgets import CostBudget
from session.call_ledger import RedisLedger
from session.cookie import SessionCookie
from session.encryption import RecordCodec
from session.flux_tokens import FluxTokens, flux_tokens
from session.redis_connection import RedisCommands, connect
from session.renewal import TokenKeeper
from session.vault import RedisVault, TokenVault
from session.watch import SessionWatch

from .alarms import Alarms
from .departures import PATIENCE_S
from .health import Readiness
from .live_slots import SessionSlots
from .probes import probes
from .settings import Settings
from .storage_address import admit
from .trusted_documents import Documents

# Without a limit of ours the upstreams have one of their own.
UNLIMITED_PAGE: Final = 10_000
# How long an upload that is given up at the end may take to clean up.
CLEAN_UP_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    settings: Settings
    flux_http: FluxHTTP
    # For one person and one request.
    flux_calls: Callable[[Auth, CallScope], FluxCalls]
    conduit_http: UpstreamHTTP
    storage_http: UpstreamHTTP
    conduit_offers: Offers
    vault: TokenVault
    keeper: TokenKeeper
    flux_tokens: FluxTokens
    shared: Shared
    readiness: Readiness
    documents: Documents
    # None when no budget is set: then no operation costs a round trip for it.
    cost_budget: CostBudget | None
    # To the upstreams, of one request; None is no bound.
    max_calls: int | None
    watch: SessionWatch
    slots: SessionSlots
    # The loop that all of this lives on.
    loop: asyncio.AbstractEventLoop
    # For bodies that do not arrive, and operations that take longer than most.
    bodies: Alarms
    presence: Alarms
    # Set when the server begins to stop; streams that would not end by themselves end.
    stopping: asyncio.Event
    # Set before that: readiness fails, so that nobody new is sent here.
    leaving: asyncio.Event


@asynccontextmanager
async def open_resources(
    settings: Settings, cookie: SessionCookie
) -> AsyncIterator[Resources]:
    """Everything open; closed in reverse, so renewals end before the vault does."""
    async with AsyncExitStack() as stack:
        redis = connect(settings.session.redis)
        stack.push_async_callback(redis.aclose)
        flux, conduit, storage = _upstreams(settings, redis)
        vault = _vault(settings)
        broadcast = redis_broadcast(settings.session.redis)
        for part in (flux, conduit, storage, vault, broadcast):
            stack.push_async_callback(part.aclose)
        authentication = ConduitAuthentication(conduit)
        keeper = TokenKeeper(vault, authentication, policy=settings.session.policy)
        stack.push_async_callback(keeper.aclose)
        watch = SessionWatch(
            vault,
            settings.session.policy,
            broadcast,
            every_s=settings.live.session_check_s,
        )
        sessions = SessionService(
            vault,
            keeper,
            authentication,
            cookie,
            policy=settings.session.policy,
            limits=settings.session.login_limits,
            announce_end=watch.announce,
        )
        # Half of the pool: slow senders must not keep previews waiting.
        uploads = UnderWay(settings.limits.max_connections // 2 or 1)
        stack.push_async_callback(uploads.drain, CLEAN_UP_S)
        documents = Documents(settings.protection.documents)
        await stack.enter_async_context(documents.watched())
        leaving = asyncio.Event()
        loop = asyncio.get_running_loop()
        yield Resources(
            settings=settings,
            flux_http=flux,
            flux_calls=partial(
                FluxCalls,
                flux,
                schema=settings.flux.schema,
                # A refused token of another application's is for its person to renew.
                token_is_ours=settings.session.flux_tokens.source != "vault",
            ),
            conduit_http=conduit,
            storage_http=storage,
            conduit_offers=Offers(
                storage_authorization=settings.conduit.storage_authorization
            ),
            vault=vault,
            keeper=keeper,
            flux_tokens=flux_tokens(settings.session.flux_tokens),
            shared=_shared(settings, sessions, vault, broadcast, uploads),
            readiness=Readiness(probes(vault, flux, conduit), leaving=leaving),
            documents=documents,
            cost_budget=_cost_budget(settings, redis),
            max_calls=settings.protection.limits.upstream_calls.enforced,
            watch=watch,
            slots=SessionSlots(settings.live.per_session),
            loop=loop,
            bodies=Alarms(loop, settings.guard.body_s),
            presence=Alarms(loop, PATIENCE_S),
            stopping=asyncio.Event(),
            leaving=leaving,
        )


def _upstreams(
    settings: Settings, redis: RedisCommands
) -> tuple[FluxHTTP, UpstreamHTTP, UpstreamHTTP]:
    """A pool for each: Flux, Conduit, and file bytes, which never carry a token."""
    ca_bundle = str(settings.ca_bundle) if settings.ca_bundle else None
    limits = settings.limits

    def transport(
        service: Service,
        url: str,
        rate: Rate | None,
        spent: Callable[[Answer], bool] = refused_for_all,
    ) -> Transport:
        inner = open_transport(settings.transport, limits, ca_bundle=ca_bundle)
        # No class of calls may take the last quarter of the connections.
        concurrent = max(1, limits.max_connections * 3 // 4)
        guarded = ResilientTransport(inner, ResilienceLimits(concurrent=concurrent))
        if rate is None:
            return ThriftyTransport(guarded)
        workers = settings.listen.workers
        ledger = RedisLedger(redis, f"{service} {url}", rate, processes=workers)
        budget = Budget(service, rate, ledger)
        return ThriftyTransport(guarded, budget=budget, spent=spent)

    thrift = settings.thrift
    return (
        flux_http(
            settings.flux.url,
            transport("flux", settings.flux.url, thrift.flux),
            limits,
            max_rows=settings.flux.max_rows,
        ),
        conduit_http(
            settings.conduit.url,
            transport(
                "conduit",
                settings.conduit.url,
                thrift.conduit,
                conduit_failures.budget_spent,
            ),
            limits,
            client_id=settings.conduit.client_id,
            client_secret=settings.conduit.client_secret,
        ),
        storage_http(
            open_pinned(
                limits,
                AddressPolicy(settings.storage.private_hosts),
                name=settings.transport,
                ca_bundle=ca_bundle,
            ),
            limits,
        ),
    )


def _shared(
    settings: Settings,
    sessions: SessionService,
    vault: TokenVault,
    broadcast: Broadcast,
    uploads: UnderWay,
) -> Shared:
    page_size = settings.protection.limits.document.page_size
    return Shared(
        sessions=sessions,
        claims=vault,
        changes=ChangeFeed(broadcast, backlog=settings.live.backlog),
        batches=SharedBatches(),
        uploads=_upload_rules(settings),
        uploads_under_way=uploads,
        max_page_size=page_size.enforced or UNLIMITED_PAGE,
        measured_page_size=page_size.measured,
        checks_ownership=settings.conduit.checks_ownership,
        storage_authorization=settings.conduit.storage_authorization,
    )


def _upload_rules(settings: Settings) -> UploadRules:
    return UploadRules(
        max_bytes=settings.uploads.max_bytes,
        allowed_types=settings.uploads.allowed_types,
        denied_types=settings.uploads.denied_types,
        admit=partial(admit, settings=settings.storage),
    )


def _cost_budget(settings: Settings, redis: RedisCommands) -> CostBudget | None:
    limit = settings.protection.limits.cost_per_minute
    if limit.mode == "off":
        return None
    return CostBudget(redis, limit.most, enforced=limit.enforced is not None)


def _vault(settings: Settings) -> TokenVault:
    session = settings.session
    return RedisVault(
        connect(session.redis),
        RecordCodec(session.encryption),
        record_ttl_s=session.policy.idle_s,
        index_ttl_s=session.policy.index_ttl_s,
        max_in_flight=session.redis.max_connections,
    )
