"""What a file is: the type that its sender claims, checked against its first bytes.

Pure functions, used by `uploads.py`. A type with a signature must have it, and bytes
with a signature must not come as something else: a browser that is told `image/png`
shows what it gets, and whoever trusts the type is not to be fooled by a name.
Signatures: the formats' own specifications (PNG §5.2, GIF89a, RFC 9649 WebP,
ISO 32000 PDF, APPNOTE 4.3 ZIP, ISO 14496-12 `ftyp`, RFC 1952 gzip).
"""

import mimetypes
import re
from typing import Final

from . import inputs

FALLBACK: Final = "application/octet-stream"
# Longest signature: `RIFF`, four bytes of length, `WEBP`; `ftyp` stands at 4.
SIGNATURE_BYTES: Final = 16

_MEDIA_TYPE: Final = re.compile(
    r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}"
)
_SAME: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": "application/pdf",
    "application/x-zip": "application/zip",
    "application/x-zip-compressed": "application/zip",
    "application/x-gzip": "application/gzip",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
}
# Each holds if all its (offset, bytes) are there; the first that holds counts.
_SIGNATURES: Final[tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...]] = (
    ("image/png", ((0, b"\x89PNG\r\n\x1a\n"),)),
    ("image/jpeg", ((0, b"\xff\xd8\xff"),)),
    ("image/gif", ((0, b"GIF87a"),)),
    ("image/gif", ((0, b"GIF89a"),)),
    ("image/webp", ((0, b"RIFF"), (8, b"WEBP"))),
    ("audio/wav", ((0, b"RIFF"), (8, b"WAVE"))),
    ("application/pdf", ((0, b"%PDF-"),)),
    ("application/zip", ((0, b"PK\x03\x04"),)),
    ("application/zip", ((0, b"PK\x05\x06"),)),
    ("application/gzip", ((0, b"\x1f\x8b\x08"),)),
    ("video/mp4", ((4, b"ftyp"),)),
    ("video/webm", ((0, b"\x1a\x45\xdf\xa3"),)),
    ("audio/ogg", ((0, b"OggS"),)),
    ("audio/flac", ((0, b"fLaC"),)),
)
# Containers that other types are made of: what else their bytes may be called.
_ALSO: Final = {
    "application/zip": re.compile(r"(application|model)/.+"),
    "application/gzip": re.compile(r"application/.+|image/svg\+xml"),
    "video/mp4": re.compile(
        r"(video|audio)/(mp4|quicktime|3gpp2?|x-m4[av]|m4a|aac)"
        r"|image/(avif|hei[cf])|application/mp4"
    ),
    "video/webm": re.compile(r"(video|audio)/(webm|x-matroska|matroska)"),
    "audio/ogg": re.compile(r"(video|audio|application)/ogg|audio/(opus|vorbis)"),
}
_SIGNED: Final = frozenset(
    {name for name, _ in _SIGNATURES} | {"image/avif", "image/heic", "audio/mp4"}
)


def checked_type(claimed: str | None, name: str, head: bytes) -> str:
    """The file's type. Raises: InvalidInputError when the first bytes deny it."""
    found = _found(head)
    wanted = _claim(claimed) or type_by_name(name) or found or FALLBACK
    if not _fits(wanted, found, head):
        raise inputs.refused("file", f"The file's contents are not {wanted}.")
    return wanted


def type_by_name(name: str) -> str | None:
    """The type that the name's ending stands for, if for any."""
    guess = mimetypes.guess_type(name)[0]
    return None if guess in (None, FALLBACK) else _SAME.get(guess, guess)


def is_one_of(media_type: str, patterns: tuple[str, ...]) -> bool:
    """Whether a list of types (`image/png`, `image/*`) names this one."""
    kind = media_type.partition("/")[0]
    return media_type in patterns or f"{kind}/*" in patterns


def _claim(claimed: str | None) -> str | None:
    plain = (claimed or "").partition(";")[0].strip().lower()
    if plain == FALLBACK or not _MEDIA_TYPE.fullmatch(plain):
        return None
    return _SAME.get(plain, plain)


def _found(head: bytes) -> str | None:
    for name, marks in _SIGNATURES:
        if all(head.startswith(mark, offset) for offset, mark in marks):
            return name
    return None


def _fits(wanted: str, found: str | None, head: bytes) -> bool:
    if wanted == "audio/mpeg":
        return found is None and _is_mp3(head)
    if found is None:
        return wanted not in _SIGNED
    if wanted == found:
        return True
    also = _ALSO.get(found)
    has_another = any(wanted == name for name, _ in _SIGNATURES)
    return also is not None and not has_another and bool(also.fullmatch(wanted))


def _is_mp3(head: bytes) -> bool:
    """An ID3 tag or a frame's sync; too little to find an MP3 by, enough to confirm."""
    return head.startswith(b"ID3") or (
        len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    )
