"""What the engine keeps of variables and arguments is never another value's."""

from __future__ import annotations

from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInt,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    parse,
)

from engine import Engine
from engine.engine import MAX_VARIANTS, Operation
from engine.kept import MAX_KEPT, Kept

SWITCH = GraphQLEnumType(
    "Switch", {"ONE": GraphQLEnumValue(1), "ON": GraphQLEnumValue(True)}
)


def schema_of(argument: Any) -> GraphQLSchema:
    """`told` shows what its resolver is given."""
    told = GraphQLField(
        GraphQLString,
        args={"value": GraphQLArgument(argument)},
        resolve=lambda _source, _info, **given: repr(given),
    )
    return GraphQLSchema(GraphQLObjectType("Query", {"told": told}))


def told(engine: Engine, document: Any, variables: dict[str, Any]) -> Any:
    result: Any = engine.execute(document, variable_values=variables)
    assert result.errors is None
    return result.data["told"]


def test_values_that_are_equal_and_of_two_classes_are_two_values() -> None:
    engine = Engine(schema_of(SWITCH))
    document = parse("query ($value: Switch) { told(value: $value) }")
    given = [told(engine, document, {"value": each}) for each in ("ONE", "ON", "ONE")]
    assert given == ["{'value': 1}", "{'value': True}", "{'value': 1}"]


def test_a_variable_that_is_left_out_is_not_null() -> None:
    engine = Engine(schema_of(GraphQLInt))
    document = parse("query ($value: Int) { told(value: $value) }")
    cases: list[dict[str, Any]] = [{}, {"value": None}, {}]
    given = [told(engine, document, each) for each in cases]
    assert given == ["{}", "{'value': None}", "{}"]


def test_large_values_are_not_kept() -> None:
    """Anybody may send them: 64 texts of 1 MB for each document are 64 GB."""
    kept: Kept[int] = Kept()
    for values in (("x" * 5000, "y" * 5000), tuple("x" * 200)):
        kept.keep((values, tuple(map(type, values))), 1)
    assert not kept
    page = tuple("x" * 60 for _ in range(100))
    kept.keep((page, tuple(map(type, page))), 1)
    assert len(kept) == 1


def test_no_more_is_kept_than_the_bound() -> None:
    kept: Kept[int] = Kept()
    for n in range(3 * MAX_KEPT):
        kept.keep(((n,), (int,)), n)
        assert kept.get(((n,), (int,))) == n
        assert len(kept) <= MAX_KEPT


def test_arguments_are_let_go_with_the_plan_whose_fields_they_are() -> None:
    engine = Engine(schema_of(GraphQLInt))
    choices = "abcde"
    document = parse(
        f"query ($v: Int, {', '.join(f'${c}: Boolean!' for c in choices)}) {{"
        " told(value: $v) "
        + " ".join(f"{c}: told(value: 1) @include(if: ${c})" for c in choices)
        + "}"
    )
    for n in [*range(32), *range(32)]:
        given = {c: bool(n >> i & 1) for i, c in enumerate(choices)}
        told(engine, document, {"v": n, **given})
    ((_, operation),) = engine.known.values()
    assert isinstance(operation, Operation)
    assert len(operation.variants) == MAX_VARIANTS
    assert sum(len(kept) for *_, kept in operation.known.values()) <= MAX_VARIANTS


def test_fields_of_equal_variables_share_the_arguments_that_were_made() -> None:
    engine = Engine(schema_of(GraphQLInt))
    document = parse("query ($v: Int) { told(value: $v) }")
    for n in (1, 1, 2):
        assert told(engine, document, {"v": n}) == f"{{'value': {n}}}"
    ((_, operation),) = engine.known.values()
    assert isinstance(operation, Operation)
    assert [len(kept) for *_, kept in operation.known.values()] == [1, 1]
