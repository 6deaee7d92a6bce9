"""The documentation says what the code does."""

import importlib
import json
import re
from pathlib import Path

import pytest
from graphql import parse, print_ast

from harness import ROOT, Caller
from schema.errors import ErrorCode
from server.refusals import RefusalCode
from server.variables import VARIABLES

DOCS = ROOT / "docs"
RECORDINGS = {
    "flux": ROOT / "tests/sandbox/flux/recordings_left_out.json",
    "conduit": ROOT / "tests/sandbox/conduit/left_out.json",
}


def test_every_error_code_is_explained() -> None:
    text = (DOCS / "errors.md").read_text()
    codes = {str(code) for kind in (ErrorCode, RefusalCode) for code in kind}
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert explained == codes


def test_every_setting_stands_in_the_documentation_with_its_default() -> None:
    text = (DOCS / "configuration.md").read_text()
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else "none"
        name = ", ".join(f"`{each}`" for each in (variable.name, *variable.aliases))
        assert f"| {name} | {default} | {variable.meaning} |" in text, variable.name
    named = set(re.findall(r"^\| `([A-Z_]+)`", text, re.MULTILINE))
    assert named == {variable.name for variable in VARIABLES}


@pytest.mark.parametrize("path", sorted(RECORDINGS), ids=str)
def test_every_recording_left_out_of_the_replay_is_listed_with_its_reason(
    path: str,
) -> None:
    text = (DOCS / "upstreams.md").read_text()
    for reason in reasons(json.loads(RECORDINGS[path].read_text())):
        assert reason in text


def test_every_link_and_picture_leads_to_a_file() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), (page.name, target)


def test_the_architecture_names_every_package() -> None:
    text = (DOCS / "architecture.md").read_text()
    for package in sorted(ROOT.glob("*/__init__.py")):
        assert f"`{package.parent.name}/`" in text, package.parent.name
        assert importlib.import_module(package.parent.name).__doc__


def test_every_decision_is_numbered_once_and_has_the_parts_of_a_decision() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text()
        for part in ("**Context.**", "**Decision.**", "**Consequences.**"):
            assert part in text, (page.name, part)


async def test_the_readmes_query_is_graphiqls_first_and_answers(first: Caller) -> None:
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"```graphql\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    start = (ROOT / "server/graphiql/static/start.graphql").read_text()
    assert print_ast(parse(found[1])) == print_ast(parse(start))
    data = await first.data(found[1])
    assert len(data["posts"]["nodes"]) == len(data["notes"]["nodes"]) == 20
    assert data["viewer"]["email"] == "first@example.com"


async def test_the_readmes_curl_bodies_answer(anonymous: Caller) -> None:
    readme = (ROOT / "README.md").read_text()
    bodies = re.findall(r"-d '\s*(\{.*?\})'", readme, re.DOTALL)
    assert len(bodies) == 2
    for body in bodies:
        response = await anonymous.http.post(
            "/graphql", content=body, headers={"content-type": "application/json"}
        )
        assert "errors" not in response.json()


def test_no_page_speaks_of_a_machine() -> None:
    for page in (*ROOT.glob("*.md"), *DOCS.rglob("*.md")):
        assert not re.search(r"/(?:root|home|work)/", page.read_text()), page


def reasons(value: object) -> list[str]:
    """All texts within a tree of JSON."""
    if isinstance(value, str):
        return [value]
    assert isinstance(value, dict)
    return [reason for each in value.values() for reason in reasons(each)]


def test_reasons_finds_texts_at_any_depth() -> None:
    assert reasons({"a": {"b": "x"}, "c": "y"}) == ["x", "y"]
    assert Path(RECORDINGS["flux"]).exists()
