"""Reads manifests of trusted documents: Apollo, Relay, graphql-codegen.

Called by `trusted_documents.py`. Two shapes are in use::

    {"format": "apollo-persisted-query-manifest", "version": 1,
     "operations": [{"id": "…", "body": "query …", "name": "…", "type": "…"}]}
    {"<id>": "query …"}        Relay, and graphql-codegen's client preset
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import orjson

APOLLO_FORMAT: Final = "apollo-persisted-query-manifest"


class ManifestError(Exception):
    """A manifest cannot be read; says which, and why."""


def read_manifests(paths: Iterable[Path]) -> dict[str, str]:
    """Every id with its document. Raises: ManifestError."""
    documents: dict[str, str] = {}
    for path in paths:
        for name, text in _read(path).items():
            if documents.setdefault(name, text) != text:
                raise ManifestError(f"{path.name}: the id {name[:80]!r} stands twice")
    return documents


def _read(path: Path) -> Mapping[str, str]:
    try:
        found: object = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ManifestError(f"{path.name}: {error}") from error
    if not isinstance(found, dict):
        raise ManifestError(f"{path.name}: not a JSON object")
    if found.get("format") == APOLLO_FORMAT:
        found = _of_apollo(path, found)
    documents: dict[str, str] = {}
    for name, text in found.items():
        if not isinstance(text, str) or not name or not text.strip():
            raise ManifestError(f"{path.name}: {name[:80]!r} has no document")
        documents[name] = text
    return documents


def _of_apollo(path: Path, manifest: Mapping[str, object]) -> dict[str, object]:
    operations = manifest.get("operations")
    if manifest.get("version") != 1 or not isinstance(operations, list):
        raise ManifestError(f"{path.name}: not version 1 of Apollo's manifest")
    documents: dict[str, object] = {}
    for each in operations:
        if not isinstance(each, dict) or not isinstance(each.get("id"), str):
            raise ManifestError(f"{path.name}: an operation has no id")
        documents[each["id"]] = each.get("body")
    return documents
