"""The sealed value of a session: functions without a clock.

The format is iron-session's (upstreams/iron-session.md §1 to §3), shared with the
Next.js application byte for byte; `session/cookie.py` puts it into a cookie or hands
it out as a bearer value. Checked by the vectors in `tests/session/`.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

from .json_text import from_json
from .seal_keys import ProvenKeys, SealKeys

Reason = Literal["invalid", "expired", "unknown-password", "wrong-purpose"]

PREFIX: Final = b"Fe26.2"
SUFFIX: Final = b"~2"
SKEW_MS: Final = 60_000
MAX_LENGTH: Final = 16_384
MIN_PASSWORD_LENGTH: Final = 32

# What the MAC is over (prefix, id of the password, salt, IV, ciphertext, end), then the
# salt of the MAC and the MAC.
_SEAL: Final = re.compile(
    rb"(Fe26\.2\*([^*]*)\*([^*]*)\*([^*]*)\*([^*]*)\*([1-9][0-9]{0,15})?)"
    rb"\*([^*]*)\*([^*]*)"
)
_PASSWORD_ID: Final = re.compile(r"\w{1,32}\Z", re.ASCII)


class SealError(Exception):
    """The value is refused; the reason is for counting, never for the client."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Unsealed(msgspec.Struct, frozen=True, gc=False):
    """What was in a seal, and how it was sealed."""

    json: bytes
    left_ms: float  # till it ends; inf if it never does
    old_password: bool

    def __repr__(self) -> str:
        """Without what was in it."""
        return f"<Unsealed left_ms={self.left_ms}>"

    @property
    def payload(self) -> dict[str, object]:
        """The JSON decoded. Raises: SealError."""
        try:
            value = from_json(self.json)
        except (ValueError, RecursionError):
            raise SealError("invalid") from None
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise SealError("invalid")
        return value


@dataclass(frozen=True, slots=True)
class Nonces:
    """The random parts of one seal; the salts are used as hex text."""

    encryption_salt: str
    iv: bytes
    mac_salt: str

    @classmethod
    def random(cls) -> "Nonces":
        return cls(
            secrets.token_hex(32), secrets.token_bytes(16), secrets.token_hex(32)
        )


def seal(
    payload: Mapping[str, object],
    *,
    passwords: Mapping[str, str],
    ttl_s: int,
    now_ms: int,
    nonces: Nonces | None = None,
) -> str:
    """Seal `payload` with the newest password; `ttl_s` 0 never expires."""
    nonces = nonces or Nonces.random()
    password_id = newest(passwords)
    salt, mac_salt = nonces.encryption_salt.encode(), nonces.mac_salt.encode()
    keys = SealKeys((passwords[password_id], mac_salt, salt))
    base = b"*".join(
        (
            PREFIX,
            password_id.encode(),
            salt,
            *keys.encrypt(nonces.iv, _to_json(payload)),
            str(now_ms + ttl_s * 1000).encode() if ttl_s else b"",
        )
    )
    return (b"*".join((base, mac_salt, keys.mac(base))) + SUFFIX).decode()


def unseal(
    value: str,
    *,
    passwords: Mapping[str, str],
    now_ms: int,
    proven: ProvenKeys | None = None,
) -> Unsealed:
    """What is in `value`. Raises: SealError.

    The order of the checks is iron-session's; nothing is decrypted before the MAC.
    `proven` keeps keys from call to call; without it they are derived each time.
    """
    if len(value) > MAX_LENGTH:
        raise SealError("invalid")
    if "%" in value:
        value = unquote(value)
    sealed = value.partition("~")[0].encode("utf-8", "surrogatepass")
    parts = _SEAL.fullmatch(sealed)
    if parts is None:
        raise SealError("invalid")
    base, id_text, salt, iv, ciphertext, end, mac_salt, mac = parts.groups()
    left_ms = inf if end is None else int(end) - now_ms
    if left_ms <= -SKEW_MS:
        raise SealError("expired")
    password_id = id_text.decode("utf-8", "surrogatepass")
    password = passwords.get(password_id or "default")
    if password is None:
        raise SealError("unknown-password")
    proven = ProvenKeys() if proven is None else proven
    keys = proven.prove((password, mac_salt, salt), base, mac)
    if keys is None:
        raise SealError("invalid")
    try:
        plain = keys.decrypt(iv, ciphertext)
    except ValueError:
        raise SealError("invalid") from None
    old_password = len(passwords) > 1 and password_id != newest(passwords)
    return Unsealed(plain, left_ms, old_password)


def newest(passwords: Mapping[str, str]) -> str:
    """The id that seals: the highest number."""
    return max(passwords, key=int) if len(passwords) > 1 else next(iter(passwords))


def parse_passwords(text: str) -> dict[str, str]:
    """SESSION_SECRET: one password, or a JSON object of id → password.

    Raises: ValueError, whose text never holds a password.
    """
    if not text.lstrip().startswith("{"):
        return _checked({"1": text})
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError("the map of passwords is not valid JSON") from None
    if not value or not all(isinstance(item, str) for item in value.values()):
        raise ValueError("the map of passwords must hold one text per id")
    return _checked(value)


def weakness(password: str) -> str | None:
    """Why a password does not look random, or None.

    One round of PBKDF2 adds nothing, so all strength is the password's own entropy
    (iron-session.md §5). 32 random bytes in hex or base64 always pass.
    """
    if re.search(r"password|secret|change.?me|example|mainstem", password, re.I):
        return "it holds a word that samples use"
    if len(set(password)) < 12:
        return "it uses fewer than 12 different characters"
    if len(re.findall(r"(?:^|[-_ .])[a-z]{3,12}(?=[-_ .]|$)", password)) > 2:
        return "it is made of words"
    return None


def _checked(passwords: dict[str, str]) -> dict[str, str]:
    for password_id, password in passwords.items():
        if not _PASSWORD_ID.match(password_id) or not password_id.isdecimal():
            raise ValueError("the id of a password must be a whole number")
        # iron-session counts UTF-16 units.
        if (
            len(password.encode("utf-16-le", "surrogatepass")) // 2
            < MIN_PASSWORD_LENGTH
        ):
            raise ValueError(f"password {password_id} is shorter than 32 characters")
    return passwords


def _to_json(payload: Mapping[str, object]) -> bytes:
    """As `JSON.stringify` writes it: compact, unescaped, lone surrogates escaped."""
    text = json.dumps(
        payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "backslashreplace")
