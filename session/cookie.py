"""`SessionCookie`: the session's cookie and bearer value, read and written.

Called by `server/cookies.py`; relies on `session/seal.py` for what is inside and on
upstreams/iron-session.md §4 for what is around it. The cookie holds exactly
`{userId, vaultKey}`, as the Next.js application writes it; a bearer value says in a
member of its own that it is one, so neither can be used in the place of the other.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from .seal import SealError, seal, unseal
from .seal_keys import ProvenKeys
from .session import USER_ID, VAULT_KEY, Session, SessionRef, Transport

MAX_HEADER_BYTES: Final = 4096
MAX_CHUNKS: Final = 4
# What browsers and iron-session take for "no end" (ttl 0).
MAX_AGE_FOREVER: Final = 2_147_483_647

# The member that makes a seal a bearer value.
USE: Final = "use"

_REF: Final = msgspec.json.Decoder(SessionRef)

log = logging.getLogger("mainstem.session")


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieSettings:
    """`passwords`: id → password, the highest id seals (`seal.parse_passwords`).

    `secure` must be true in production. `ttl_s` 0 makes seals that never end.
    """

    passwords: Mapping[str, str]
    secure: bool
    name: str = "conduit_session"
    ttl_s: int = 1_209_600
    path: str = "/"
    domain: str | None = None

    def __repr__(self) -> str:
        return f"CookieSettings(name={self.name!r}, passwords=<hidden>)"

    @property
    def max_age_s(self) -> int:
        """Shorter than the seal by its 60 s of skew, as iron-session writes it."""
        if self.ttl_s == 0:
            return MAX_AGE_FOREVER
        return self.ttl_s - 60 if self.ttl_s > 60 else self.ttl_s


class SessionCookie:
    """Reads the session out of a request and writes it into its answer."""

    def __init__(
        self, settings: CookieSettings, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._clock = clock
        self._proven = ProvenKeys()
        # A seal with less time left is sealed again.
        self._half_ms = settings.ttl_s * 500
        self._pieces = [f"{settings.name}.{n}" for n in range(MAX_CHUNKS)]

    def read(self, cookies: Mapping[str, str]) -> Session:
        """The session in the request's cookies; anonymous if none or refused."""
        value = cookies.get(self.name) or self._joined(cookies)
        return self._open(value, "cookie", tuple(cookies))

    def read_bearer(self, value: str) -> Session:
        """The session in `Authorization: Bearer <value>`; anonymous if refused.

        When that header is sent the request's cookies must not be read at all.
        """
        return self._open(value, "bearer", ())

    def write(self, session: Session) -> list[str]:
        """`Set-Cookie` header values for a changed session, each its own header.

        Empty when nothing changed and for a session that came as a bearer value.
        """
        if not session.changed or session.source == "bearer":
            return []
        name = self._settings.name
        stale = [key for key in self._pieces if key in session.shown_cookies]
        if session.ref is None:
            return [self._expired(key) for key in (name, *stale)]
        payload = {**self._payload(session.ref), **session.extra}
        header = self._header(name, self._seal(payload), self._settings.max_age_s)
        if len(header.encode()) > MAX_HEADER_BYTES:
            # Only another application's own members can make it this long: its
            # cookie is left as it is.
            log.warning("session cookie too long to seal again")
            return []
        return [header, *(self._expired(key) for key in stale)]

    def seal_bearer(self, session: Session) -> str:
        """The value for clients without a cookie jar."""
        if session.ref is None:
            raise ValueError("an anonymous session cannot be sealed")
        return self._seal({**self._payload(session.ref), USE: "bearer"})

    def _joined(self, cookies: Mapping[str, str]) -> str:
        values: list[str] = []
        for key in self._pieces:
            if key not in cookies:
                break
            values.append(cookies[key])
        return "".join(values)

    def _open(self, value: str, source: Transport, shown: tuple[str, ...]) -> Session:
        session = Session(source=source, shown_cookies=shown)
        if not value:
            return session
        try:
            unsealed = unseal(
                value,
                passwords=self._settings.passwords,
                now_ms=int(self._clock() * 1000),
                proven=self._proven,
            )
            if source == "bearer":
                told = _taken_apart(unsealed.payload, use="bearer")
                session.ref, session.extra = told
            else:
                try:
                    session.ref = _REF.decode(unsealed.json)
                except ValueError:
                    # It says more, or something else.
                    told = _taken_apart(unsealed.payload, use=None)
                    session.ref, session.extra = told
        except SealError as error:
            # Never the value itself: it may be somebody's valid session elsewhere.
            log.warning("session refused", extra={"fields": {"reason": error.reason}})
            return session
        # Then it is sealed again.
        session.changed = session.ref is not None and (
            unsealed.old_password or unsealed.left_ms < self._half_ms
        )
        return session

    def _seal(self, payload: Mapping[str, object]) -> str:
        settings = self._settings
        return seal(
            payload,
            passwords=settings.passwords,
            ttl_s=settings.ttl_s,
            now_ms=int(self._clock() * 1000),
        )

    @staticmethod
    def _payload(ref: SessionRef) -> dict[str, object]:
        return {USER_ID: ref.user_id, VAULT_KEY: ref.vault_key}

    def _expired(self, name: str) -> str:
        return self._header(name, "", 0)

    def _header(self, name: str, value: str, max_age_s: int) -> str:
        settings = self._settings
        parts = [f"{name}={value}", f"Max-Age={max_age_s}"]
        if settings.domain:
            parts.append(f"Domain={settings.domain}")
        parts += [f"Path={settings.path}", "HttpOnly"]
        if settings.secure:
            parts.append("Secure")
        return "; ".join([*parts, "SameSite=Lax"])


def _taken_apart(
    payload: dict[str, object], *, use: str | None
) -> tuple[SessionRef | None, dict[str, object]]:
    """Whose session it is, and what else the seal says, if made for this `use`.

    None for a session that nobody has signed in to; the Next.js application seals
    such ones. Raises: SealError.
    """
    if payload.get(USE) != use:
        raise SealError("wrong-purpose")
    told = {name: payload.pop(name, None) for name in (USER_ID, VAULT_KEY)}
    if None in told.values():
        return None, payload
    try:
        return msgspec.convert(told, SessionRef), payload
    except msgspec.ValidationError:
        raise SealError("invalid") from None
