"""Schemas in the Admin API: `/database/schemas`.

Used by `admin.py`. Relies on section 13 of conduit.md and on recordings/admin.json:
a change answers with the fields from before it, and a field that is not sent is gone.
"""

from dataclasses import replace

from .admin_records import Query, Records, page, required
from .declarations import AUTOMATIC_FIELDS, Json, Schema, schema_from
from .failures import ModuleError, NoAnswerError
from .state import ConduitState

_PERMISSIONS = {
    "canCreate": True,
    "canDelete": True,
    "canModify": "Everything",
    "extendable": True,
}
_OWNERS = {"User": "authentication", "Team": "authentication", "File": "storage"}
_NOT_IN_CHANGED = ("parentSchema", "createdAt", "updatedAt", "_id")


class AdminSchemas:
    """The declared schemas, and the modules' own, which cannot be changed here."""

    def __init__(self, state: ConduitState) -> None:
        self._state = state
        self.records = Records(state.clock, state.new_id)
        for schema in (*state.system_schemas, *state.declared.schemas):
            self.records.add(_record(schema))

    def answer(self, method: str, id: list[str], query: Query, body: Json) -> Json:
        """The answer's body; None when there is no such route.

        Raises: ModuleError, BadParametersError, NoAnswerError.
        """
        match method, id:
            case "GET", []:
                found, count = page(self.records, query)
                return {"schemas": found, "count": count}
            case "POST", []:
                return self._create(body)
            case "GET", [one]:
                return self._one(one)
            case "PATCH", [one]:
                return self._change(one, body)
            case "DELETE", [one]:
                return self._delete(one)
            case _:
                return None

    def _one(self, id: str) -> Json:
        record = self.records.get(id)
        if record is None:
            raise ModuleError(404, "Schema does not exist")
        return record

    def _own(self, id: str) -> Json:
        record = self._one(id)
        if record["ownerModule"] != "database":
            raise ModuleError(403, "Schema is not owned by the database module")
        return record

    def _create(self, body: Json) -> Json:
        name = required(body, "name", str)
        if self.records.named(name) is not None:
            raise ModuleError(500, "Schema name is already in use!")
        self._check_relations(required(body, "fields", dict))
        schema = schema_from(body)
        declared = self._state.declared
        self._state.declare(replace(declared, schemas=(*declared.schemas, schema)))
        return self.records.add(_record(schema))

    def _change(self, id: str, body: Json) -> Json:
        before = self._own(id)
        self._check_relations(required(body, "fields", dict))
        after = schema_from({**body, "name": before["name"]})
        self._declare(before["name"], after)
        options = _model_options(body)
        self.records.change(id, {**_fields(after), "modelOptions": options})
        shown = {**before, "modelOptions": options}
        return {key: shown[key] for key in shown if key not in _NOT_IN_CHANGED}

    def _delete(self, id: str) -> Json:
        self._declare(self._own(id)["name"], None)
        self.records.remove(id)
        return {"result": "Schema deleted!"}

    def _declare(self, name: str, schema: Schema | None) -> None:
        """Put a schema in the place of the one with its name, or nothing."""
        declared = self._state.declared
        after = [
            schema if each.name == name else each
            for each in declared.schemas
            if each.name != name or schema is not None
        ]
        schemas = tuple(each for each in after if each is not None)
        self._state.declare(replace(declared, schemas=schemas))

    def _check_relations(self, fields: Json) -> None:
        """A relation to nowhere gets no answer at all. Raises: NoAnswerError."""
        for each in fields.values():
            model = each.get("model") if isinstance(each, dict) else None
            if model is not None and self.records.named(model) is None:
                raise NoAnswerError


def _record(schema: Schema) -> Json:
    return {
        "name": schema.name,
        "parentSchema": "",
        **_fields(schema),
        "extensions": [],
        "modelOptions": _model_options(schema.source),
        "ownerModule": _OWNERS.get(schema.name, "database"),
        "collectionName": f"cnd_{schema.name}",
    }


def _fields(schema: Schema) -> Json:
    automatic = {
        name: {"type": "Date", "required": False} for name in AUTOMATIC_FIELDS
    } | {"_id": {"type": "ObjectId", "unique": True, "required": True}}
    declared = schema.source["fields"].items()
    fields = {name: _stored(value) for name, value in declared} | automatic
    return {"fields": fields, "compiledFields": fields}


def _stored(value: Json) -> Json:
    """A field with its type and `required` spelled out."""
    if not isinstance(value, dict):
        value = {"type": value}
    return {"required": False, **value}


def _model_options(value: Json) -> Json:
    options = value.get("conduitOptions", {})
    cms = options.get("cms")
    return {
        "conduit": {
            **({} if cms is None else {"cms": {"enabled": True, **cms}}),
            "permissions": options.get("permissions", _PERMISSIONS),
            "authorization": options.get("authorization", {"enabled": False}),
        },
        "timestamps": True,
    }
