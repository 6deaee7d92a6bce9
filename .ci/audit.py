"""Asks for known advisories about every locked dependency: `make audit`.

pip-audit runs in an environment of its own (`audit.lock`) over both lock files. Exits
with 1 when an advisory is known. Where the advisory data cannot be reached it says that
nothing was audited, and how many packages that were, and exits with 0: a network that
is shut must not stop a change, and must not look like a clean audit either.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOL_LOCK = ROOT / ".ci" / "audit.lock"
AUDITED = ("requirements.lock", "requirements-dev.lock")
LIMIT_S = 300


def main() -> int:
    try:
        program = environment() / "bin" / "pip-audit"
    except subprocess.CalledProcessError as error:
        print(f"NOT AUDITED: pip-audit cannot be installed ({error})")
        return 0
    known = 0
    for name in AUDITED:
        try:
            found = audit(program, ROOT / name)
        except (subprocess.TimeoutExpired, ValueError) as error:
            print(f"{name}: NOT AUDITED, advisory data out of reach ({error})")
            continue
        skipped = [each for each in found if "skip_reason" in each]
        hit = [each for each in found if each.get("vulns")]
        print(f"{name}: {len(found) - len(skipped)} of {len(found)} packages audited")
        if skipped:
            print(f"{name}: NOT AUDITED: {len(skipped)}, advisory data out of reach")
        for each in hit:
            ids = ", ".join(advisory["id"] for advisory in each["vulns"])
            print(f"{name}: {each['name']} {each['version']}: {ids}")
        known += len(hit)
    return int(known > 0)


def audit(program: Path, lock: Path) -> list[dict[str, object]]:
    """Every package with its advisories, or the reason why none could be asked for.

    Raises: ValueError, subprocess.TimeoutExpired.
    """
    command = [program, "--requirement", lock, "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, timeout=LIMIT_S)
    # 1 also tells of advisories: the output is what counts.
    try:
        found: list[dict[str, object]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ValueError("".join(last)[:200]) from None
    return found


def environment() -> Path:
    """pip-audit, installed by hash once for each lock file of its own."""
    digest = hashlib.sha256(TOOL_LOCK.read_bytes()).hexdigest()[:12]
    folder = ROOT / ".build" / f"audit-{digest}"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [folder / "bin/python", "-m", "pip", "install", "--quiet"]
        install += ["--disable-pip-version-check", "--require-hashes"]
        install += ["--only-binary", ":all:", "-r", TOOL_LOCK]
        subprocess.run(install, check=True)
        (folder / "ready").touch()
    return folder


if __name__ == "__main__":
    sys.exit(main())
