"""The named queries fit our graph, and are what the promises are about."""

from graphql import GraphQLSchema, build_schema, parse, validate

from benchmarks.operations import COUNTED, MEASURED, KnownIds, document
from schema import schema


def graph() -> GraphQLSchema:
    return build_schema(schema.as_str())


def test_every_document_is_valid_in_our_graph() -> None:
    names = [operation.document for operation in COUNTED]
    names += [query.document for query in MEASURED if query.is_offered]
    names += ["sign_in", "ids_of_three_kinds"]

    mistakes = {name: validate(graph(), parse(document(name))) for name in names}

    assert {name: found for name, found in mistakes.items() if found} == {}


def test_a_query_is_measured_as_soon_as_the_graph_has_its_field() -> None:
    mutations = graph().mutation_type
    fields = mutations.fields if mutations else {}

    for query in MEASURED:
        assert query.is_offered == (query.needs is None or query.needs in fields)


def test_the_promised_calls_are_those_of_the_documentation() -> None:
    assert [operation.promised for operation in COUNTED] == [2, 3, 2, 3, 2]


def test_mixed_ids_hold_as_many_of_each_kind_in_turn() -> None:
    ids = KnownIds(posts=["p1", "p2"], notes=["n1", "n2"], files=["f1", "f2"])

    assert ids.mixed(1) == ["p1", "n1", "f1"]
    assert ids.mixed(9) == ["p1", "n1", "f1", "p2", "n2", "f2"]


def test_known_ids_leave_out_posts_without_a_cover() -> None:
    posts = [{"id": "p1", "coverFile": None}, {"id": "p2", "coverFile": {"id": "f2"}}]
    data = {"posts": {"nodes": posts}, "notes": {"nodes": [{"id": "n1"}]}}

    assert KnownIds.of(data) == KnownIds(["p1", "p2"], ["n1"], ["f2"])
