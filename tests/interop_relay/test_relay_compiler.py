"""Relay's own compiler accepts the graph: pagination, refetching, connections."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import ROOT, Caller

pytestmark = pytest.mark.node
HERE = Path(__file__).resolve().parent
OPERATIONS = {
    "PostsPageQuery",
    "PostsListPaginationQuery",
    "PostsItemRefetchQuery",
    "PostsViewerPaginationQuery",
    "PostsOneQuery",
    "PostsCreateMutation",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The texts of the operations that the compiler made, by name."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: no relay-compiler")
    folder = tmp_path_factory.mktemp("relay")
    for name in ("package.json", "package-lock.json", "relay.config.json"):
        shutil.copy(HERE / name, folder)
    shutil.copytree(HERE / "src", folder / "src")
    shutil.copy(ROOT / "schema/schema.graphql", folder)
    install = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    for command in (install, ["npx", "relay-compiler", "relay.config.json"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
    made = {}
    for path in (folder / "src/__generated__").glob("*.graphql.js"):
        text = path.read_text()
        if '"text": "' in text:
            line = text.split('"text": ')[1].split("\n")[0].rstrip(",")
            made[path.name.removesuffix(".graphql.js")] = json.loads(line)
    return made


def test_the_compiler_makes_every_operation(compiled: dict[str, str]) -> None:
    assert set(compiled) == OPERATIONS


async def test_what_it_made_answers(compiled: dict[str, str], first: Caller) -> None:
    page = await first.data(compiled["PostsPageQuery"], count=3)
    edges = page["posts"]["edges"]
    assert len(edges) == 3
    after = page["posts"]["pageInfo"]["endCursor"]
    more = await first.data(compiled["PostsListPaginationQuery"], count=3, after=after)
    ids = [edge["node"]["id"] for edge in edges + more["posts"]["edges"]]
    assert len(set(ids)) == 6
    item = await first.data(compiled["PostsItemRefetchQuery"], id=ids[0], notes=2)
    assert item["node"]["__typename"] == "Post"
    viewer = await first.data(compiled["PostsViewerPaginationQuery"], last=2)
    assert len(viewer["viewer"]["notes"]["edges"]) == 2
    assert (await first.data(compiled["PostsOneQuery"], id=ids[1]))["node"]["title"]
