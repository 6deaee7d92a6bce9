"""The public audit of GraphQL over HTTP, run against a real server process."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import Sandbox, server_process

pytestmark = pytest.mark.node
HERE = Path(__file__).resolve().parent
AUDITS = 61


@pytest.fixture(scope="session")
def audit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the audit and its packages, by the lock file."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: no graphql-http audit")
    folder = tmp_path_factory.mktemp("audit")
    for name in ("package.json", "package-lock.json", "audit.mjs"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return folder


def audit(folder: Path, server: str) -> list[dict[str, str]]:
    """The results that are not `ok`, after a check that all audits ran."""
    command = ["node", "audit.mjs", f"{server}/graphql"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    results = json.loads(done.stdout)
    assert len(results) == AUDITS
    return [result for result in results if result["status"] != "ok"]


def test_every_audit_is_ok(audit_folder: Path, sandbox: Sandbox) -> None:
    with server_process(sandbox) as server:
        assert audit(audit_folder, server) == []


def test_without_introspection_only_the_audits_that_introspect_complain(
    audit_folder: Path, sandbox: Sandbox
) -> None:
    with server_process(sandbox, INTROSPECTION="off") as server:
        refused = audit(audit_folder, server)
    assert {"{variables}" in each["name"] for each in refused} == {True}


def test_the_draft_profile_fails_only_where_it_says_422_instead_of_400(
    audit_folder: Path, sandbox: Sandbox
) -> None:
    with server_process(sandbox, STATUS_PROFILE="draft") as server:
        refused = audit(audit_folder, server)
    assert refused != []
    assert {"400" in result["name"] for result in refused} == {True}
