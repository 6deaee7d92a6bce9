"""`python -m provision`: compares a Conduit with conduit-init.json, or brings it there.

Reads its credentials from the environment: CONDUIT_ADMIN_URL, CONDUIT_MASTER_KEY,
CONDUIT_ADMIN_USER, CONDUIT_ADMIN_PASSWORD; optional: CLIENT_BASE_URL (where the client
API is seen from here), CONDUIT_CLIENT_ID and CONDUIT_CLIENT_SECRET, CA_BUNDLE.

Exit codes: 0 everything is in order, 1 it is not (--check), 2 it could not be done.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .access import Access, AccessError
from .admin_api import AdminError
from .command import FAILED, Options, run
from .records import ShapeError, read_declared
from .routes import RouterError

INIT_FILE = Path(__file__).resolve().parent.parent / "conduit-init.json"


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m provision",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="only compare")
    mode.add_argument("--apply", action="store_true", help="compare, then add")
    parser.add_argument("--file", type=Path, default=INIT_FILE, metavar="PATH")
    parser.add_argument(
        "--timeout",
        type=float,
        default=30,
        metavar="SECONDS",
        help="for one call (default 30)",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=60,
        metavar="SECONDS",
        help="for changes to be seen and for new routes to answer (default 60)",
    )
    given = parser.parse_args(arguments)
    return Options(given.apply, given.file, given.timeout, given.wait)


def main(
    arguments: Sequence[str] | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Run; every expected failure is a clear line and code 2."""
    options = parse(arguments)
    try:
        access = Access.from_env(os.environ if env is None else env)
    except AccessError as error:
        for mistake in error.mistakes:
            print(mistake, file=sys.stderr)
        return FAILED

    def say(text: str) -> None:
        print(access.hidden(text), flush=True)

    try:
        declared = read_declared(options.file)
        return asyncio.run(run(options, declared, access, say))
    except (AdminError, RouterError, ShapeError, OSError) as error:
        print(access.hidden(str(error)), file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
