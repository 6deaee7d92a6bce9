"""Settings of sessions: cookie, vault, lives, the person's Flux token.

Read by `settings.py` only. Relies on iron-session.md §2 and §4 (password map, cookie)
and flux.md §4 (tokens).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from session.cookie import CookieSettings
from session.encryption import EncryptionMode, VaultEncryption, parse_vault_keys
from session.flux_tokens import FluxTokenSettings, FluxTokenSource
from session.login_limits import LoginLimits
from session.policy import SessionPolicy
from session.redis_connection import RedisSettings, connect
from session.seal import parse_passwords, weakness

from .environment import EnvironmentReader

MIN_SECRET_CHARACTERS = 32
YEAR_S = 31_536_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    cookie: CookieSettings
    policy: SessionPolicy
    login_limits: LoginLimits
    flux_tokens: FluxTokenSettings = field(repr=False)
    encryption: VaultEncryption
    redis: RedisSettings


def read_session(read: EnvironmentReader, *, production: bool) -> SessionSettings:
    mode = read.choice("CONDUIT_SESSIONS", ("single", "multiple"))
    return SessionSettings(
        cookie=CookieSettings(
            passwords=_passwords(read, production=production),
            secure=production,
            ttl_s=read.integer("SESSION_TTL_S", least=61, most=YEAR_S),
            domain=read.text("SESSION_COOKIE_DOMAIN"),
        ),
        policy=SessionPolicy(
            mode="single" if mode == "single" else "multiple",
            idle_s=read.integer("SESSION_IDLE_S", least=60, most=YEAR_S),
            absolute_s=read.integer("SESSION_ABSOLUTE_S", least=60, most=YEAR_S),
        ),
        login_limits=LoginLimits(
            per_address=read.integer("SIGN_IN_PER_ADDRESS", least=1, most=100_000),
            per_account=read.integer("SIGN_IN_PER_ACCOUNT", least=1, most=100_000),
        ),
        flux_tokens=_flux_tokens(read, production=production),
        encryption=_encryption(read),
        redis=_redis(read),
    )


def _redis(read: EnvironmentReader) -> RedisSettings:
    settings = RedisSettings(
        url=read.required("REDIS_URL"), ca_bundle=read.text("CA_BUNDLE")
    )
    try:
        connect(settings)  # opens nothing before its first command
    except ValueError as error:
        read.mistake(
            "REDIS_URL", f"is not an address: {error}.", read.example("REDIS_URL")
        )
    return settings


def _passwords(read: EnvironmentReader, *, production: bool) -> dict[str, str]:
    value = read.required("SESSION_SECRET")
    if not value:
        return {}
    passwords = _parsed(read, "SESSION_SECRET", value, parse_passwords) or {}
    for password in passwords.values():
        _check_random(read, "SESSION_SECRET", password, production=production)
    return dict(passwords)


def _flux_tokens(read: EnvironmentReader, *, production: bool) -> FluxTokenSettings:
    secret = read.text("FLUX_JWT_SECRET")
    if secret is not None:
        _check_length(read, "FLUX_JWT_SECRET", secret)
        _check_random(read, "FLUX_JWT_SECRET", secret, production=production)
    source = read.choice("FLUX_TOKEN_SOURCE", ("auto", "mint", "vault", "none"))
    if source == "auto":
        source = "mint" if secret else "none"
    if source == "mint" and not secret:
        read.mistake(
            "FLUX_TOKEN_SOURCE",
            "is mint, but FLUX_JWT_SECRET is not set.",
            "Copy the secret from: flux project credentials",
        )
    return FluxTokenSettings(
        source=cast(FluxTokenSource, source),
        secret=secret,
        role=read.required("FLUX_JWT_ROLE"),
    )


def _encryption(read: EnvironmentReader) -> VaultEncryption:
    modes = ("off", "read-both", "required")
    mode = cast(EncryptionMode, read.choice("VAULT_ENCRYPTION", modes))
    value = read.text("VAULT_ENCRYPTION_KEYS")
    keys = None
    if value is not None:
        keys = _parsed(read, "VAULT_ENCRYPTION_KEYS", value, parse_vault_keys)
    elif mode != "off":
        read.mistake(
            "VAULT_ENCRYPTION_KEYS",
            f"is not set, but VAULT_ENCRYPTION is {mode}.",
            "Give a JSON map from number to 32 bytes in base64.",
        )
    return VaultEncryption(mode, keys) if keys else VaultEncryption()


def _parsed(
    read: EnvironmentReader, name: str, value: str, parse: Callable[[str], T]
) -> T | None:
    """What `parse` makes of a secret; its complaint holds no secret."""
    try:
        return parse(value)
    except ValueError as error:
        read.mistake(name, f"is not valid: {error}.", "See docs/configuration.md.")
        return None


def _check_length(read: EnvironmentReader, name: str, secret: str) -> None:
    if len(secret) < MIN_SECRET_CHARACTERS:
        read.mistake(
            name, f"is shorter than {MIN_SECRET_CHARACTERS} characters.", _cure(name)
        )


def _check_random(
    read: EnvironmentReader, name: str, secret: str, *, production: bool
) -> None:
    if production and (why := weakness(secret)) is not None:
        read.mistake(name, f"does not look random: {why}.", _cure(name))


def _cure(name: str) -> str:
    if name == "FLUX_JWT_SECRET":
        return "Copy it from: flux project credentials"
    return "Make one with: openssl rand -base64 48"
