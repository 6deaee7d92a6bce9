"""The conditions of custom endpoints, run over a collection.

Relies on section 4 of conduit.md and on recordings/custom_endpoints.json. Used by
`endpoints.py`.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .collection import Collection, ordered
from .declarations import Document, Field, Json, Schema
from .failures import ModuleError
from .values import as_date, as_uuid

EQUAL, NOT_EQUAL, IN, NOT_IN, CONTAINS = 0, 1, 6, 7, 8
_ORDERINGS: Mapping[int, Callable[[Any, Any], bool]] = {
    2: operator.gt,
    3: operator.ge,
    4: operator.lt,
    5: operator.le,
}

Test = Callable[[Document], bool]


def select(
    collection: Collection,
    query: Json,
    inputs: Mapping[str, Any],
    context: Mapping[str, Any],
    sort: Sequence[str] = (),
) -> list[Document]:
    """The documents that match, in the order asked. Raises: ModuleError."""
    schema = collection.schema
    test = _group(query or {}, schema, inputs, context)
    ids = _ids_asked(query, inputs)
    if ids is None:
        documents = collection.in_order(sort)
    else:
        documents = ordered(schema, collection.with_ids(ids), sort)
    if test is None:
        # Everything was dropped: AND matches all, OR matches nothing.
        return [] if query and "OR" in query else list(documents)
    return [document for document in documents if test(document)]


def resolve(source: Json, inputs: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
    """The value of a comparison or assignment; None when it was not sent."""
    match source["type"]:
        case "Input":
            return inputs.get(source["value"])
        case "Context":
            value: Any = context
            for part in source["value"].split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            return value
        case _:
            return source["value"]


def _ids_asked(query: Json, inputs: Mapping[str, Any]) -> list[str] | None:
    """The ids of a query that is nothing but `_id` in a list (a look-up, no scan)."""
    match query:
        case {"AND": [{"schemaField": "_id", "operation": 6, "comparisonField": of}]}:
            return [id.lower() for id in inputs[of["value"]]]
        case _:
            return None


def _group(
    group: Json, schema: Schema, inputs: Mapping[str, Any], context: Mapping[str, Any]
) -> Test | None:
    """AND or OR of conditions and groups; None when all of them were dropped."""
    is_or = "OR" in group
    tests = []
    for member in group.get("OR" if is_or else "AND", ()):
        nested = "OR" in member or "AND" in member
        build = _group if nested else _condition
        if (test := build(member, schema, inputs, context)) is not None:
            tests.append(test)
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    combine = any if is_or else all
    return lambda document: combine(test(document) for test in tests)


def _condition(
    condition: Json,
    schema: Schema,
    inputs: Mapping[str, Any],
    context: Mapping[str, Any],
) -> Test | None:
    """One comparison; None when its optional input was not sent."""
    comparison = condition["comparisonField"]
    value = resolve(comparison, inputs, context)
    if value is None:
        return None
    field = schema.fields[condition["schemaField"]]
    kind = condition["operation"]
    if kind == CONTAINS or (kind in (IN, NOT_IN) and field.array):
        raise ModuleError(500, "values.map is not a function")
    if kind == EQUAL and comparison.get("like"):
        exact_case = bool(comparison.get("caseSensitiveLike"))
        return _like(field.name, str(value), exact_case)
    return _comparison(field, kind, value)


def _comparison(field: Field, kind: int, value: Any) -> Test:
    name = field.name
    if kind in (IN, NOT_IN):
        members = [_comparable(field, each) for each in value]
        if kind == IN:
            return lambda document: document[name] in members
        return lambda document: (
            document[name] is not None and document[name] not in members
        )
    wanted = _comparable(field, value)
    if kind == EQUAL:
        return lambda document: document[name] == wanted
    if kind == NOT_EQUAL:
        return lambda document: document[name] is not None and document[name] != wanted
    compare = _ORDERINGS[kind]
    return lambda document: (
        document[name] is not None and compare(document[name], wanted)
    )


def _comparable(field: Field, value: Any) -> Any:
    """As the column holds it. Raises: ModuleError."""
    if field.is_uuid:
        return as_uuid(value)
    if field.type == "Date":
        return as_date(value) or value
    return value


def _like(name: str, value: str, exact_case: bool) -> Test:
    """ILIKE '%value%', with `%` and `_` of the value as wildcards.

    A backslash takes the meaning of what follows away; one at the very end of the
    value does so to the closing `%`.
    """
    pattern = re.compile(
        _regular_expression(f"%{value}%"),
        re.DOTALL if exact_case else re.DOTALL | re.IGNORECASE,
    )

    def test(document: Document) -> bool:
        text = document[name]
        return isinstance(text, str) and pattern.fullmatch(text) is not None

    return test


def _regular_expression(pattern: str) -> str:
    """The same as a LIKE pattern of PostgreSQL, which ends in `%` here."""
    wildcards = {"%": ".*", "_": "."}
    letters = iter(pattern)
    return "".join(
        re.escape(next(letters))
        if letter == "\\"
        else wildcards.get(letter, re.escape(letter))
        for letter in letters
    )
