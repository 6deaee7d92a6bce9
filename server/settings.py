"""The settings: one frozen model, read once at the start.

The only place that reads the environment. `Settings.from_env()` is called by
`__main__.py` and by the worker processes; tests hand in a mapping. Names are those of
the Flux and Conduit guides; the list with defaults and meanings is `variables.py`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from clients.http import HTTPLimits, TransportName
from schema.build import EngineName

from .environment import EnvironmentReader, Mistake
from .live_settings import LiveSettings, read_live
from .protection_settings import ProtectionSettings, read_protection
from .session_settings import SessionSettings, read_session
from .thrift_settings import ThriftSettings, read_thrift
from .upload_settings import UploadSettings, read_uploads
from .upstream_settings import (
    ConduitSettings,
    FluxSettings,
    StorageSettings,
    read_ca_bundle,
    read_conduit,
    read_flux,
    read_limits,
    read_storage,
    read_transport,
)

Environment = Literal["development", "production"]

PRODUCTION_LEAVE_S = 5.0
LOG_LEVELS = ("INFO", "DEBUG", "WARNING", "ERROR")


class SettingsError(Exception):
    """The environment is at fault; `mistakes` holds every single mistake."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    host: str
    port: int
    workers: int
    head_s: float
    keepalive_s: float
    leave_s: float
    shutdown_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """What may come in."""

    cors_origins: frozenset[str]
    max_body_bytes: int
    body_s: float
    trusted_proxy_hops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    environment: Environment
    log_level: str
    graphiql: bool
    deadline_s: float
    listen: ListenSettings
    guard: GuardSettings
    protection: ProtectionSettings
    live: LiveSettings
    flux: FluxSettings
    conduit: ConduitSettings
    storage: StorageSettings
    uploads: UploadSettings
    session: SessionSettings
    engine: EngineName
    transport: TransportName
    limits: HTTPLimits
    thrift: ThriftSettings
    ca_bundle: Path | None

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read everything. Raises: SettingsError with every mistake found."""
        read = EnvironmentReader(os.environ if env is None else env)
        production = (
            read.choice("ENVIRONMENT", ("development", "production")) == "production"
        )
        conduit = read_conduit(read, production=production)
        protection = read_protection(read, production=production)
        settings = cls(
            environment="production" if production else "development",
            log_level=read.choice("LOG_LEVEL", LOG_LEVELS),
            graphiql={"on": True, "off": False, "auto": not production}[
                read.choice("GRAPHIQL", ("auto", "on", "off"))
            ],
            deadline_s=read.seconds("REQUEST_DEADLINE_S", most=300),
            listen=_listen(read, production=production),
            guard=_guard(read),
            protection=protection,
            live=read_live(read),
            flux=read_flux(
                read,
                production=production,
                page_size=protection.limits.document.page_size.enforced,
            ),
            conduit=conduit,
            storage=read_storage(read, conduit.url),
            uploads=read_uploads(read),
            session=read_session(read, production=production),
            engine=cast("EngineName", read.choice("ENGINE", ("compiled", "reference"))),
            transport=read_transport(read),
            limits=read_limits(read),
            thrift=read_thrift(read),
            ca_bundle=read_ca_bundle(read),
        )
        if read.mistakes:
            raise SettingsError(read.mistakes)
        return settings


def _listen(read: EnvironmentReader, *, production: bool) -> ListenSettings:
    return ListenSettings(
        host=read.required("HOST"),
        port=read.integer("PORT", least=0, most=65535),
        workers=read.integer("WORKERS", least=1, most=64),
        head_s=read.seconds("HEAD_TIMEOUT_S", most=600),
        keepalive_s=read.seconds("KEEPALIVE_TIMEOUT_S", most=3600),
        leave_s=_leave_s(read, production=production),
        shutdown_s=read.seconds("SHUTDOWN_TIMEOUT_S", most=600),
    )


def _leave_s(read: EnvironmentReader, *, production: bool) -> float:
    fixed = {"auto": PRODUCTION_LEAVE_S if production else 0.0, "0": 0.0}
    given = read.text("SHUTDOWN_DELAY_S") or ""
    return (
        fixed[given] if given in fixed else read.seconds("SHUTDOWN_DELAY_S", most=120)
    )


def _guard(read: EnvironmentReader) -> GuardSettings:
    origins = read.names("CORS_ORIGINS")
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", origin):
            read.mistake(
                "CORS_ORIGINS",
                f"{origin[:80]!r} is not an origin.",
                "Scheme and lower-case host, and no path: https://app.example.com",
            )
    return GuardSettings(
        cors_origins=frozenset(origins),
        max_body_bytes=read.integer("MAX_BODY_BYTES", least=1024, most=2**30),
        body_s=read.seconds("BODY_TIMEOUT_S", most=600),
        trusted_proxy_hops=read.integer("TRUSTED_PROXY_HOPS", least=0, most=10),
    )
