"""graphql-core's own executor tests, run with our executor in its place.

Its source distribution is fetched from the package index when this test runs and
never kept. `core_failures.txt` lists the tests that do not pass, with the reason.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
REQUIREMENT = f"graphql-core=={version('graphql-core')}"


def listed() -> set[str]:
    """The tests that are known not to pass: file and last part of the name."""
    lines = (HERE / "core_failures.txt").read_text().splitlines()
    names = [line.split("\t")[0] for line in lines if line and line[0] != "#"]
    return {short(name) for name in names}


def short(name: str) -> str:
    return f"{name.split('::')[0].rsplit('/')[-1]}::{name.rsplit('::')[-1]}"


def pip(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--no-deps", "-q"], check=True
    )


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says about graphql-core's tests of its executor."""
    folder = tmp_path_factory.mktemp("core")
    try:
        pip("download", "--no-binary", "graphql-core", REQUIREMENT, "-d", str(folder))
        # its tests are written as `describe` blocks
        pip("install", "pytest-describe==3.2.0", "--target", str(folder / "plugins"))
    except subprocess.CalledProcessError:
        pytest.skip("no package index: graphql-core's own tests were not run")
    with tarfile.open(next(folder.glob("graphql_core*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    source = next(folder.glob("graphql_core*/"))
    (folder / "pytest.ini").write_text("[pytest]\n")
    paths = [str(source), str(ROOT), str(folder / "plugins")]
    command = [
        *(sys.executable, "-m", "pytest", "tests/execution", "-q", "--tb=no"),
        *("-p", "pytest_describe", "-p", "tests_engine_core_plugin"),
        *("-c", str(folder / "pytest.ini"), "--rootdir", str(source)),
    ]
    (folder / "plugins" / "tests_engine_core_plugin.py").write_text(
        (HERE / "core_plugin.py").read_text()
    )
    done = subprocess.run(
        command,
        cwd=source,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_passes_the_executor_tests_of_graphql_core(output: str) -> None:
    failed = {short(name) for name in re.findall(r"^FAILED (\S+)", output, re.M)}
    assert failed == listed()
    assert int(re.findall(r"(\d+) passed", output)[0]) > 700


def test_runs_them_by_plans(output: str) -> None:
    assert int(re.findall(r"by plan: (\d+)", output)[0]) > 300
