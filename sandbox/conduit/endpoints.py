"""Custom endpoints: `/database/function/{Name}`.

Generic over the definitions; relies on section 4 of conduit.md and on
recordings/custom_endpoints.json.
"""

from collections.abc import Sequence
from typing import Any

from .collection import Collection
from .database import POPULATE, SORT, Database, page_of
from .declarations import Document, Endpoint, Input
from .failures import ModuleError
from .parameters import QUERY, URL
from .queries import resolve, select
from .routes import Call, Route
from .state import ConduitState


class Endpoints:
    """Some custom endpoints over one state."""

    def __init__(
        self, state: ConduitState, database: Database, declared: Sequence[Endpoint]
    ) -> None:
        self._state = state
        self._database = database
        self._by_name = {each.name: each for each in declared}

    def routes(self) -> list[Route]:
        """One route for each definition."""
        return [self._route(each) for each in self._by_name.values()]

    def _route(self, endpoint: Endpoint) -> Route:
        inputs = [*endpoint.inputs]
        if endpoint.method == "GET":
            inputs.append(POPULATE)
            if endpoint.paginated:
                inputs += [Input(name, "Number", QUERY) for name in ("skip", "limit")]
            if endpoint.sorted:
                inputs.append(SORT)
        schema = self._state.collections[endpoint.schema].schema
        if schema.authorization:
            inputs.append(Input("scope", "String", QUERY, optional=True))
        in_path = [f"/:{each.name}" for each in endpoint.inputs if each.location == URL]
        return Route(
            endpoint.method,
            f"/database/function/{endpoint.name}{''.join(in_path)}",
            {
                "GET": self._get,
                "POST": self._post,
                "PUT": self._put,
                "PATCH": self._patch,
                "DELETE": self._delete,
            }[endpoint.method],
            tuple(inputs),
            token="required" if endpoint.authentication else "open",
            cached=endpoint.method == "GET",
            bare_list=not endpoint.paginated,
        )

    def _endpoint(self, call: Call) -> tuple[Endpoint, Collection]:
        """By the name in the path, which is case-sensitive. Raises: ModuleError."""
        endpoint = self._by_name.get(call.segments[2])
        if endpoint is None:
            raise ModuleError(
                500, "Cannot read properties of undefined (reading 'operation')"
            )
        return endpoint, self._state.collections[endpoint.schema]

    def _found(
        self, endpoint: Endpoint, collection: Collection, call: Call
    ) -> list[Document]:
        sort = call.parameters.get("sort", ()) if endpoint.sorted else ()
        documents = select(
            collection, endpoint.query, call.parameters, _context(call), sort
        )
        return self._database.readable(collection, documents, call)

    async def _get(self, call: Call) -> object:
        endpoint, collection = self._endpoint(call)
        documents = self._found(endpoint, collection, call)
        if not endpoint.paginated:
            return self._database.shown(collection.schema, documents, call)
        page = page_of(documents, call.parameters)
        shown = self._database.shown(collection.schema, page, call)
        return {"documents": shown, "count": len(documents)}

    async def _post(self, call: Call) -> object:
        endpoint, collection = self._endpoint(call)
        values = _assigned(endpoint, call, {})
        return self._database.insert(collection, [values], call)

    async def _put(self, call: Call) -> object:
        self._change(call)
        return ["Ok"]

    async def _patch(self, call: Call) -> object:
        return self._change(call)

    async def _delete(self, call: Call) -> object:
        endpoint, collection = self._endpoint(call)
        found = self._found(endpoint, collection, call)
        deleted = [
            document["_id"]
            for document in found
            if self._database.may(call, "delete", collection.schema, document["_id"])
        ]
        for id in deleted:
            collection.delete(id)
        return {"deletedCount": len(deleted)}

    def _change(self, call: Call) -> list[Document]:
        """Assign; the documents as they were before, with the columns' names."""
        endpoint, collection = self._endpoint(call)
        before = []
        for document in self._found(endpoint, collection, call):
            before.append(collection.column_names(document))
            collection.patch(document["_id"], _assigned(endpoint, call, document))
        return before


def _context(call: Call) -> Document:
    return {"user": None if call.caller is None else call.caller.user}


def _assigned(endpoint: Endpoint, call: Call, document: Document) -> Document:
    """The fields that the assignments set."""
    values: Document = {}
    for each in endpoint.assignments:
        name = each["schemaField"]
        value = resolve(each["assignmentField"], call.parameters, _context(call))
        if value is not None:
            values[name] = _changed(each["action"], document.get(name), value)
    return values


def _changed(action: int, old: Any, value: Any) -> Any:
    """SQL's arithmetic: null stays null."""
    match action:
        case 1:
            return None if old is None else old + value
        case 2:
            return None if old is None else old - value
        case 3:
            return [*(old or []), value]
        case 4:
            return [each for each in old or [] if each != value]
        case _:
            return value
