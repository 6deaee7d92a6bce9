"""Where the Flux token of a person comes from: minted, out of the vault, or none.

`flux_tokens()` picks by `FLUX_TOKEN_SOURCE`; `session/auth.py` asks. There is no
service identity for everybody: Flux filters rows by `sub` (flux.md §4.1).
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import jwt

from clients.errors import NotAuthenticatedError

from .records import VaultRecord

FluxTokenSource = Literal["mint", "vault", "none"]

# A token is not handed out in its last seconds: it must live through the call.
SPARE_S: Final = 30
MAX_CACHED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxTokenSettings:
    """`secret`: FLUX_JWT_SECRET, as shown by Flux (its text is the key, undecoded)."""

    source: FluxTokenSource
    secret: str | None = field(default=None, repr=False)
    role: str = "authenticated"
    lifetime_s: int = 300


class FluxTokens(Protocol):
    """One way to come by a person's Flux token."""

    def token(self, *, user_id: str, record: VaultRecord | None) -> str | None:
        """The token to send; None sends no Authorization header.

        `record` is the person's in the vault, if it is a session's token.
        """

    def forget(self, *, user_id: str, refused: str) -> None:
        """The upstream refused `refused`: never hand it out again."""


class FluxTokenMinter:
    """HS256 for `sub` = Conduit's user id; cached per person until near its end."""

    def __init__(
        self, settings: FluxTokenSettings, *, clock: Callable[[], float] = time.time
    ) -> None:
        if not settings.secret:
            raise ValueError("minting Flux tokens needs FLUX_JWT_SECRET")
        if settings.lifetime_s <= SPARE_S:
            raise ValueError(f"a Flux token must live longer than {SPARE_S} s")
        self._secret = settings.secret
        self._role = settings.role
        self._lifetime_s = settings.lifetime_s
        self._clock = clock
        self._cached: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def token(self, *, user_id: str, record: VaultRecord | None) -> str:
        """A token for `user_id`; what is in the vault does not matter here."""
        now = self._clock()
        cached, usable_until = self._cached.get(user_id, ("", 0.0))
        if now < usable_until:
            self._cached.move_to_end(user_id)
            return cached
        issued_at = int(now)
        claims = {
            "sub": user_id,
            "role": self._role,
            "iat": issued_at,
            "exp": issued_at + self._lifetime_s,
        }
        token = jwt.encode(claims, self._secret, algorithm="HS256")
        self._cached[user_id] = (token, issued_at + self._lifetime_s - SPARE_S)
        self._cached.move_to_end(user_id)
        if len(self._cached) > MAX_CACHED:
            self._cached.popitem(last=False)
        return token

    def forget(self, *, user_id: str, refused: str) -> None:
        """Mint anew next time."""
        if self._cached.get(user_id, ("", 0.0))[0] == refused:
            del self._cached[user_id]


class VaultedFluxTokens:
    """The member `fluxToken` that another application keeps in the vault record."""

    def token(self, *, user_id: str, record: VaultRecord | None) -> str:
        """What is vaulted. Raises: NotAuthenticatedError when nothing is."""
        vaulted = record.flux_token if record else None
        if vaulted is None:
            raise NotAuthenticatedError("no Flux token in the vault", service="flux")
        return vaulted

    def forget(self, *, user_id: str, refused: str) -> None:
        """Nothing is kept here."""


class NoFluxTokens:
    """No Authorization header: a Flux project that answers to everybody."""

    def token(self, *, user_id: str, record: VaultRecord | None) -> None:
        """Always none."""

    def forget(self, *, user_id: str, refused: str) -> None:
        """Nothing is kept here."""


def flux_tokens(settings: FluxTokenSettings) -> FluxTokens:
    """The one that the settings ask for."""
    if settings.source == "mint":
        return FluxTokenMinter(settings)
    return VaultedFluxTokens() if settings.source == "vault" else NoFluxTokens()
