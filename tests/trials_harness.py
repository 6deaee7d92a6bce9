"""The short form of a trial, over the real stand-ins and our real server.

The full forms are `make soak`, `make chaos` and `make connections`. Each has a file of
its own, so that two of them can run at a time.
"""

import json
import subprocess
import sys
from typing import Any

from harness import ROOT


def run_trial(*arguments: str) -> dict[str, Any]:
    """The figures of a trial that missed no bar."""
    ran = subprocess.run(
        [sys.executable, "-m", "trials", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])  # type: ignore[no-any-return]
