"""Names and folders of uploads: what a person may call a file, made safe to store.

Pure functions, used by `uploads.py`. Conduit's local provider writes `../` outside its
folder, refuses quotes, leaves names unencoded in addresses, and its process ends over
an alias outside Latin-1 (conduit.md §6, recording storage_local_names). So a name keeps
its letters, whatever the script, but nothing that means something in a path or a URL,
and the alias, which that provider puts into a header, is ASCII.
"""

import re
import unicodedata
from typing import Final

from . import inputs

# A file system's bound is 255 bytes.
MAX_NAME_BYTES: Final = 200
# Normalizing takes quadratic time where marks are in the wrong order.
LONGEST_NAME: Final = 1000
MAX_SUFFIX_BYTES: Final = 20
MAX_FOLDER_BYTES: Final = 160
MAX_FOLDER_DEPTH: Final = 10

_SEPARATORS: Final = re.compile(r"[/\\]")
_MEANINGFUL: Final = re.compile(r'["#%*:;<>?|]')
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9._ -]")
# Control, direction marks (a fake ending), surrogates, private, unassigned, line ends.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean_name(name: str) -> str:
    """The last part of a path, safe in a path, a URL and a header; may be empty."""
    last = _SEPARATORS.split(unicodedata.normalize("NFC", name[-LONGEST_NAME:]))[-1]
    shown = "".join(c for c in last if unicodedata.category(c) not in _HIDDEN)
    return _cut(_MEANINGFUL.sub("_", shown).strip(". "))


def alias(name: str, mark: str) -> str:
    """An ASCII name for the storage's own header, with `mark` before the suffix."""
    letters = unicodedata.normalize("NFKD", name)
    unmarked = "".join(c for c in letters if not unicodedata.combining(c))
    stem, suffix = _split(_NOT_PLAIN.sub("_", unmarked))
    return f"{stem[:100]}-{mark}{suffix}"


def own_folder(viewer_id: str, folder: str | None) -> str:
    """The folder below the viewer's own. Raises: InvalidInputError for an escape."""
    parts = [part for part in (folder or "").split("/") if part]
    if len(parts) > MAX_FOLDER_DEPTH or len("/".join(parts).encode()) > (
        MAX_FOLDER_BYTES
    ):
        raise inputs.refused(
            "folder",
            f"folder must not exceed {MAX_FOLDER_DEPTH} levels and "
            f"{MAX_FOLDER_BYTES} bytes.",
        )
    for part in parts:
        if clean_name(part) != unicodedata.normalize("NFC", part):
            raise inputs.refused(
                "folder",
                "folder must be a path of plain names, like holidays/2026, "
                "without .. and without signs that mean something in an address.",
            )
    clean = (unicodedata.normalize("NFC", part) for part in parts)
    return "/".join(("u", viewer_id, *clean)) + "/"


def _cut(name: str) -> str:
    """Short enough for a file system; the suffix stays, no letter is cut in two."""
    stem, suffix = _split(name)
    room = MAX_NAME_BYTES - len(suffix.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + suffix


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > MAX_SUFFIX_BYTES:
        return name, ""
    return stem, dot + suffix
