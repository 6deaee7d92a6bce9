"""`populate`: the related document in the place of its id.

Relies on section 3 of conduit.md and on recordings/database_read.json and cache.json.
Used by `database.py` and `endpoints.py`.
"""

from collections.abc import Iterable, Mapping

from .collection import Collection
from .declarations import Document, Schema
from .failures import ModuleError


def embed(
    collections: Mapping[str, Collection],
    schema: Schema,
    documents: Iterable[Document],
    names: Iterable[str],
) -> list[Document]:
    """Copies of the documents with relations embedded; unknown names are ignored.

    Raises: ModuleError (a nested name without its parent, as on PostgreSQL).
    """
    in_order = sorted(set(names), key=lambda name: name.count("."))
    copies = [dict(document) for document in documents]
    for name in in_order:
        for copy in copies:
            _embed_one(collections, schema, copy, name.split("."))
    return copies


def _embed_one(
    collections: Mapping[str, Collection],
    schema: Schema,
    document: Document,
    names: list[str],
) -> None:
    first, rest = names[0], names[1:]
    field = schema.fields.get(first)
    if field is None or field.model is None:
        return
    related = collections[field.model]
    # What is embedded has its columns' names until it is embedded into itself.
    value = document.pop(field.column, None) or document.get(first)
    document[first] = value
    if rest:
        if isinstance(value, str):
            raise ModuleError(
                500, f"Cannot create property '{rest[0]}' on string '{value}'"
            )
        if value is not None:
            _embed_one(collections, related.schema, value, rest)
    elif isinstance(value, str):
        found = related.get(value)
        document[first] = None if found is None else related.column_names(found)
