"""Schemas and custom endpoints, as declared and as the Admin API lists them.

The two have different shapes (`conduitOptions` and short fields at create,
`modelOptions` and spelled-out fields in lists); here both become the same records,
which `plan.py` compares. Relies on section 13 of conduit.md, recordings admin and
custom_endpoint_definitions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Json = Mapping[str, object]

AUTOMATIC_FIELDS: Mapping[str, str] = {
    "_id": "ObjectId",
    "createdAt": "Date",
    "updatedAt": "Date",
}
OPERATIONS = ("create", "read", "update", "delete")


class ShapeError(Exception):
    """JSON that is not what it should be; says where."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a schema; `type` as text, a list's with brackets."""

    name: str
    type: str
    model: str | None
    required: bool
    has_default: bool
    long_text: bool

    @property
    def kind(self) -> str:
        """Its type for people, e.g. `Relation to User`."""
        return f"{self.type} to {self.model}" if self.model else self.type


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema. `raw_fields` and `options` are what a change sends back."""

    name: str
    fields: Mapping[str, Field]
    raw_fields: Json
    options: Json

    @property
    def open_to_changes(self) -> bool:
        """Whether it belongs to people, not to a module that forbids it."""
        permissions = _object(self.options.get("permissions", {}), self.name)
        return permissions.get("canModify", "Everything") == "Everything"

    @property
    def routes_are_off(self) -> bool:
        """Whether all its built-in routes are switched off together."""
        return self.cms.get("enabled", True) is False

    @property
    def cms(self) -> Json:
        """The options of its built-in routes."""
        return _object(self.options.get("cms", {}), self.name)

    @property
    def is_listable(self) -> bool:
        """Whether it has a built-in route that a GET reaches."""
        return self.operations["read"].get("enabled") is True

    @property
    def operations(self) -> Mapping[str, Json]:
        """The options of each built-in route, by create, read, update, delete."""
        declared = _object(self.cms.get("crudOperations", {}), self.name)
        return {name: _object(declared.get(name, {}), name) for name in OPERATIONS}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A custom endpoint; `inputs` with their defaults spelled out."""

    name: str
    schema: str
    enabled: bool
    operation: int
    authentication: bool
    paginated: bool
    sorted: bool
    inputs: Mapping[str, Json]
    query: object
    assignments: object

    @property
    def is_plain_get(self) -> bool:
        """Whether a GET of its bare path reaches it."""
        in_path = any(each.get("location") == 2 for each in self.inputs.values())
        return self.operation == 0 and not in_path


@dataclass(frozen=True, slots=True)
class Declared:
    """The file's content, in its order, with the bodies that a create sends."""

    schemas: tuple[tuple[Schema, Json], ...]
    endpoints: tuple[tuple[Endpoint, Json], ...]


def read_declared(path: Path) -> Declared:
    """Read `conduit-init.json`. Raises: ShapeError, OSError."""
    try:
        content = _object(json.loads(path.read_text(encoding="utf-8")), path.name)
    except json.JSONDecodeError as error:
        raise ShapeError(f"{path.name} is not JSON: {error}") from None
    schemas = [_object(each, "schemas") for each in _list(content, "schemas")]
    endpoints = [
        _object(each, "customEndpoints") for each in _list(content, "customEndpoints")
    ]
    return Declared(
        tuple((schema_from(each), each) for each in schemas),
        tuple((endpoint_from(each), each) for each in endpoints),
    )


def schema_from(value: Json) -> Schema:
    """A schema in either shape. Raises: ShapeError."""
    name = text_of(value, "name")
    raw_fields = _object(value.get("fields"), f"{name}.fields")
    # A module's extension is in compiledFields only.
    every = _object(value.get("compiledFields") or raw_fields, f"{name}.fields")
    model_options = _object(value.get("modelOptions", {}), name)
    options = value.get("conduitOptions") or model_options.get("conduit", {})
    return Schema(
        name=name,
        fields={key: _field_from(key, every[key]) for key in every},
        raw_fields=raw_fields,
        options=_object(options, f"{name}.conduitOptions"),
    )


def endpoint_from(value: Json) -> Endpoint:
    """A custom endpoint in either shape. Raises: ShapeError."""
    name = text_of(value, "name")
    operation = value.get("operation")
    if not isinstance(operation, int):
        raise ShapeError(f"{name}: operation is not a number")
    inputs = [_object(each, f"{name}.inputs") for each in _list(value, "inputs")]
    return Endpoint(
        name=name,
        schema=text_of(value, "selectedSchemaName"),
        enabled=value.get("enabled", True) is not False,
        operation=operation,
        authentication=value.get("authentication") is True,
        paginated=value.get("paginated") is True,
        sorted=value.get("sorted") is True,
        inputs={
            text_of(each, "name"): {"optional": False, "array": False, **each}
            for each in inputs
        },
        query=plain(value.get("query")),
        assignments=plain(value.get("assignments") or []),
    )


def plain(value: object) -> object:
    """Without the keys that say nothing (false or null), for comparing."""
    if isinstance(value, dict):
        return {
            key: plain(each)
            for key, each in value.items()
            if each is not False and each is not None
        }
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value


def fields_of_query(query: object) -> frozenset[str]:
    """The schema's fields that a query's conditions name."""
    if isinstance(query, list):
        return frozenset().union(*map(fields_of_query, query))
    if not isinstance(query, dict):
        return frozenset()
    if isinstance(name := query.get("schemaField"), str):
        return frozenset((name,))
    return fields_of_query(list(query.values()))


def _field_from(name: str, value: object) -> Field:
    detail = value if isinstance(value, dict) else {"type": value}
    kind = detail.get("type")
    model = detail.get("model")
    return Field(
        name=name,
        type=kind if isinstance(kind, str) else json.dumps(kind),
        model=model if isinstance(model, str) else None,
        required=detail.get("required") is True,
        has_default="default" in detail,
        long_text=detail.get("sqlType") == "Text",
    )


def _object(value: object, where: str) -> Json:
    if not isinstance(value, dict):
        raise ShapeError(f"{where} is not a JSON object")
    return value


def _list(value: Json, name: str) -> list[object]:
    found = value.get(name, [])
    if not isinstance(found, list):
        raise ShapeError(f"{name} is not a list")
    return found


def text_of(value: Json, name: str) -> str:
    """A text that must be there. Raises: ShapeError."""
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise ShapeError(f"{name} is missing in {json.dumps(value)[:80]}")
    return found
