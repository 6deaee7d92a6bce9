"""GraphiQL comes from this server alone, under a policy that allows nothing else."""

import hashlib
import re
from pathlib import Path

import httpx
import pytest
from graphql import parse, validate

from schema import schema
from server.app import create_app
from server.graphiql_page import FOLDER
from server.settings import Settings

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
VENDOR = FOLDER / "static" / "vendor"


async def test_a_browser_gets_the_page_and_its_policy(http: httpx.AsyncClient) -> None:
    response = await http.get("/graphql", headers=BROWSER)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    nonce = re.search(r"'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert f'nonce="{nonce[1]}"' in response.text
    again = await http.get("/graphql", headers=BROWSER)
    assert again.headers["content-security-policy"] != policy


async def test_every_file_of_the_page_is_here_and_no_script_is_inline(
    http: httpx.AsyncClient,
) -> None:
    page = (await http.get("/graphql", headers=BROWSER)).text
    paths = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(paths) >= 7
    for path in paths:
        assert path.startswith("/")
        assert (await http.get(path, headers=BROWSER)).status_code == 200
    assert re.search(r"<script(?![^>]* src=)|<style| on\w+=", page) is None
    assert "://" not in page


async def test_the_root_leads_to_the_page(http: httpx.AsyncClient) -> None:
    response = await http.get("/")
    assert response.status_code == 307
    assert response.headers["location"] == "/graphql"


async def test_production_serves_no_page(environment: dict[str, str]) -> None:
    app = create_app(Settings.from_env({**environment, "GRAPHIQL": "off"}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://a") as client,
    ):
        page = await client.get("/graphql", headers={"accept": "text/html"})
        assert page.status_code == 406
        for path in ("/", "/graphiql/graphiql-page.js"):
            assert (await client.get(path)).status_code == 404
        fine = await client.post("/graphql", json={"query": "{ __typename }"})
        assert fine.status_code == 200


async def test_the_schema_is_served_as_text(http: httpx.AsyncClient) -> None:
    response = await http.get("/schema.graphql")
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text == schema.as_str()


def test_our_files_name_no_other_host() -> None:
    ours = [*FOLDER.glob("*.html"), *(FOLDER / "static").glob("*.*")]
    assert len(ours) == 5
    for path in ours:
        found = re.findall(r"https?://[\w.]+", path.read_text())
        assert set(found) <= {"http://www.w3.org"}, path


@pytest.mark.parametrize("path", sorted(VENDOR.glob("*.min.*")), ids=lambda p: p.name)
def test_the_vendored_files_load_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    if path.suffix == ".css":
        addresses = re.findall(r"url\(['\"]?([^)]{0,60})", text)
        assert addresses
        assert [each for each in addresses if not each.startswith("data:")] == []
    assert re.search(r"@import|new Worker|importScripts", text) is None


def test_the_vendored_files_are_the_published_ones() -> None:
    sums = dict(
        reversed(line.split())
        for line in (VENDOR / "SHA256SUMS").read_text().splitlines()
    )
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path.suffix in {".js", ".css"}
    }
    assert sums == found
    licences = {path.name for path in VENDOR.glob("LICENSE.*")}
    assert licences == {
        "LICENSE.graphiql.txt",
        "LICENSE.react.txt",
        "LICENSE.react-dom.txt",
    }


def test_every_document_of_the_page_is_valid_in_our_schema() -> None:
    script = (FOLDER / "static" / "graphiql-page.js").read_text()
    documents = re.findall(r"`((?:query|mutation)[^`]+)`", script)
    assert len(documents) == 3
    documents.append((FOLDER / "static" / "start.graphql").read_text())
    for document in documents:
        assert validate(schema._schema, parse(document)) == []


def test_the_readme_names_the_vendored_versions() -> None:
    readme = Path(FOLDER / "README.md").read_text()
    react = (VENDOR / "react.production.min.js").read_text()
    assert "18.3.1" in react
    assert readme.count("18.3.1") == 2
    assert "4.1.2" in readme
