"""Content negotiation of the GraphQL endpoint."""

import pytest

from server.media_types import GRAPHQL_RESPONSE, HTML, JSON, negotiate

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("APPLICATION/JSON", JSON),
        ("application/json; charset=utf-8", JSON),
        ("application/graphql-response+json", GRAPHQL_RESPONSE),
        ("application/graphql-response+json, application/json", GRAPHQL_RESPONSE),
        ("application/json, application/graphql-response+json", JSON),
        (
            "application/json;q=0.5, application/graphql-response+json;q=0.9",
            GRAPHQL_RESPONSE,
        ),
        ("application/graphql-response+json;q=0, */*", JSON),
        (CHROMIUM, HTML),
        ("application/json, text/html", JSON),
        ("text/css", None),
        ("application/json;q=0", None),
        ("application/json;q=nonsense", None),
        (",;q=1,/", None),
    ],
)
def test_the_type_wanted_most_is_chosen(
    accept: str | None, expected: str | None
) -> None:
    assert negotiate(accept, (JSON, GRAPHQL_RESPONSE, HTML)) == expected
