"""The headers of a file's bytes: type, disposition, and what keeps them harmless.

Bytes and their type are whatever an uploader chose, and they are served from this
server's own origin. So only types that cannot run a script are shown inline; the rest
is a download, and a sandboxing policy holds for all. Pure functions for `preview.py`.
"""

import mimetypes
import re
import unicodedata
from urllib.parse import quote

from clients.conduit.records import ConduitFile

FALLBACK_TYPE = "application/octet-stream"
# Neither HTML nor SVG nor any XML: those run scripts.
INLINE_TYPES = frozenset(
    {
        "application/pdf",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
    }
)
INLINE_KINDS = ("audio/", "video/")
# Chromium's PDF viewer works under it (seen with 156).
CONTENT_SECURITY_POLICY = (
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; "
    "style-src 'unsafe-inline'; frame-ancestors 'self'"
)
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]*")
MAX_NAME_LENGTH = 150


def file_headers(file: ConduitFile, *, download: bool) -> dict[str, str]:
    """Headers of an answer that holds the file's bytes."""
    media_type = media_type_of(file)
    inline = not download and is_inline(media_type)
    return {
        "content-type": _with_charset(media_type),
        "content-disposition": disposition(file.name, inline=inline),
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-site",
        # Private to the person, and asked again each time: rights may change.
        "cache-control": "private, no-cache",
        "vary": "Cookie, Authorization",
    }


def media_type_of(file: ConduitFile) -> str:
    """The record's type if it is one, else by the name's ending."""
    claimed = (file.mime_type or "").partition(";")[0].strip().lower()
    if len(claimed) <= 127 and _MEDIA_TYPE.fullmatch(claimed):
        return claimed
    return mimetypes.guess_type(file.name)[0] or FALLBACK_TYPE


def is_inline(media_type: str) -> bool:
    return media_type in INLINE_TYPES or media_type.startswith(INLINE_KINDS)


def disposition(name: str, *, inline: bool) -> str:
    """Content-Disposition with both spellings of the name (RFC 6266, RFC 8187)."""
    clean = _clean_name(name)
    letters = unicodedata.normalize("NFKD", clean)
    unmarked = "".join(c for c in letters if not unicodedata.combining(c))
    # RFC 6266, appendix D: no quotes, backslashes or percent signs in the plain form.
    plain = re.sub(r'["\\%;]|[^ -~]', "_", unmarked)
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"


def _clean_name(name: str) -> str:
    """The last part of a path, without what could break a header or mislead."""
    last = re.split(r"[/\\]", name)[-1]
    # Categories Cc, Cf, Cs: control, direction marks (a fake ending), surrogates.
    shown = "".join(
        c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )
    return shown.strip(". ")[-MAX_NAME_LENGTH:] or "file"


def _with_charset(media_type: str) -> str:
    return (
        f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type
    )
