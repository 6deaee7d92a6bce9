"""`ask`: put a document to the schema over stub clients."""

import pytest

from tests.schema import asking


@pytest.fixture(name="ask")
def ask_fixture():
    return asking.ask
