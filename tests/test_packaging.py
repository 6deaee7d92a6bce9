"""The packages come from the checkout; the lock files hold what is declared."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "schema",
    "resolvers",
    "session",
    "clients",
    "server",
    "engine",
    "provision",
    "sandbox",
    "benchmarks",
)


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_comes_from_the_checkout_and_says_what_lives_there(
    name: str,
) -> None:
    package = importlib.import_module(name)
    assert Path(str(package.__file__)).parent == ROOT / name
    assert package.__doc__
    assert len(package.__doc__.split()) > 8


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_file_pins_every_dependency_by_hash(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = list(project["project"]["dependencies"])
    if lock == "requirements-dev.lock":
        declared += project["dependency-groups"]["dev"]
    text = (ROOT / lock).read_text()
    pinned = set(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==", text, re.MULTILINE))
    wanted = {re.split(r"[<>=;\[ ]", line, maxsplit=1)[0] for line in declared}
    assert wanted <= pinned
    assert len(re.findall(r"--hash=sha256:", text)) >= len(pinned)
    assert "://" not in text


def test_every_runtime_dependency_has_its_reason_in_the_docs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (ROOT / "docs/dependencies.md").read_text()
    for line in (
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
    ):
        name = re.split(r"[<>=;\[ ]", line, maxsplit=1)[0]
        assert f"`{name}`" in text, name
