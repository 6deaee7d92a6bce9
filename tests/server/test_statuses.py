"""HTTP statuses of both profiles."""

from collections.abc import AsyncIterator

import httpx
import pytest

from server.app import create_app
from server.settings import Settings

NEWER = "application/graphql-response+json"
OLDER = "application/json"


@pytest.fixture
async def draft(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings.from_env({**environment, "STATUS_PROFILE": "draft"}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
    ):
        yield client


CASES = [
    ({"query": "{ __typename }"}, 200, 200),
    ({"query": "{"}, 400, 400),
    ({"query": "{ nothing }"}, 400, 422),
    ({"query": "query ($a: ID!) { node(id: $a) { id } }"}, 400, 422),
    ({"query": "{" + "a: __typename " * 200 + "}"}, 400, 422),
    ({"query": "query A {__typename} query B {__typename}"}, 400, 422),
    ({"query": "{ __typename notes { nodes { id } } }"}, 200, 294),
    ({"query": ""}, 400, 400),
]


@pytest.mark.parametrize(("body", "_audit", "expected"), CASES)
async def test_the_draft_tells_what_cannot_run_and_what_ran_in_part(
    draft: httpx.AsyncClient, body: dict[str, str], _audit: int, expected: int
) -> None:
    response = await draft.post("/graphql", json=body, headers={"accept": NEWER})
    assert response.status_code == expected


@pytest.mark.parametrize(("body", "expected", "_draft"), CASES)
async def test_the_audit_profile_knows_only_200_and_400(
    http: httpx.AsyncClient, body: dict[str, str], expected: int, _draft: int
) -> None:
    response = await http.post("/graphql", json=body, headers={"accept": NEWER})
    assert response.status_code == expected


@pytest.mark.parametrize(("body", "_audit", "_draft"), CASES[:-1])
async def test_the_older_media_type_is_200_whatever_the_profile(
    draft: httpx.AsyncClient, body: dict[str, str], _audit: int, _draft: int
) -> None:
    response = await draft.post("/graphql", json=body, headers={"accept": OLDER})
    assert response.status_code == 200
