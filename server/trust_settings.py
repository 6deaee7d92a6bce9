"""Settings of trusted documents. Read by `protection_settings.py`."""

from pathlib import Path
from typing import cast

from .environment import EnvironmentReader
from .manifests import ManifestError, read_manifests
from .trusted_documents import TrustMode, TrustSettings

MODES = ("off", "log", "prefer", "only")


def read_trust(read: EnvironmentReader) -> TrustSettings:
    mode = cast("TrustMode", read.choice("TRUSTED_DOCUMENTS", MODES))
    paths = tuple(map(Path, read.names("TRUSTED_DOCUMENTS_MANIFESTS")))
    if mode != "off" and not paths:
        read.mistake(
            "TRUSTED_DOCUMENTS_MANIFESTS",
            f"is not set, and TRUSTED_DOCUMENTS is {mode!r}.",
            read.example("TRUSTED_DOCUMENTS_MANIFESTS"),
        )
    try:
        read_manifests(paths)
    except ManifestError as error:
        read.mistake(
            "TRUSTED_DOCUMENTS_MANIFESTS",
            f"cannot be read: {error}.",
            "A manifest of Apollo, Relay or graphql-codegen's client preset.",
        )
    return TrustSettings(
        mode=mode,
        manifests=paths,
        poll_s=read.seconds("TRUSTED_DOCUMENTS_POLL_S", most=3600),
        kept=read.integer("PERSISTED_QUERIES_KEPT", least=0, most=100_000),
    )
