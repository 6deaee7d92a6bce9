"""Every answer carries the security headers and names no software."""

from collections.abc import AsyncIterator

import httpx
import pytest

from harness import Sandbox, server_process
from server.app import create_app
from server.security_headers import SECURITY_HEADERS
from server.settings import Settings

ANSWERS = [
    ("GET", "/", {}),
    ("GET", "/graphql", {"accept": "text/html"}),
    ("POST", "/graphql", {"content-type": "application/json"}),
    ("POST", "/graphql", {"content-type": "text/plain"}),
    ("OPTIONS", "/graphql", {}),
    ("GET", "/schema.graphql", {}),
    ("GET", "/graphiql/start.js", {}),
    ("GET", "/preview/x", {}),
    ("GET", "/health/live", {}),
    ("GET", "/health/ready", {}),
    ("GET", "/nothing/here", {}),
    ("GET", "/%00", {}),
    ("DELETE", "/graphql", {"origin": "https://evil.example.net"}),
]


@pytest.mark.parametrize(("method", "path", "headers"), ANSWERS, ids=str)
async def test_every_answer_has_them(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    response = await http.request(method, path, headers=headers)
    for name in SECURITY_HEADERS:
        assert response.headers.get(name), name
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "server" not in response.headers
    assert "x-powered-by" not in response.headers
    assert "strict-transport-security" not in response.headers


async def test_an_unexpected_failure_has_them_too(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(Settings.from_env(environment))
    transport = httpx.ASGITransport(app)
    # Without the lifespan there are no resources: a failure that nobody foresaw.
    async with httpx.AsyncClient(transport=transport, base_url="http://a.test") as http:
        response = await http.post("/graphql", json={"query": "{ __typename }"})
    assert response.status_code == 500
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.json()["errors"][0]["message"] == "Something went wrong here."


@pytest.fixture
async def production(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    settings = {
        **environment,
        "ENVIRONMENT": "production",
        "FLUX_URL": "https://flux.example.com",
        "CLIENT_BASE_URL": "https://conduit.example.com",
    }
    app = create_app(Settings.from_env(settings))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="https://a.test"
        ) as client,
    ):
        yield client


async def test_production_insists_on_https_and_shows_neither_page_nor_schema(
    production: httpx.AsyncClient,
) -> None:
    response = await production.get("/graphql", headers={"accept": "text/html"})
    assert response.status_code == 406
    assert response.headers["strict-transport-security"].startswith("max-age=")
    for path in (
        "/",
        "/schema.graphql",
        "/graphiql/start.js",
        "/docs",
        "/openapi.json",
    ):
        assert (await production.get(path)).status_code == 404
    body = {"query": "{ __schema { types { name } } }"}
    answer = (await production.post("/graphql", json=body)).json()
    assert "data" not in answer


def test_a_server_process_names_no_software(sandbox: Sandbox) -> None:
    with server_process(sandbox) as url:
        for answer in (
            httpx.get(f"{url}/health/live"),
            httpx.post(f"{url}/graphql", content=b"x"),
            httpx.request("BREW", f"{url}/graphql"),
        ):
            assert "server" not in answer.headers
            assert "uvicorn" not in answer.text.lower()
