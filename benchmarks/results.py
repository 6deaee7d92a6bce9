"""Keeps the figures of a run, with all that they depend on, when asked to (`--save`).

Written by `__main__.py`, read by `chart.py` and `page.py`. One file per day in
`benchmarks/results/`; a second run of a day replaces the first.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .figures import CostReport, Window
from .processes import ROOT

FOLDER = Path(__file__).parent / "results"
PACKAGES = (
    *("strawberry-graphql", "graphql-core", "fastapi", "starlette", "uvicorn"),
    *(
        "uvloop",
        "httptools",
        "httpx",
        "redis",
        "aiodataloader",
        "msgspec",
        "orjson",
        "pyreqwest",
    ),
)


def save(figures: Mapping[str, object]) -> Path:
    """Write today's file and return its path."""
    today = datetime.now(UTC).date().isoformat()
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{today}.json"
    content = {"date": today, **versions(), **figures}
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def newest() -> Path | None:
    """The file of the last day that has one."""
    return max(FOLDER.glob("*.json"), default=None)


def read(path: Path) -> dict[str, Any]:
    """A saved file. Any: it is JSON whose shape `save` and its callers know."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def cost_of(saved: Mapping[str, Any]) -> CostReport:
    """The windows of a saved file, for medians and ratios."""
    return CostReport([Window(**window) for window in saved.get("windows", [])])


def versions() -> dict[str, object]:
    """Commit, machine, interpreter and packages."""
    return {
        "commit": _commit(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "kernel": platform.release(),
        },
        "python": sys.version,
        "packages": {name: version(name) for name in PACKAGES},
    }


def _commit() -> str | None:
    """The commit of the checkout; marked if files were changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _processor() -> str | None:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return None
