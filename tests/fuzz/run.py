"""Random operations by two people: schemathesis over the sandbox and the server.

`make fuzz` runs 5,000 cases (about 8 minutes), `make fuzz ARGS="--cases 500"` fewer.
schemathesis lives in an environment of its own under `.build/`, made from
`requirements.lock`; what it is told of this graph is in `hooks.py`. Exits with 1 at any
failure: an answer that is no 200, an error that docs/errors.md does not promise, a
valid operation that is refused or an invalid one that runs, a note that is seen by
somebody else.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from harness import ROOT, Sandbox, server_process, wait_for  # noqa: E402
from schema import schema  # noqa: E402

LOCK = HERE / "requirements.lock"
# Signing in is one of the operations, and is done again after each sign-out.
MANY_SIGN_INS = {"SIGN_IN_PER_ACCOUNT": "100000", "SIGN_IN_PER_ADDRESS": "100000"}


# Of a hundred cases, how many fit the schema, and how many must be refused. Some
# operations have nothing that could be wrong, so a few more are asked for.
SHARES = {"positive": 85, "negative": 20}


def main() -> int:
    options = parse_options()
    program = environment() / "bin" / "schemathesis"
    failed, cases = False, 0
    with (
        tempfile.TemporaryDirectory() as folder,
        own_sandbox(Path(folder)) as sandbox,
        server_process(sandbox, **MANY_SIGN_INS) as server,
    ):
        for mode, share in SHARES.items():
            figures = Path(folder, f"{mode}.json")
            more = {"FUZZ_SERVER": server, "FUZZ_FIGURES": str(figures)}
            more |= {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
            chosen = arguments(options.cases * share // 100, options.seed)
            done = subprocess.run(
                [program, "run", f"{server}/graphql", f"--mode={mode}", *chosen],
                cwd=folder,
                env={**os.environ, **more},
            )
            failed |= done.returncode != 0
            print(mode, figures.read_text())
            cases += sum(json.loads(figures.read_text())["cases"].values())
    print(f"{cases} cases, {'with failures' if failed else 'no failure'}")
    return int(failed or cases < options.cases)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def arguments(cases: int, seed: int) -> list[str]:
    """Of the command line: so many cases, shared among the operations of the graph."""
    graph = schema._schema
    roots = (graph.query_type, graph.mutation_type)
    operations = sum(len(root.fields) for root in roots if root is not None)
    return [
        f"--max-examples={-(-cases // operations) + 1}",
        f"--seed={seed}",
        "--generation-database=none",
        "--continue-on-failure",
        "--request-timeout=30",
        "--warnings=off",
        "--no-color",
    ]


def environment() -> Path:
    """schemathesis and what it needs, installed by hash once for each lock file."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    folder = ROOT / ".build" / f"fuzz-{digest}"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [folder / "bin/python", "-m", "pip", "install", "--quiet"]
        install += ["--disable-pip-version-check", "--require-hashes"]
        install += ["--only-binary", ":all:", "-r", LOCK]
        subprocess.run(install, check=True)
        (folder / "ready").touch()
    return folder


@contextmanager
def own_sandbox(folder: Path) -> Iterator[Sandbox]:
    """Upstreams without rate limits, on free ports."""
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "sandbox", "--upstreams-only", "--unlimited"]
    for port in ("--flux-port", "--conduit-port", "--files-port", "--admin-port"):
        command += [port, "0"]
    with subprocess.Popen([*command, "--ready-file", str(ready)], cwd=ROOT) as process:
        try:
            wait_for(ready, process)
            with httpx.Client(trust_env=False) as http:
                yield Sandbox(**json.loads(ready.read_text()), http=http)
        finally:
            process.terminate()
            process.wait(60)


if __name__ == "__main__":
    sys.exit(main())
