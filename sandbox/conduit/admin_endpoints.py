"""Custom endpoints in the Admin API: `/database/customEndpoints`.

Used by `admin.py`. Relies on section 13 of conduit.md and on recordings/admin.json.
"""

from collections.abc import Iterator
from dataclasses import replace

from .admin_records import Query, Records, page, required
from .admin_schemas import AdminSchemas
from .declarations import Endpoint, Json, endpoint_from
from .failures import ModuleError
from .state import ConduitState

_NO_SCHEMA = "Either selectedSchema or selectedSchemaName must be specified"
_NO_FIELD = "schemaField is not present/accessible in selected schema!"


class AdminEndpoints:
    """The custom endpoints, over the schemas of the same application."""

    def __init__(self, state: ConduitState, schemas: AdminSchemas) -> None:
        self._state = state
        self._schemas = schemas.records
        self._records = Records(state.clock, state.new_id)
        for endpoint in state.declared.endpoints:
            schema = self._schema({"selectedSchemaName": endpoint.schema})
            self._records.add(_record(endpoint.source, schema))

    def answer(self, method: str, id: list[str], query: Query, body: Json) -> Json:
        """The answer's body; None when there is no such route.

        Raises: ModuleError, BadParametersError.
        """
        match method, id:
            case "GET", []:
                found, count = page(self._of_schema(query), query)
                return {"customEndpoints": found, "count": count}
            case "POST", []:
                return self._create(body)
            case "PATCH", [one]:
                return self._change(one, body)
            case "DELETE", [one]:
                return self._delete(one)
            case _:
                return None

    def _of_schema(self, query: Query) -> Iterator[Json]:
        wanted = query.get("schemaName")
        for each in self._records:
            if wanted is None or each["selectedSchemaName"] in wanted:
                yield each

    def _create(self, body: Json) -> Json:
        name = required(body, "name", str)
        if self._records.named(name) is not None:
            raise ModuleError(500, f"{name} custom endpoint already exists")
        schema = self._schema(body)
        _check_fields(body.get("query") or {}, schema)
        record = self._records.add(_record(body, schema))
        self._declare()
        return record

    def _change(self, id: str, body: Json) -> Json:
        before = self._one(id)
        schema = self._schema(body)
        _check_fields(body.get("query") or {}, schema)
        record = self._records.change(id, _record({**before, **body}, schema))
        self._declare()
        shown = {key: record[key] for key in record if key != "selectedSchema"}
        return {**shown, "selectedSchemaId": schema["_id"]}

    def _delete(self, id: str) -> Json:
        self._one(id)
        self._records.remove(id)
        self._declare()
        return {"result": "Custom Endpoint deleted"}

    def _one(self, id: str) -> Json:
        record = self._records.get(id)
        if record is None:
            raise ModuleError(404, "Custom endpoint does not exist")
        return record

    def _schema(self, body: Json) -> Json:
        """The schema named by id or name. Raises: ModuleError."""
        if "selectedSchema" in body:
            found = self._schemas.get(body["selectedSchema"])
        elif "selectedSchemaName" in body:
            found = self._schemas.named(body["selectedSchemaName"])
        else:
            raise ModuleError(400, _NO_SCHEMA)
        if found is None:
            raise ModuleError(404, "Schema does not exist")
        return found

    def _declare(self) -> None:
        endpoints: tuple[Endpoint, ...] = tuple(map(endpoint_from, self._records))
        self._state.declare(replace(self._state.declared, endpoints=endpoints))


def _record(body: Json, schema: Json) -> Json:
    return {
        "name": body["name"],
        "operation": required(body, "operation", int),
        "endpointDescription": body.get("endpointDescription"),
        "selectedSchemaName": schema["name"],
        "inputs": required(body, "inputs", list),
        "returns": schema["name"],
        "enabled": body.get("enabled", True),
        "authentication": body.get("authentication", False),
        "paginated": body.get("paginated", False),
        "sorted": body.get("sorted", False),
        "query": body.get("query"),
        "assignments": body.get("assignments"),
        "selectedSchema": schema["_id"],
    }


def _check_fields(query: Json, schema: Json) -> None:
    """Raises: ModuleError (a condition on a field that is not there)."""
    for member in (*query.get("AND", ()), *query.get("OR", ())):
        if "AND" in member or "OR" in member:
            _check_fields(member, schema)
        elif member["schemaField"] not in schema["compiledFields"]:
            raise ModuleError(400, _NO_FIELD)
