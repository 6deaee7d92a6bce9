"""What an operation asks of every type, so that upstreams send no more than that."""

import pytest
from graphql import parse

from engine.attribute import ATTRIBUTE
from schema import schema
from schema.selections import selection_of


def selection(text):
    document = parse(text)
    return selection_of(schema._schema, document, document.definitions[0])


def test_follows_fragments_wherever_they_lead():
    found = selection(
        """{ posts { nodes { ...A ... on Post { author { username } } } } }
        fragment A on Post { title ...B }
        fragment B on Post { notes { edges { node { body } } } }"""
    )
    assert found.fields("Post") == {"title", "author", "notes"}
    assert found.fields("Note") == {"body"}
    assert found.fields("User") == {"username"}
    assert found.fields("File") == frozenset()


def test_what_is_asked_of_an_interface_is_asked_of_its_types():
    found = selection('{ node(id: "x") { id ... on Note { body } } }')
    assert found.fields("Note") == {"id", "body"}
    assert found.fields("Post") == {"id"}


def test_reads_one_operation_of_several():
    document = parse("query a { notes { nodes { body } } } query b { viewer { id } }")
    found = selection_of(schema._schema, document, document.definitions[1])
    assert found.fields("Note") == frozenset()


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        ("__typename", {"id", "created_at"}),
        ("id databaseId createdAt", {"id", "created_at"}),
        ("body: updatedAt", {"id", "created_at", "updated_at"}),
        ("body post { id }", {"id", "created_at", "body", "post_id"}),
    ],
)
def test_columns_are_those_that_the_fields_show(fields, columns):
    found = selection(f"{{ notes {{ nodes {{ {fields} }} }} }}")
    assert found.note_columns == columns


def test_every_column_that_a_note_shows_is_asked_of_flux():
    shown = {}
    for name, field in schema._schema.get_type("Note").fields.items():
        definition = field.extensions["strawberry-definition"]
        if (read := definition.metadata.get(ATTRIBUTE)) is not None:
            shown[name] = read.path
    assert {"databaseId", "body", "createdAt", "updatedAt"} <= shown.keys()
    for name, column in shown.items():
        asked = selection(f"{{ notes {{ nodes {{ {name} }} }} }}").note_columns
        assert column in asked, name


def test_introspection_asks_nothing_of_our_types():
    found = selection("{ __schema { types { name fields { name } } } }")
    assert found.fields("Post") == frozenset()
