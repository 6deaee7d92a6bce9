"""First pages are checked once for each document, and never another page for them."""

from types import SimpleNamespace
from typing import cast

import pytest
from graphql import FieldNode, OperationDefinitionNode, parse

from clients.errors import InvalidInputError
from resolvers.selection import Selection
from schema.connections import MAX_KEPT_PAGES, page_request
from schema.info import Info

DOCUMENT = parse("{ posts { nodes { id } } posts: posts { totalCount } }")


def asked(selection: Selection, *, place: int = 0, most: int = 100) -> Info:
    """What `page_request` looks at."""
    operation = cast("OperationDefinitionNode", DOCUMENT.definitions[0])
    nodes = cast("list[FieldNode]", operation.selection_set.selections)
    shared = SimpleNamespace(max_page_size=most, measured_page_size=None)
    context = SimpleNamespace(selection=selection, shared=shared)
    raw = SimpleNamespace(
        field_nodes=[nodes[place]], fragments={}, context=context, variable_values={}
    )
    info = SimpleNamespace(_raw_info=raw, context=context, variable_values={})
    return cast("Info", info)


def test_equal_first_pages_of_one_place_are_one_request() -> None:
    selection = Selection(below={})
    request = page_request(asked(selection), first=3)
    assert page_request(asked(selection), first=3) is request
    assert page_request(asked(selection), last=3).backward
    assert page_request(asked(selection), first=4).size == 4
    assert page_request(asked(selection, place=1), first=3).counted


def test_a_refusal_is_told_again_and_each_bound_is_its_own() -> None:
    selection = Selection(below={})
    page_request(asked(selection), first=3)
    for _ in range(2):
        with pytest.raises(InvalidInputError):
            page_request(asked(selection, most=2), first=3)


def test_neither_cursors_nor_conditional_selections_are_kept() -> None:
    selection, conditional = Selection(below={}), Selection(below=None)
    assert page_request(asked(selection), first=3, after="a").cursor == "a"
    assert page_request(asked(selection), first=3, after="b").cursor == "b"
    page_request(asked(conditional), first=3)
    assert not selection.pages
    assert not conditional.pages


def test_no_more_pages_are_kept_than_the_bound() -> None:
    selection = Selection(below={})
    for size in [*range(101), *range(101)]:
        assert page_request(asked(selection), first=size).size == size
        assert len(selection.pages) <= MAX_KEPT_PAGES
