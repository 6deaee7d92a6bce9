"""`POST /graphql`: the router's routes under GraphQL names, queries only.

A small part, enough for a client that falls back to aliases of one field. Relies on
section 5 of conduit.md and on recordings/graphql.json and graphql_aliases.json;
keeps Conduit's mistake of one path for the whole request. Called by `router.py`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    value_from_ast_untyped,
)

from .answers import Answer, json_answer
from .failures import BadParametersError, ModuleError
from .parameters import read_typed
from .routes import Redirect, Route

Invoke = Callable[
    [Route, tuple[str, ...], Mapping[str, object], tuple[str, ...]], Awaitable[object]
]

_CSRF = (
    "This operation has been blocked as a potential Cross-Site Request Forgery (CSRF). "
    "Please either specify a 'content-type' header (with a type that is not one of "
    "application/x-www-form-urlencoded, multipart/form-data, text/plain) or provide a "
    "non-empty value for one of the following headers: x-apollo-operation-name, "
    "apollo-require-preflight\n"
)
_INTROSPECTION = (
    "GraphQL introspection is not allowed by Apollo Server, but the query contained "
    "__schema or __type. To enable introspection, pass introspection: true to "
    "ApolloServer in production"
)


class GraphQLRoute:
    """Answers queries with the handlers of REST routes."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._fields = {_field_name(each): each for each in routes}

    async def answer(self, method: str, body: object, invoke: Invoke) -> Answer:
        """The whole HTTP answer."""
        if method != "POST":
            return _refused(_CSRF, {"code": "BAD_REQUEST"}, cache_control=None)
        if not isinstance(body, dict):
            text = "Operation batching disabled."
            return _refused(text, {"code": "BAD_REQUEST"}, cache_control=None)
        try:
            document = parse(str(body.get("query", "")))
        except GraphQLSyntaxError as error:
            return _refused(error.message, {"code": "GRAPHQL_PARSE_FAILED"})
        execution = _Execution(document, body.get("variables") or {}, invoke)
        if (invalid := self._invalid(execution)) is not None:
            return invalid
        return await execution.run(self._fields)

    def _invalid(self, execution: "_Execution") -> Answer | None:
        for node in execution.fields:
            name = node.name.value
            code: dict[str, object] = {"code": "GRAPHQL_VALIDATION_FAILED"}
            if name in ("__schema", "__type"):
                code["validationErrorCode"] = "INTROSPECTION_DISABLED"
                return _refused(_INTROSPECTION, code, node)
            if name not in self._fields:
                text = f'Cannot query field "{name}" on type "Query".'
                return _refused(text, code, node)
        return None


class _Execution:
    """One operation under way."""

    def __init__(
        self, document: DocumentNode, variables: Mapping[str, Any], invoke: Invoke
    ) -> None:
        self._variables = dict(variables)
        self._invoke = invoke
        self._fragments = {
            each.name.value: each
            for each in document.definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        operations = [
            each
            for each in document.definitions
            if isinstance(each, OperationDefinitionNode)
        ]
        self.fields = list(self._nodes(operations[0].selection_set))

    async def run(self, fields: Mapping[str, Route]) -> Answer:
        """Every field in turn; a failed one is null with an error."""
        path = fields[self.fields[-1].name.value].segments  # one for the whole request
        data: dict[str, object] = {}
        errors = []
        for node in self.fields:
            key = _key(node)
            try:
                data[key] = await self._field(node, fields[node.name.value], path)
            except ModuleError as error:
                data[key] = None
                errors.append(_error(error.message, {"code": error.status}, node, key))
            except BadParametersError:
                data[key] = None
                errors.append(_error("Bad Request", {"code": 400}, node, key))
        answer = {"errors": errors, "data": data} if errors else {"data": data}
        return _with_line_end(json_answer(answer, cache_control="no-store"))

    async def _field(
        self, node: FieldNode, route: Route, path: tuple[str, ...]
    ) -> object:
        given = {
            each.name.value: value_from_ast_untyped(each.value, self._variables)
            for each in node.arguments or ()
        }
        parameters = read_typed(route.inputs, given)
        populate = tuple(self._relations(node.selection_set))
        value = await self._invoke(route, path, parameters, populate)
        if isinstance(value, Redirect):
            value = {"result": value.url}
        if route.bare_list:
            value = {"result": None}
        return self._shown(value, node.selection_set)

    def _nodes(self, selection: SelectionSetNode | None) -> Iterator[FieldNode]:
        """The fields of a selection, fragments opened."""
        for each in selection.selections if selection else ():
            if isinstance(each, FieldNode):
                yield each
            elif isinstance(each, InlineFragmentNode):
                yield from self._nodes(each.selection_set)
            elif isinstance(each, FragmentSpreadNode):
                yield from self._nodes(self._fragments[each.name.value].selection_set)

    def _relations(self, selection: SelectionSetNode | None) -> Iterator[str]:
        """Names to populate: whatever has fields of its own, nested too."""
        for node in self._nodes(selection):
            if node.selection_set is None:
                continue
            name = node.name.value
            nested = list(self._relations(node.selection_set))
            if name == "documents":
                yield from nested
            else:
                yield name
                yield from (f"{name}.{each}" for each in nested)

    def _shown(self, value: object, selection: SelectionSetNode | None) -> object:
        """Only what was selected."""
        if isinstance(value, list):
            return [self._shown(each, selection) for each in value]
        if selection is None or not isinstance(value, dict):
            return value
        return {
            _key(node): self._shown(value.get(node.name.value), node.selection_set)
            for node in self._nodes(selection)
        }


def _field_name(route: Route) -> str:
    """`getDatabasePostId` for GET /database/Post/:id."""
    words = [segment.removeprefix(":") for segment in route.segments]
    return route.method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _key(node: FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value


def _error(
    message: str,
    extensions: Mapping[str, object],
    node: Node | None = None,
    key: str | None = None,
) -> dict[str, object]:
    error: dict[str, object] = {"message": message}
    if node is not None and node.loc is not None:
        place = node.loc.source.get_location(node.loc.start)
        error["locations"] = [{"line": place.line, "column": place.column}]
    if key is not None:
        error["path"] = [key]
    return {**error, "extensions": dict(extensions)}


def _refused(
    message: str,
    extensions: Mapping[str, object],
    node: Node | None = None,
    *,
    cache_control: str | None = "no-store",
) -> Answer:
    body = {"errors": [_error(message, extensions, node)]}
    answer = json_answer(body, status=400, cache_control=cache_control)
    return _with_line_end(answer)


def _with_line_end(answer: Answer) -> Answer:
    """As Apollo Server ends its bodies."""
    answer.body += b"\n"
    return answer
