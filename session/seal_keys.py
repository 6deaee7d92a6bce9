"""The keys of a seal: derived from a password and the seal's own two salts.

Used by `seal.py`. `ProvenKeys`, one in each process, keeps them from request
to request. Nothing of a session outlives its request, neither a payload nor a token;
a derived key may: it is worth no more than the password, which lies in the same
memory, and opens nothing until somebody sends the seal again. Then its MAC is verified,
its payload decrypted and its end looked at as ever. Known keys make that 7 µs of 19.
"""

import hmac
from binascii import a2b_base64, b2a_base64
from collections import OrderedDict
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.hmac import HMAC

BLOCK: Final = 16
# Of 2.1 kB each.
MOST_KEPT: Final = 4096

# PKCS #7: as many bytes as a block lacks (16 if none), each of them that number.
_PADDINGS: Final = tuple(bytes([n]) * n for n in range(1, BLOCK + 1))
_TO_BASE64URL: Final = bytes.maketrans(b"+/", b"-_")
# What is base64's alone becomes what is in neither.
_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")

# The format demands SHA-1 for its keys.
_SHA1: Final = SHA1()  # noqa: S303
_SHA256: Final = SHA256()

# The password, the salt of the MAC, the salt of the encryption.
SealName = tuple[str, bytes, bytes]


class SealKeys:
    """Both keys of one seal; that of the encryption is derived at its first use.

    What lies in a seal goes in and comes out as it stands there, in base64url.
    """

    __slots__ = ("_decryptor", "_mac", "name")

    def __init__(self, name: SealName) -> None:
        self.name = name
        password, mac_salt, _ = name
        self._mac = HMAC(derive(password, mac_salt), _SHA256)
        self._decryptor: CipherContext | None = None

    def mac(self, text: bytes) -> bytes:
        """Of 43 letters."""
        mac = self._mac.copy()
        mac.update(text)
        raw = b2a_base64(mac.finalize(), newline=False)
        return raw.translate(_TO_BASE64URL, b"=")

    def encrypt(self, iv: bytes, plain: bytes) -> tuple[bytes, bytes]:
        """`iv`, of one block, and whole blocks, padded by PKCS #7."""
        blocks = self._cipher(iv).encryptor().update(_pad(plain))
        return _to_base64url(iv), _to_base64url(blocks)

    def decrypt(self, iv: bytes, blocks: bytes) -> bytes:
        """What was encrypted; to be called when the MAC has proven right, not before.

        In CBC a block comes out combined with the ciphertext before it. So the IV goes
        in as a block of its own, what comes out for it is thrown away, and it does not
        matter what the decryptor was given before, of which it holds the last block as
        it was sent. One that is made anew takes 3.5 µs, this one 0.4.

        Raises: ValueError for what `encrypt` does not give.
        """
        missing = b"=" * (-len(blocks) % 4)
        first = a2b_base64(iv.translate(_TO_BASE64) + b"==", strict_mode=True)
        rest = a2b_base64(blocks.translate(_TO_BASE64) + missing, strict_mode=True)
        if len(first) != BLOCK or not rest or len(rest) % BLOCK:
            raise ValueError("not whole blocks")
        if self._decryptor is None:
            self._decryptor = self._cipher(bytes(BLOCK)).decryptor()
        padded = self._decryptor.update(first + rest)
        if not padded.endswith(_PADDINGS):
            raise ValueError("not padded")
        return padded[BLOCK : -padded[-1]]

    def _cipher(self, iv: bytes) -> "_WholeBlocks":
        password, _, salt = self.name
        return _WholeBlocks(derive(password, salt), iv)


class ProvenKeys:
    """The keys of seals that have proven right; the longest unused go first.

    Who has no password cannot fill it: what is kept had a right MAC.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[SealName, SealKeys] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def prove(self, name: SealName, text: bytes, mac: bytes) -> SealKeys | None:
        """The keys by which `mac` is that of `text`, kept from now on; else None."""
        keys = self._kept.get(name) or SealKeys(name)
        # As text: a second spelling of the same bytes is not what was sealed.
        if not hmac.compare_digest(keys.mac(text), mac):
            return None
        if name in self._kept:
            self._kept.move_to_end(name)
        else:
            self._kept[name] = keys
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return keys


class _WholeBlocks(Cipher[CBC]):
    """All comes from `update`, and nothing is left to finalize."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        """Of 32 bytes and 16; that the two fit is looked at no more (1.6 µs)."""
        self.algorithm, self.mode = AES256(key), CBC(iv)


def _pad(plain: bytes) -> bytes:
    return plain + _PADDINGS[-len(plain) % BLOCK - 1]


def _to_base64url(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False).translate(_TO_BASE64URL, b"=")


def derive(password: str, salt: bytes) -> bytes:
    """32 bytes by PBKDF2 of HMAC-SHA1 and one round, as the format demands.

    Of one round each block is one HMAC, of the salt and the block's number (RFC 8018
    §5.2): 1.7 µs, of 2.9 by `hashlib.pbkdf2_hmac`, which begins with the password.
    """
    first = _keyed(password).copy()
    # The salt is the hex text itself.
    first.update(salt)
    second = first.copy()
    first.update(b"\0\0\0\1")
    second.update(b"\0\0\0\2")
    return (first.finalize() + second.finalize())[:32]


@lru_cache(maxsize=8)
def _keyed(password: str) -> HMAC:
    """To be copied, never used itself."""
    return HMAC(password.encode(), _SHA1)
