"""Installs the peers into `.build/peers/`, once for each lock file.

Called by `table.py`. Everything comes through the machine's own clients (npm, apt) as
they are set up, by the versions in the lock files. Installing may fail for reasons that
are not ours: then a peer is missing, and the reason is told.
"""

import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import ROOT

SOURCES = Path(__file__).parent
BUILD = ROOT / ".build" / "peers"
INSTALL_S = 900.0
# What Tailcall's program was linked with, and the Debian suite that has it.
TAILCALL_LIBC = (2, 39)
SUITE_WITH_LIBC = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class MissingError(Exception):
    """A peer cannot be had here; the message tells why."""


def node_project(name: str) -> Path:
    """The folder of a project of ours with its packages. Raises: MissingError."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise MissingError("npm and Node are not installed")
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in (SOURCES / name).iterdir():
        shutil.copy(file, folder)
    stamp = folder / ".installed"
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != lock:
        # No package's own scripts: none of them is needed.
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        stamp.write_text(lock)
    return folder


def supergraph(folder: Path) -> None:
    """Compose Hive Gateway's supergraph, if its sources changed since."""
    made, source = folder / "supergraph.graphql", folder / "mesh.config.mjs"
    stamp = folder / ".composed"
    if made.exists() and stamp.exists() and stamp.read_text() == source.read_text():
        return
    command = ["node", "node_modules/.bin/mesh-compose", "-c", source.name]
    _run([*command, "-o", made.name], folder)
    stamp.write_text(source.read_text())


def tailcall(node: Path) -> tuple[str, ...]:
    """The command that starts Tailcall; under a newer loader where libc is too old.

    Raises: MissingError.
    """
    program = node / "node_modules/@tailcallhq/core-linux-x64-gnu/bin/tailcall"
    if not program.exists():
        raise MissingError("its package holds no program for this machine")
    name, version = platform.libc_ver()
    if name != "glibc":
        raise MissingError("it needs glibc")
    if tuple(int(part) for part in version.split(".")[:2]) >= TAILCALL_LIBC:
        return (str(program),)
    libraries = _newer_libc()
    loader = next(libraries.rglob("ld-linux-x86-64.so.2"))
    return (str(loader), "--library-path", str(loader.parent), str(program))


def _newer_libc() -> Path:
    """A C library unpacked beside the machine's own, which stays as it is.

    apt runs on folders of its own, so nothing is installed and root is not needed.
    """
    folder = BUILD / "libc"
    root = folder / "root"
    if root.exists():
        return root
    if shutil.which("apt-get") is None:
        raise MissingError(f"it needs glibc {'.'.join(map(str, TAILCALL_LIBC))}")
    for part in ("state/lists/partial", "cache/archives/partial", "packages"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    sources = folder / "sources.list"
    sources.write_text(
        f"deb [signed-by={KEYRING}] {_mirror()} {SUITE_WITH_LIBC} main\n"
    )
    options = [
        *(
            "-o",
            f"Dir::Etc::sourcelist={sources}",
            "-o",
            "Dir::Etc::sourceparts=/dev/null",
        ),
        *("-o", f"Dir::State={folder / 'state'}", "-o", "Dir::State::status=/dev/null"),
        *("-o", f"Dir::Cache={folder / 'cache'}", "-o", "APT::Sandbox::User="),
    ]
    _run(["apt-get", *options, "update"], folder)
    packages = folder / "packages"
    _run(["apt-get", *options, "download", "libc6", "libgcc-s1"], packages)
    unpacked = folder / "unpacked"
    for package in packages.glob("*.deb"):
        _run(["dpkg-deb", "-x", package.name, str(unpacked)], packages)
    return unpacked.rename(root)


def _mirror() -> str:
    """The mirror that apt is set up with."""
    target = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"]
    for line in _run(target, BUILD).splitlines():
        origin, _, address = line.partition(" ")
        if origin == "Debian":
            return address
    raise MissingError("it needs a newer glibc, and apt has no Debian to take it from")


def _run(command: Sequence[str], folder: Path) -> str:
    """Run to the end; its output. Raises: MissingError with the end of that."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_S,
        )
    except subprocess.CalledProcessError as error:
        raise MissingError(f"{command[0]} failed: {error.stdout[-600:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{command[0]} failed: {error}") from None
    return done.stdout


def versions() -> dict[str, str]:
    """Of Node and of the packages that we ask for."""
    found = {"node": _run(["node", "--version"], SOURCES).strip()}
    for manifest in sorted(SOURCES.glob("*/package.json")):
        found |= json.loads(manifest.read_text())["dependencies"]
    return found
