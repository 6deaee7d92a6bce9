"""The recipes of docs/nextjs.md: TypeScript takes them, and they do what they say.

Each block of code is a file, named by its first line. They are compiled against the
little of Next.js and of the code generator that they use (tests/interop_nextjs/stubs),
and then run: one visitor, through the rewrites, against a server over the sandbox.
With NEXTJS_CODEGEN=1 (`make nextjs`) the real code generator makes the types first, so
every field that a recipe reads is checked too.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLError, parse, validate
from own_conduit import OwnConduit
from processes_harness import running_servers

from harness import PASSWORD, ROOT, Sandbox
from schema import schema

ASSETS = ROOT / "tests" / "interop_nextjs"
PAGE = (ROOT / "docs" / "nextjs.md").read_text()
# Path → text, by the comment in the first line of a block.
FILES = dict(re.findall(r"```ts\n// (\S+)\n(.*?)```", PAGE, re.DOTALL))
DOCUMENTS = re.findall(r"graphql\(`(.*?)`\)", PAGE, re.DOTALL)
ORIGIN = "http://app.example.com"
GENERATES = os.environ.get("NEXTJS_CODEGEN") == "1"
COMPILER_OPTIONS = {
    "strict": True,
    "noImplicitOverride": True,
    "skipLibCheck": True,
    "module": "commonjs",
    "moduleResolution": "node",
    "esModuleInterop": True,
    "target": "es2022",
    "lib": ["es2022", "dom", "dom.iterable"],
    "types": [],
    "outDir": "out",
    "rootDir": ".",
}


def test_every_block_of_code_is_a_file_that_is_tried() -> None:
    assert len(FILES) == PAGE.count("```ts") == PAGE.count("```") // 2
    assert set(FILES) == {
        *("next.config.ts", "codegen.ts"),
        *(f"lib/{name}.ts" for name in ("mainstem", "browser", "session")),
        *(f"lib/{name}.ts" for name in ("lists", "writes", "upload")),
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda text: text.split()[1])
def test_a_document_of_the_page_is_valid(document: str) -> None:
    errors: list[GraphQLError] = validate(schema._schema, parse(document))
    assert errors == []


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the application, its code compiled by TypeScript."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: no TypeScript")
    folder = tmp_path_factory.mktemp("nextjs")
    packages = ASSETS / "codegen" if GENERATES else ASSETS
    for name in ("package.json", "package-lock.json"):
        shutil.copy(packages / name, folder)
    for path, text in FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    shutil.copy(ASSETS / "run.cjs", folder)
    shutil.copy(ASSETS / "stubs" / "globals.d.ts", folder)
    shutil.copy(ROOT / "schema" / "schema.graphql", folder)
    options = {"compilerOptions": COMPILER_OPTIONS, "exclude": ["node_modules", "out"]}
    (folder / "tsconfig.json").write_text(json.dumps(options))
    run(folder, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
    shutil.copytree(ASSETS / "stubs" / "next", folder / "node_modules" / "next")
    if GENERATES:
        run(folder, "npx", "graphql-codegen", "--config", "codegen.ts")
    else:
        shutil.copytree(ASSETS / "stubs" / "gql", folder / "lib" / "gql")
        shutil.copy(ASSETS / "stubs" / "codegen-cli.d.ts", folder)
    run(folder, "npx", "tsc", "--project", "tsconfig.json")
    return folder


def run(folder: Path, *command: str, **environment: str) -> str:
    """What the command printed; it must succeed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


@pytest.mark.node
async def test_the_recipes_do_what_the_page_says(
    compiled: Path, sandbox: Sandbox, conduit: OwnConduit
) -> None:
    me = conduit.join("me")
    for number in range(25):
        cover = conduit.state.add_file(f"{number}.txt", b"x", mime_type="text/plain")
        conduit.state.add_post(f"post {number}", me, cover_file=cover["_id"])
    environment = {**conduit.environment, "CORS_ORIGINS": ORIGIN}
    async with running_servers(sandbox, 1, **environment) as servers:
        # In a thread: this one serves Conduit.
        printed = await asyncio.to_thread(
            run,
            compiled,
            *("node", "run.cjs"),
            MAINSTEM_URL=servers.urls[0],
            EMAIL="me@example.com",
            PASSWORD=PASSWORD,
            ORIGIN=ORIGIN,
        )
    said: Any = json.loads(printed)
    assert said["before"] is said["after"] is None
    assert said["refused"] == "The e-mail address or the password is wrong."
    assert said["signedIn"] is None
    assert said["viewer"]["email"] == "me@example.com"
    pages = [said["posts"]["nodes"], said["nextPosts"]["nodes"]]
    assert [len(page) for page in pages] == [20, 5]
    assert {post["author"]["username"] for post in pages[0]} == {"me"}
    created = said["created"]
    assert created["__typename"] == "CreateNoteSuccess"
    assert said["again"] == created
    invalid = said["invalid"]
    assert (invalid["__typename"], invalid["field"]) == ("InvalidInput", "postId")
    assert said["post"]["notes"]["nodes"] == [{"body": "from a form"}]
    assert said["notes"]["totalCount"] == 1
    assert said["notes"]["nodes"][0]["post"]["id"] == pages[0][0]["id"]
    (uploaded,) = (
        file
        for file in conduit.state.collections["File"].in_order()
        if file["name"] == "größe.txt"
    )
    assert said["uploaded"]
    assert (uploaded["size"], uploaded["mimeType"]) == (5, "text/plain")
    assert said["preview"]["status"] == 200
    assert said["preview"]["type"].startswith("text/plain")
    assert said["notesAfter"] is None
