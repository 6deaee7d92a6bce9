"""The built-in routes of the declared schemas.

Relies on section 3 of conduit.md and on recordings/database_read.json,
database_write.json and authorization.json.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .collection import Collection
from .declarations import AUTOMATIC_FIELDS, Document, Input, Schema
from .failures import ModuleError
from .parameters import BODY, QUERY, URL, read
from .populate import embed
from .routes import Call, Route
from .state import ConduitState
from .values import as_uuid

DEFAULT_LIMIT = 25
NOT_MODIFIABLE = "Document doesn't exist or can't be modified by user."

_ID = Input("id", "String", URL)
_DOCS = Input("docs", "JSON", BODY, array=True)
_SCOPE = Input("scope", "String", QUERY, optional=True)
POPULATE = Input("populate", "String", QUERY, array=True, optional=True)
SORT = Input("sort", "String", QUERY, array=True, optional=True)


class Database:
    """The database module's routes, and what custom endpoints share with them."""

    def __init__(self, state: ConduitState) -> None:
        self._state = state

    def routes(self, schemas: Sequence[Schema]) -> list[Route]:
        """What it serves: fixed words before parameters."""
        return [route for each in schemas for route in self._of(each)]

    def _of(self, schema: Schema) -> Iterator[Route]:
        scope = (_SCOPE,) if schema.authorization else ()
        fields = body_inputs(schema)
        base = f"/database/{schema.name}"
        page = (
            Input("skip", "Number", QUERY, optional=True),
            Input("limit", "Number", QUERY, optional=True),
        )
        many = (_DOCS, *scope)
        table = (
            ("read", "GET", base, self._list, (*page, SORT, POPULATE, *scope)),
            ("read", "GET", f"{base}/:id", self._one, (_ID, POPULATE, *scope)),
            ("create", "POST", f"{base}/many", self._create_many, many),
            ("create", "POST", base, self._create, (*fields, *scope)),
            ("update", "PUT", f"{base}/many", self._replace_many, many),
            ("update", "PUT", f"{base}/:id", self._replace, (_ID, *fields, *scope)),
            ("update", "PATCH", f"{base}/many", self._patch_many, many),
            ("update", "PATCH", f"{base}/:id", self._patch, (_ID, *fields, *scope)),
            ("delete", "DELETE", f"{base}/:id", self._delete, (_ID, *scope)),
        )
        for name, method, path, handler, inputs in table:
            operation = schema.operation(name)
            if operation.enabled:
                yield Route(
                    method,
                    path,
                    handler,
                    inputs,
                    token="required" if operation.authenticated else "open",
                    cached=method == "GET",
                )

    def readable(
        self, collection: Collection, documents: list[Document], call: Call
    ) -> list[Document]:
        """Those that the caller, or the scope, may read. Raises: ModuleError."""
        schema = collection.schema
        # Without a caller only by GraphQL's mixing of fields: seen to answer with all.
        if not schema.authorization or call.caller is None:
            return documents
        relations, user = self._state.relations, f"User:{call.user_id}"
        if (scope := call.parameters.get("scope")) is None:
            return [
                document
                for document in documents
                if relations.allows(user, "read", f"{schema.name}:{document['_id']}")
            ]
        relations.check_scope(user, "read", scope)
        return [
            document
            for document in documents
            if relations.owned_by(scope, f"{schema.name}:{document['_id']}")
        ]

    def shown(
        self, schema: Schema, documents: Sequence[Document], call: Call
    ) -> list[Document]:
        """With what `populate` asks for. Raises: ModuleError."""
        names = (*call.parameters.get("populate", ()), *call.populate)
        return embed(self._state.collections, schema, documents, names)

    def insert(
        self, collection: Collection, many: Sequence[Document], call: Call
    ) -> list[Document]:
        """Create, owned by the caller or the scope. Raises: ModuleError."""
        schema = collection.schema
        owner = f"User:{call.user_id}" if schema.authorization else ""
        if schema.authorization and (scope := call.parameters.get("scope")):
            self._state.relations.check_scope(owner, "edit", scope)
            owner = scope
        if len(many) == 1:
            documents = [collection.insert(many[0])]
        else:
            documents = collection.insert_many(many)
        for document in documents:
            if schema.authorization:
                self._state.relations.own(owner, f"{schema.name}:{document['_id']}")
        return documents

    def may(self, call: Call, action: str, schema: Schema, id: str) -> bool:
        """Whether the caller may edit or delete one. Raises: ModuleError (scope)."""
        if not schema.authorization:
            return True
        user = f"User:{call.user_id}"
        if scope := call.parameters.get("scope"):
            self._state.relations.check_scope(user, "edit", scope)
        return self._state.relations.allows(user, action, f"{schema.name}:{id}")

    def collection(self, call: Call) -> Collection:
        """By the name in the path, which is case-sensitive. Raises: ModuleError."""
        name = call.segments[1]
        if name not in self._state.collections:
            raise ModuleError(404, f"Schema {name} not defined yet")
        return self._state.collections[name]

    async def _list(self, call: Call) -> object:
        collection = self.collection(call)
        documents = collection.in_order(call.parameters.get("sort", ()))
        documents = self.readable(collection, documents, call)
        page = page_of(documents, call.parameters)
        return {
            "documents": self.shown(collection.schema, page, call),
            "count": len(documents),
        }

    async def _one(self, call: Call) -> object:
        collection = self.collection(call)
        found = collection.get(as_uuid(call.parameters["id"]))
        documents = self.readable(collection, [] if found is None else [found], call)
        if not documents:
            raise ModuleError(404, "Document does not exist")
        return self.shown(collection.schema, documents, call)[0]

    async def _create(self, call: Call) -> object:
        collection = self.collection(call)
        values = field_values(collection.schema, call.parameters)
        return self.insert(collection, [values], call)[0]

    async def _create_many(self, call: Call) -> object:
        collection = self.collection(call)
        docs = call.parameters["docs"]
        many = [_body_values(collection.schema, each) for each in docs]
        if len(many) == 1:  # the bulk route words its refusals differently
            return {"docs": collection.insert_many(many)}
        return {"docs": self.insert(collection, many, call)}

    async def _replace(self, call: Call) -> object:
        return self._change(call, whole=True)

    async def _patch(self, call: Call) -> object:
        return self._change(call, whole=False)

    async def _replace_many(self, call: Call) -> object:
        return self._change_many(call, whole=True)

    async def _patch_many(self, call: Call) -> object:
        return self._change_many(call, whole=False)

    async def _delete(self, call: Call) -> object:
        collection = self.collection(call)
        id = as_uuid(call.parameters["id"])
        if self.may(call, "delete", collection.schema, id):
            collection.delete(id)
        return {"result": "Ok"}

    def _change(self, call: Call, *, whole: bool) -> Document:
        collection = self.collection(call)
        schema = collection.schema
        id = as_uuid(call.parameters["id"])
        if not self.may(call, "edit", schema, id):
            raise ModuleError(500, NOT_MODIFIABLE)
        values = field_values(schema, call.parameters)
        change = collection.replace if whole else collection.patch
        document = change(id, values)
        if document is None:
            message = "Cannot read properties of null (reading '_id')"
            raise ModuleError(500, NOT_MODIFIABLE if schema.authorization else message)
        return document

    def _change_many(self, call: Call, *, whole: bool) -> object:
        """Not atomic; null in the place of an unknown id; columns' own names."""
        collection = self.collection(call)
        change = collection.replace if whole else collection.patch
        changed: list[Document | None] = []
        for each in call.parameters["docs"]:
            values = _body_values(collection.schema, each)
            id = as_uuid(each.get("_id"))
            if not self.may(call, "edit", collection.schema, id):
                raise ModuleError(500, NOT_MODIFIABLE)
            document = change(id, values)
            changed.append(document and collection.column_names(document))
        return {"docs": changed}


def page_of(
    documents: Sequence[Document], parameters: Mapping[str, Any]
) -> Sequence[Document]:
    """`skip` and `limit`, cut to whole numbers. Raises: ModuleError."""
    limit = int(parameters.get("limit", DEFAULT_LIMIT))
    skip = int(parameters.get("skip", 0))
    if limit < 0:
        raise ModuleError(500, "LIMIT must not be negative")
    if skip < 0:
        raise ModuleError(500, "OFFSET must not be negative")
    return documents[skip : skip + limit]


def body_inputs(schema: Schema) -> tuple[Input, ...]:
    """Every field that a body may set; none is required before the database."""
    return tuple(
        Input(each.name, each.type, BODY, each.array, optional=True)
        for each in schema.fields.values()
        if each.name not in AUTOMATIC_FIELDS
    )


def field_values(schema: Schema, parameters: Mapping[str, Any]) -> Document:
    """The parameters that are fields of the schema."""
    return {
        name: parameters[name]
        for name in schema.fields
        if name in parameters and name not in AUTOMATIC_FIELDS
    }


def _body_values(schema: Schema, body: object) -> Document:
    """One member of `docs`. Raises: BadParametersError."""
    return read(body_inputs(schema), query={}, body=body, url={})
