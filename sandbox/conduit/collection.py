"""One schema's documents in memory, with PostgreSQL's habits.

Used by `database.py`, `endpoints.py`, `storage.py` and `state.py`. Without a sort
the order is that of a heap: an updated document moves to the end.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .declarations import AUTOMATIC_FIELDS, Document, Field, Schema
from .failures import ModuleError
from .values import as_date, as_uuid, check_length, timestamp_text

MAX_KEPT_ORDERS = 32


class Collection:
    """The table `cnd_<schema>`."""

    def __init__(
        self, schema: Schema, clock: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self.schema = schema
        self._clock = clock
        self._new_id = new_id
        self._rows: dict[str, Document] = {}
        self._orders: dict[tuple[str, ...], list[Document]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, id: str) -> Document | None:
        """The document with an id in lower case."""
        return self._rows.get(id)

    def with_ids(self, ids: Iterable[str]) -> list[Document]:
        """Those that exist, in the order of the heap."""
        wanted = {id for id in ids if id in self._rows}
        if len(wanted) < 2:
            return [self._rows[id] for id in wanted]
        return [row for id, row in self._rows.items() if id in wanted]

    def in_order(self, sort: Sequence[str] = ()) -> list[Document]:
        """All, by `field` or `-field` names; kept until the next write.

        Raises: ModuleError (unknown field).
        """
        key = tuple(sort)
        if (kept := self._orders.get(key)) is None:
            kept = ordered(self.schema, self._rows.values(), key)
            if len(self._orders) >= MAX_KEPT_ORDERS:
                self._orders.clear()
            self._orders[key] = kept
        return kept

    def insert(self, values: Document, id: str | None = None) -> Document:
        """Add one. Raises: ModuleError."""
        self._require(values)
        return self._add(self._row(values), id, timestamp_text(self._clock()))

    def insert_many(self, many: Sequence[Document]) -> list[Document]:
        """Add all or none, with one `createdAt`. Raises: ModuleError."""
        for values in many:
            for field in self._missing(values):
                raise ModuleError(
                    500,
                    f'null value in column "{field.column}" of relation '
                    f'"{self._table}" violates not-null constraint',
                )
        rows = [self._row(values) for values in many]
        moment = timestamp_text(self._clock())
        return [self._add(row, None, moment) for row in rows]

    def replace(self, id: str, values: Document) -> Document | None:
        """Set every field, null where none is given. Raises: ModuleError."""
        self._require(values)
        return self._update(id, self._row(values))

    def patch(self, id: str, values: Document) -> Document | None:
        """Set some fields; without any, nothing changes. Raises: ModuleError."""
        if not values:
            return self._rows.get(id)
        row = self._row(values)
        return self._update(id, {name: row[name] for name in values})

    def alter(self, schema: Schema) -> None:
        """Take over a changed schema; new fields are null, others' values stay."""
        self.schema = schema
        self._orders.clear()
        for row in self._rows.values():
            for name in schema.fields:
                row.setdefault(name, None)

    def delete(self, id: str) -> bool:
        """Whether there was one."""
        self._orders.clear()
        return self._rows.pop(id, None) is not None

    def column_names(self, document: Document) -> Document:
        """The document with relations named `authorId` (section 3, "Quirk")."""
        fields = self.schema.fields
        return {fields[name].column: value for name, value in document.items()}

    @property
    def _table(self) -> str:
        return f"cnd_{self.schema.name}"

    def _missing(self, values: Document) -> list[Field]:
        return [
            field
            for field in self.schema.fields.values()
            if field.required and values.get(field.name) is None
        ]

    def _require(self, values: Document) -> None:
        for field in self._missing(values):
            raise ModuleError(
                500, f"notNull Violation: {self._table}.{field.column} cannot be null"
            )

    def _row(self, values: Document) -> Document:
        """Every declared field, checked as its column would."""
        return {
            name: _kept(field, values.get(name))
            for name, field in self.schema.fields.items()
            if name not in AUTOMATIC_FIELDS
        }

    def _add(self, row: Document, id: str | None, moment: str) -> Document:
        self._check_unique(row, None)
        self._orders.clear()
        new_id = id or self._new_id()
        document = {"_id": new_id, **row, "createdAt": moment, "updatedAt": moment}
        self._rows[new_id] = document
        return document

    def _update(self, id: str, changes: Document) -> Document | None:
        old = self._rows.get(id)
        if old is None:
            return None
        self._check_unique(changes, id)
        self._orders.clear()
        del self._rows[id]
        moment = timestamp_text(self._clock())
        self._rows[id] = {**old, **changes, "updatedAt": moment}
        return self._rows[id]

    def _check_unique(self, row: Document, own_id: str | None) -> None:
        for name, field in self.schema.fields.items():
            value = row.get(name)
            if not field.unique or value is None:
                continue
            for id, other in self._rows.items():
                if id != own_id and other[name] == value:
                    raise ModuleError(500, "Validation error")


def ordered(
    schema: Schema, documents: Iterable[Document], sort: Sequence[str]
) -> list[Document]:
    """By names, nulls last ascending and first descending. Raises: ModuleError."""
    result = list(documents)
    for term in reversed(sort):
        name = term.removeprefix("-")
        if name not in schema.fields:
            raise ModuleError(500, f"column cnd_{schema.name}.{name} does not exist")
        result.sort(key=_null_last(name), reverse=term.startswith("-"))
    return result


def _null_last(name: str) -> Callable[[Document], tuple[bool, Any]]:
    def key(document: Document) -> tuple[bool, Any]:
        value = document[name]
        return (value is None, 0 if value is None else value)

    return key


def _kept(field: Field, value: Any) -> Any:
    """A value as the column keeps it. Raises: ModuleError."""
    if value is None or field.array:
        return value
    if field.type == "Relation":
        return as_uuid(value)
    if field.type == "Date":
        return as_date(value)
    if field.type == "String" and not field.long_text:
        check_length(value)
    return value
