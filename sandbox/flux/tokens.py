"""JSON web tokens: what the gateway checks, and what PostgREST checks.

The two differ in leeway, in the claims that they need and in their words. Called by
`gateway.py` and `rest.py`. Flux contract: flux.md §4; recordings 09 and 16.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any

from .database import Caller
from .dialect import PostgREST12
from .settings import Project

_LEEWAY_S = 30  # PostgREST's; the gateway has none
_BRIDGE_LIFETIME_S = 300
_BRIDGE_BACKDATE_S = 5

# A token's claims are whatever JSON its maker put there.
Claims = dict[str, Any]


class InvalidTokenError(Exception):
    """The gateway's 401, for every cause the same."""


def bearer(header: str | None) -> str | None:
    """The token of an Authorization header, or None when there is none to speak of."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def gateway_caller(token: str, project: Project, secret: str) -> Caller:
    """Check a project token; the caller as the gateway presents it to PostgREST.

    Raises: InvalidTokenError.
    """
    claims = _verified(token, secret)
    subject = claims.get("sub") if claims is not None else None
    now = time.time()
    if (
        claims is None
        or not isinstance(subject, str)
        or not subject.strip()
        or not _number(claims.get("exp"), default=now + 1) > now
        or not _number(claims.get("nbf"), default=now) <= now
    ):
        raise InvalidTokenError
    bridge: Claims = {
        "exp": int(now) + _BRIDGE_LIFETIME_S,
        "iat": int(now),
        "nbf": int(now) - _BRIDGE_BACKDATE_S,
        "role": project.role,
        "sub": subject.strip(),
        "tenant_id": project.tenant_id,
    }
    if isinstance(claims.get("email"), str):
        bridge["email"] = claims["email"]
    return Caller(project.role, json.dumps(bridge))


def direct_caller(
    header: str | None, secret: str | None, anonymous: str, dialect: PostgREST12
) -> Caller:
    """Check an Authorization header as PostgREST does.

    Raises: FluxError PGRST301, PGRST303.
    """
    token = bearer(header)
    if token is None:
        if (header or "").strip().lower() == "bearer" and dialect.refuses_empty_bearer:
            raise dialect.not_three_parts(0)
        return Caller(anonymous, json.dumps({"role": anonymous}), anonymous=True)
    parts = token.split(".")
    if len(parts) != 3:
        raise dialect.not_three_parts(len(parts))
    if not parts[2]:
        raise dialect.unsigned()
    claims = _verified(token, secret) if secret is not None else None
    if claims is None:
        raise dialect.bad_signature(_algorithm(parts[0]))
    _check_times(claims, dialect)
    role = claims.get("role")
    if not isinstance(role, str):
        claims = {**claims, "role": anonymous}
        return Caller(anonymous, json.dumps(claims), anonymous=True)
    return Caller(role, json.dumps(claims))


def _check_times(claims: Claims, dialect: PostgREST12) -> None:
    now = time.time()
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is not None and not _is_number(value):
            raise dialect.no_number(name, value)
        is_whole = value is None or float(value).is_integer()
        if not is_whole and not dialect.accepts_fractional_times:
            raise dialect.out_of_time(name)
    if _number(claims.get("exp"), default=now) < now - _LEEWAY_S:
        raise dialect.out_of_time("exp")
    for name in ("nbf", "iat"):
        if _number(claims.get(name), default=now) > now + _LEEWAY_S:
            raise dialect.out_of_time(name)


def _algorithm(header: str) -> object:
    try:
        found: object = json.loads(_decoded(header)).get("alg")
    except (ValueError, AttributeError):
        return None
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object, *, default: float) -> float:
    """A time claim; absent is the default, nonsense is never right."""
    if value is None:
        return default
    return float(value) if isinstance(value, int | float) else float("nan")


def _verified(token: str, secret: str) -> Claims | None:
    """The claims of an HS256 token, or None when form or signature is wrong."""
    head, _, signature = token.rpartition(".")
    header_text, _, claims_text = head.partition(".")
    try:
        header = json.loads(_decoded(header_text))
        expected = hmac.digest(secret.encode(), head.encode(), hashlib.sha256)
        if header.get("alg") != "HS256" or not hmac.compare_digest(
            _decoded(signature), expected
        ):
            return None
        claims = json.loads(_decoded(claims_text))
    except (ValueError, AttributeError, binascii.Error):
        return None
    return claims if isinstance(claims, dict) else None


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
