"""`RecordCodec`: a vault record as it lies in Redis, in the clear or encrypted.

Used by the vaults only. `off` writes the guide's plain JSON, which the Next.js
application reads. The way to encryption, with every process still able to read what
the others write: give all of them keys (`off` reads encrypted records too), then
`read-both` (writes encrypted, reads both), then, one record life later, `required`.

An encrypted record is `ms1.{key id}.{base64url(nonce + ciphertext)}`, AES-256-GCM;
format, key id and vault key are associated data, and the plain text carries its own
vault key, so a record moved to another key cannot be read.
"""

import base64
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clients.conduit.records import TokenPair

from .json_text import from_json
from .records import ACCESS, REFRESH, AccessClaims, VaultRecord

EncryptionMode = Literal["off", "read-both", "required"]

FORMAT: Final = "ms1"
_MARK: Final = f"{FORMAT}.".encode()
VAULT_KEY: Final = "vaultKey"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
# Far above any pair of tokens; what is larger is not ours.
MAX_STORED_BYTES: Final = 65_536

log = logging.getLogger("mainstem.session")


_Token = Annotated[str, msgspec.Meta(min_length=1)]


class _Ours(
    TokenPair, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True
):
    """All that is in a record, unless another application adds to it."""

    access_token: _Token
    refresh_token: _Token
    vault_key: object = msgspec.UNSET


_OURS: Final = msgspec.json.Decoder(_Ours)


class _RefusedError(Exception):
    """The stored value cannot be used; the text says why, without the value."""


@dataclass(frozen=True, slots=True)
class VaultEncryption:
    """`keys`: id → 32 bytes; the highest id encrypts, all of them decrypt."""

    mode: EncryptionMode = "off"
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.mode != "off" and not self.keys:
            raise ValueError(f"VAULT_ENCRYPTION={self.mode} needs at least one key")


def parse_vault_keys(text: str) -> dict[str, bytes]:
    """A JSON object of number → 32 bytes in base64.

    Raises: ValueError, whose text never holds a key.
    """
    try:
        value = json.loads(text)
        keys = {
            name: base64.b64decode(key, validate=True) for name, key in value.items()
        }
    except (ValueError, TypeError, AttributeError):
        raise ValueError("the keys must be a JSON object of id → base64") from None
    if not keys or not all(name.isascii() and name.isdecimal() for name in keys):
        raise ValueError("the id of a key must be a whole number")
    if any(len(key) != KEY_BYTES for key in keys.values()):
        raise ValueError("a key must be 32 bytes")
    return keys


class RecordCodec:
    """Turns tokens into what is stored, and back."""

    def __init__(self, encryption: VaultEncryption) -> None:
        self._mode = encryption.mode
        self._ciphers = {name: AESGCM(key) for name, key in encryption.keys.items()}
        self._newest = max(self._ciphers, key=int, default="")

    def encode(
        self, vault_key: str, pair: TokenPair, other: Mapping[str, object]
    ) -> VaultRecord:
        """The record of `pair`, ready to be stored."""
        value: dict[str, object] = {
            ACCESS: pair.access_token,
            REFRESH: pair.refresh_token,
            **other,
        }
        stored = _to_json(value)
        if self._mode != "off":
            stored = self._encrypt(vault_key, _to_json({**value, VAULT_KEY: vault_key}))
        return VaultRecord(pair, stored, other, AccessClaims.of(pair.access_token))

    def decode(
        self, vault_key: str, stored: object, user_id: str | None = None
    ) -> VaultRecord | None:
        """None when no bytes are stored, or none that may be used under this key.

        Nor when `user_id` is given and the access token says that it is another's.
        """
        if not isinstance(stored, bytes):
            return None
        plain: bytes = stored
        other: dict[str, object] = {}
        try:
            if len(stored) > MAX_STORED_BYTES:
                raise _RefusedError("too long")
            if stored.startswith(_MARK):
                plain = self._decrypt(vault_key, stored)
            elif self._mode == "required":
                raise _RefusedError("not encrypted")
            try:
                ours = _OURS.decode(plain)
            except (ValueError, RecursionError):
                ours, other = _taken_apart(plain)
            unnamed = ours.vault_key is msgspec.UNSET and plain is stored
            if not unnamed and ours.vault_key != vault_key:
                raise _RefusedError("made for another vault key")
            claims = AccessClaims.of(ours.access_token)
            if user_id is not None and claims.user_id not in (None, user_id):
                raise _RefusedError("another person's")
        except _RefusedError as error:
            log.warning(
                "vault record refused", extra={"fields": {"reason": str(error)}}
            )
            return None
        # Not `ours` itself: pairs are compared, and those of two classes never equal.
        pair = TokenPair(ours.access_token, ours.refresh_token)
        return VaultRecord(pair, stored, other, claims)

    def _encrypt(self, vault_key: str, plain: bytes) -> bytes:
        head = f"{FORMAT}.{self._newest}."
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(
            nonce, plain, _associated(head, vault_key)
        )
        return head.encode() + base64.urlsafe_b64encode(nonce + sealed)

    def _decrypt(self, vault_key: str, stored: bytes) -> bytes:
        try:
            name, body = stored.decode("ascii").split(".")[1:]
            raw = base64.urlsafe_b64decode(body)
        except ValueError:
            raise _RefusedError("malformed") from None
        # Also whatever the decoder has passed over.
        if base64.urlsafe_b64encode(raw).decode() != body:
            raise _RefusedError("malformed")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise _RefusedError("unknown key id")
        nonce, sealed = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
        try:
            head = f"{FORMAT}.{name}."
            return cipher.decrypt(nonce, sealed, _associated(head, vault_key))
        except (InvalidTag, ValueError):
            raise _RefusedError("tampered, or made for another vault key") from None


def _associated(head: str, vault_key: str) -> bytes:
    return (head + vault_key).encode("utf-8", "surrogatepass")


def _to_json(value: Mapping[str, object]) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")


def _taken_apart(plain: bytes) -> tuple[_Ours, dict[str, object]]:
    """What is ours, and what is another application's."""
    try:
        value = from_json(plain)
    except (ValueError, RecursionError):
        raise _RefusedError("not JSON") from None
    if not isinstance(value, dict):
        raise _RefusedError("not an object")
    access, refresh = value.pop(ACCESS, None), value.pop(REFRESH, None)
    if not isinstance(access, str) or not isinstance(refresh, str):
        raise _RefusedError("no tokens")
    if not access or not refresh:
        raise _RefusedError("emptied")
    return _Ours(access, refresh, value.pop(VAULT_KEY, msgspec.UNSET)), value
