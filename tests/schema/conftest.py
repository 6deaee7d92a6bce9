"""`ask`: put a document to the schema over stub clients."""

from functools import partial

import pytest

from schema import schema
from tests.schema import asking


@pytest.fixture(name="ask", params=["reference", "compiled"])
def ask_fixture(request):
    """By graphql-core's executor and by compiled plans: the answers are the same."""
    graph = schema if request.param == "reference" else asking.compiled()
    return partial(asking.ask, graph=graph)
