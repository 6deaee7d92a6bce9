"""The sealed value of a session: pure functions without a clock.

The format is iron-session's (upstreams/iron-session.md §1 to §3), shared with the
Next.js application byte for byte; `session/cookie.py` puts it into a cookie or hands
it out as a bearer value. Checked by the vectors in `tests/session/`.
"""

import binascii
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from .json_text import from_json

Reason = Literal["invalid", "expired", "unknown-password", "wrong-purpose"]

PREFIX: Final = "Fe26.2"
SUFFIX: Final = "~2"
SKEW_MS: Final = 60_000
MAX_LENGTH: Final = 16_384
MIN_PASSWORD_LENGTH: Final = 32

_PARTS: Final = 8
_EXPIRATION: Final = re.compile(r"[1-9][0-9]{0,15}\Z", re.ASCII)
_PASSWORD_ID: Final = re.compile(r"\w{1,32}\Z", re.ASCII)
# From base64url to base64; what is base64's alone becomes what is in neither.
_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
_TO_BASE64URL: Final = bytes.maketrans(b"+/", b"-_")
# The format demands SHA-1 for its keys.
_SHA1: Final = SHA1()  # noqa: S303
_SHA256: Final = SHA256()


class SealError(Exception):
    """The value is refused; the reason is for counting, never for the client."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Unsealed(msgspec.Struct, frozen=True, gc=False):
    """What was in a seal, and how it was sealed."""

    payload: dict[str, object]
    expires_at_ms: int | None
    old_password: bool


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
    password = passwords[password_id]
    padded = _pad(_to_json(payload))
    key = _derive(password, nonces.encryption_salt)
    encryptor = _WholeBlocks(key, nonces.iv).encryptor()
    base = "*".join(
        (
            PREFIX,
            password_id,
            nonces.encryption_salt,
            _to_base64url(nonces.iv),
            _to_base64url(encryptor.update(padded)),
            str(now_ms + ttl_s * 1000) if ttl_s else "",
        )
    )
    mac = _to_base64url(_mac(password, nonces.mac_salt, base))
    return f"{base}*{nonces.mac_salt}*{mac}{SUFFIX}"


def unseal(value: str, *, passwords: Mapping[str, str], now_ms: int) -> Unsealed:
    """The payload of `value`. Raises: SealError.

    The order of the checks is iron-session's; nothing is decrypted before the MAC.
    """
    if len(value) > MAX_LENGTH:
        raise SealError("invalid")
    if "%" in value:
        value = unquote(value)
    parts = value.partition("~")[0].split("*")
    if len(parts) != _PARTS or parts[0] != PREFIX:
        raise SealError("invalid")
    _, password_id, encryption_salt, iv, ciphertext, expiration, mac_salt, mac = parts
    expires_at_ms = _check_expiration(expiration, now_ms)
    password = passwords.get(password_id or "default")
    if password is None:
        raise SealError("unknown-password")
    base = "*".join(parts[:6])
    # As text: a second spelling of the same bytes is not what was sealed.
    expected = _to_base64url(_mac(password, mac_salt, base)).encode()
    if not hmac.compare_digest(expected, mac.encode("utf-8", "surrogatepass")):
        raise SealError("invalid")
    return Unsealed(
        payload=_decrypt(password, encryption_salt, iv, ciphertext),
        expires_at_ms=expires_at_ms,
        old_password=password_id != newest(passwords),
    )


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


def _check_expiration(expiration: str, now_ms: int) -> int | None:
    if not expiration:
        return None
    if not _EXPIRATION.match(expiration):
        raise SealError("invalid")
    expires_at_ms = int(expiration)
    if expires_at_ms <= now_ms - SKEW_MS:
        raise SealError("expired")
    return expires_at_ms


def _decrypt(
    password: str, salt: str, iv_text: str, ciphertext_text: str
) -> dict[str, object]:
    iv, ciphertext = _from_base64url(iv_text), _from_base64url(ciphertext_text)
    if len(iv) != 16 or not ciphertext or len(ciphertext) % 16:
        raise SealError("invalid")
    padded = _WholeBlocks(_derive(password, salt), iv).decryptor().update(ciphertext)
    try:
        value = from_json(_unpad(padded))
    except (ValueError, RecursionError):
        raise SealError("invalid") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SealError("invalid")
    return value


class _WholeBlocks(Cipher[CBC]):
    """All comes from `update`, and nothing is left to finalize."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        """Of 32 bytes and 16; that the two fit is looked at no more (1.6 µs)."""
        self.algorithm, self.mode = AES256(key), CBC(iv)


def _pad(plain: bytes) -> bytes:
    """PKCS #7: as many bytes as are missing (16 if none), each of them that number."""
    missing = 16 - len(plain) % 16
    return plain + bytes([missing]) * missing


def _unpad(padded: bytes) -> bytes:
    """Raises: ValueError."""
    added = padded[-1]
    if not 0 < added <= 16 or not padded.endswith(bytes([added]) * added):
        raise ValueError("not padded")
    return padded[:-added]


def _mac(password: str, salt: str, base: str) -> bytes:
    mac = HMAC(_derive(password, salt), _SHA256)
    mac.update(base.encode("utf-8", "surrogatepass"))
    return mac.finalize()


def _derive(password: str, salt: str) -> bytes:
    """32 bytes by PBKDF2 of HMAC-SHA1 and one round, as the format demands.

    Of one round each block is one HMAC, of the salt and the block's number (RFC 8018
    §5.2): 1.7 µs, of 2.9 by `hashlib.pbkdf2_hmac`, which begins with the password.
    """
    first = _keyed(password).copy()
    # The salt is the hex text itself.
    first.update(salt.encode("utf-8", "surrogatepass"))
    second = first.copy()
    first.update(b"\0\0\0\1")
    second.update(b"\0\0\0\2")
    return (first.finalize() + second.finalize())[:32]


@lru_cache(maxsize=8)
def _keyed(password: str) -> HMAC:
    """To be copied, never used itself."""
    return HMAC(password.encode(), _SHA1)


def _to_json(payload: Mapping[str, object]) -> bytes:
    """As `JSON.stringify` writes it: compact, unescaped, lone surrogates escaped."""
    text = json.dumps(
        payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "backslashreplace")


def _to_base64url(raw: bytes) -> str:
    text = binascii.b2a_base64(raw, newline=False)
    return text.translate(_TO_BASE64URL, b"=").decode()


def _from_base64url(text: str) -> bytes:
    try:
        sent = text.encode("ascii").translate(_TO_BASE64)
        return binascii.a2b_base64(sent + b"=" * (-len(sent) % 4), strict_mode=True)
    except ValueError:
        raise SealError("invalid") from None
