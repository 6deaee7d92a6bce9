"""Starts the guide's application with the real npm packages."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import Sandbox

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def npm_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the application and its packages, by the lock file."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: no round trip with the real iron-session")
    folder = tmp_path_factory.mktemp("interop")
    for name in ("package.json", "package-lock.json", "guide_app.mjs"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return folder


StartApp = Callable[..., str]


@pytest.fixture
def start_guide_app(npm_packages: Path, sandbox: Sandbox) -> Iterator[StartApp]:
    """Start it for one version of iron-session; gives its address."""
    started: list[subprocess.Popen[str]] = []

    def start(version: int, *, secret: str = "", secure: bool = False) -> str:
        process = subprocess.Popen(
            ["node", "guide_app.mjs"],
            cwd=npm_packages,
            env=os.environ
            | {
                "IRON_SESSION": str(version),
                "SESSION_SECRET": secret or sandbox.session_secret,
                "REDIS_SOCKET": sandbox.redis.removeprefix("unix://"),
                "CONDUIT": sandbox.conduit,
                "SECURE": "1" if secure else "0",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return f"http://127.0.0.1:{process.stdout.readline().strip()}"

    yield start
    for process in started:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
