"""What lies in the vault and in the index, and what an access token says of itself.

`VaultRecord` is `vault:{vaultKey}` as the Conduit guide has it, `SessionEntry` one
device in the index of a person. Made by `session/vault.py`, used all over `session/`.
"""

import base64
import hashlib
import json
from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

import msgspec

from clients.conduit.records import TokenPair

from .json_text import from_json

# Members of the guide's record; everything else belongs to another application.
ACCESS, REFRESH = "accessToken", "refreshToken"
USER_AGENT_LIMIT: Final = 256
_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")


class AccessClaims(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"user_id": "id", "issued_at": "iat", "expires_at": "exp"},
):
    """The claims of an access token, read without checking its signature.

    Conduit checks it; we only need to know whose it is and when to renew
    (conduit.md §2). Times are seconds since the epoch, None when not told.
    """

    user_id: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    issued_at: float | None = None
    expires_at: float | None = None

    @classmethod
    def of(cls, access_token: str) -> "AccessClaims":
        """All None for a token that is not a JWT."""
        try:
            payload = access_token.split(".")[1].encode("ascii")
            missing = b"=" * (-len(payload) % 4)
            raw = a2b_base64(payload.translate(_TO_BASE64) + missing)
            try:
                return _CLAIMS.decode(raw)
            except msgspec.DecodeError:
                # Member by member: what is of another type than ours is not told.
                claims = from_json(raw)
        except (IndexError, ValueError, RecursionError):
            return cls()
        if not isinstance(claims, dict):
            return cls()
        return cls(
            user_id=_text(claims.get("id")),
            issued_at=_seconds(claims.get("iat")),
            expires_at=_seconds(claims.get("exp")),
        )


_CLAIMS: Final = msgspec.json.Decoder(AccessClaims)


class VaultRecord(msgspec.Struct, frozen=True, gc=False):
    """One session's tokens. `stored` is the exact value in Redis, to compare with."""

    pair: TokenPair
    stored: bytes
    other: Mapping[str, object] = {}
    claims: AccessClaims = AccessClaims()

    def __repr__(self) -> str:
        return f"VaultRecord(pair={self.pair!r}, claims={self.claims!r})"

    @property
    def flux_token(self) -> str | None:
        """Another application's Flux token (FLUX_TOKEN_SOURCE=vault)."""
        return _text(self.other.get("fluxToken"))

    @property
    def issued_at(self) -> float:
        return self.claims.issued_at or 0.0


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """One session in its person's index; times are seconds since the epoch.

    `opened_by` is "other" for a session that a Next.js application opened: its use
    over there is not seen here, so it has no idle end here.
    """

    created_at: float
    last_used_at: float
    user_agent: str | None = None
    opened_by: Literal["us", "other"] = "us"

    def used(self, now: float) -> "SessionEntry":
        return replace(self, last_used_at=now)

    def to_json(self) -> str:
        return json.dumps(
            {
                "createdAt": round(self.created_at, 3),
                "lastUsedAt": round(self.last_used_at, 3),
                "userAgent": self.user_agent,
                "openedBy": self.opened_by,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, raw: bytes | str) -> "SessionEntry | None":
        """None for what is not an entry; it is then made anew."""
        try:
            value = from_json(raw)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        created = _seconds(value.get("createdAt"))
        used = _seconds(value.get("lastUsedAt"))
        if created is None or used is None:
            return None
        return cls(
            created_at=created,
            last_used_at=used,
            user_agent=_text(value.get("userAgent")),
            opened_by="other" if value.get("openedBy") == "other" else "us",
        )


def digest(text: str) -> str:
    """A short name for `text` that does not give it away (22 characters)."""
    raw = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
