"""Schemas and custom endpoints as an administrator declares them.

Reads the shape that the Admin API takes and returns (`conduit-init.json`,
recordings/custom_endpoint_definitions.json). Used by everything below `state.py`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")  # by a definition's `operation`
AUTOMATIC_FIELDS = ("_id", "createdAt", "updatedAt")

# Any: JSON, whose shape the functions below check by reading it.
Json = Any
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a schema."""

    name: str
    type: str  # String, Number, Boolean, Date, JSON, ObjectId, Relation
    array: bool = False
    model: str | None = None
    required: bool = False
    unique: bool = False
    long_text: bool = False

    @property
    def column(self) -> str:
        """The column's name on PostgreSQL."""
        return f"{self.name}Id" if self.type == "Relation" else self.name

    @property
    def is_uuid(self) -> bool:
        """Whether PostgreSQL keeps it as a UUID."""
        return self.type in ("ObjectId", "Relation")


@dataclass(frozen=True, slots=True)
class Operation:
    """Whether a built-in route exists, and whether it needs a token."""

    enabled: bool = False
    authenticated: bool = True


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema; `operations` by create, read, update, delete."""

    name: str
    fields: Mapping[str, Field]
    operations: Mapping[str, Operation] = field(default_factory=dict)
    authorization: bool = False
    # As declared, for the Admin API, which shows what the other fields do not need.
    source: Json = field(default=None, compare=False, repr=False)

    def operation(self, name: str) -> Operation:
        """One operation; row-level authorization always needs a token."""
        found = self.operations.get(name, Operation())
        if self.authorization:
            return Operation(found.enabled, authenticated=True)
        return found


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a custom endpoint; location 0 body, 1 query, 2 URL."""

    name: str
    type: str
    location: int
    array: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A custom endpoint; `query` and `assignments` as declared."""

    name: str
    method: str
    schema: str
    inputs: tuple[Input, ...]
    authentication: bool
    paginated: bool
    sorted: bool
    query: Json
    assignments: Json
    source: Json = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Declarations:
    """All that an administrator has set up."""

    schemas: tuple[Schema, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()

    @classmethod
    def from_json(cls, value: Json) -> "Declarations":
        """Out of parsed JSON."""
        return cls(
            tuple(schema_from(each) for each in value.get("schemas", ())),
            tuple(endpoint_from(each) for each in value.get("customEndpoints", ())),
        )


def load_declarations(path: Path) -> Declarations:
    """Read `conduit-init.json` or a file of the same shape."""
    return Declarations.from_json(json.loads(path.read_text(encoding="utf-8")))


def schema_from(value: Json) -> Schema:
    """A schema as sent to (`conduitOptions`) or returned by (`modelOptions`)."""
    options = value.get("conduitOptions") or value.get("modelOptions", {}).get(
        "conduit", {}
    )
    operations = options.get("cms", {}).get("crudOperations", {})
    return Schema(
        name=value["name"],
        fields=_fields_from(value["fields"].items()),
        operations={
            name: Operation(bool(each["enabled"]), bool(each["authenticated"]))
            for name, each in operations.items()
        },
        authorization=bool(options.get("authorization", {}).get("enabled", False)),
        source=value,
    )


def endpoint_from(value: Json) -> Endpoint:
    """A custom endpoint as sent to or returned by the Admin API."""
    return Endpoint(
        name=value["name"],
        method=METHODS[value["operation"]],
        schema=value["selectedSchemaName"],
        inputs=tuple(
            Input(
                name=each["name"],
                type=each["type"],
                location=each["location"],
                array=each.get("array", False),
                optional=each.get("optional", False),
            )
            for each in value["inputs"]
        ),
        authentication=value["authentication"],
        paginated=value["paginated"],
        sorted=value["sorted"],
        query=value.get("query"),
        assignments=value.get("assignments") or [],
        source=value,
    )


def _fields_from(items: Iterable[tuple[str, Json]]) -> dict[str, Field]:
    fields = {name: _field_from(name, value) for name, value in items}
    for name in AUTOMATIC_FIELDS:
        kind = "ObjectId" if name == "_id" else "Date"
        fields[name] = Field(name, kind)
    return fields


def _field_from(name: str, value: Json) -> Field:
    if isinstance(value, str | list):
        value = {"type": value}
    kind = value["type"]
    array = isinstance(kind, list)
    return Field(
        name=name,
        type=kind[0] if array else kind,
        array=array,
        model=value.get("model"),
        required=value.get("required", False),
        unique=value.get("unique", False),
        long_text=value.get("sqlType") == "Text",
    )
