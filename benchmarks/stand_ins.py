"""The sandbox's stand-ins as a child process, seen from outside.

Used by `calls.py` and by the trials.
"""

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import redis

from .processes import Program

READY_S: Final = 90.0
# One read of the record: whatever RedisVault.resolve sends beside it is one trip.
RECORD_READS: Final = ("cmdstat_get", "cmdstat_getex")
NO_HEADERS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class StandIns:
    """The sandbox's upstreams, from outside."""

    flux: str
    conduit: str
    files: str
    admin: str
    redis: str
    flux_jwt_secret: str = field(repr=False)
    admin_master_key: str = field(repr=False)
    admin_user: str
    admin_password: str = field(repr=False)
    program: Program = field(repr=False)

    def forget(self) -> None:
        for url in (self.flux, self.conduit):
            ask(url, "DELETE", "/_sandbox/requests")

    def calls(self, url: str) -> int:
        found = ask(url, "GET", "/_sandbox/requests")
        if not isinstance(found, list):
            raise TypeError(f"not a list of requests: {found!r:.100}")
        return len(found)

    def record_reads(self) -> int:
        with redis.Redis.from_url(self.redis) as store:
            stats: Mapping[str, Mapping[str, int]] = store.info("commandstats")
        return sum(int(stats[name]["calls"]) for name in RECORD_READS if name in stats)


@contextmanager
def stand_ins(*options: str) -> Iterator[StandIns]:
    """Started on free ports without rate limits; `options` are the sandbox's own."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "sandbox", "--upstreams-only", "--unlimited"]
        command += ["--flux-port", "0", "--conduit-port", "0", "--files-port", "0"]
        command += ["--admin-port", "0"]
        command += ["--ready-file", str(ready), *options]
        with Program("sandbox", command) as sandbox:
            deadline = time.monotonic() + READY_S
            while not ready.exists():
                if not sandbox.running:
                    raise sandbox.failure("ended while starting")
                if time.monotonic() > deadline:
                    raise sandbox.failure(f"was not ready after {READY_S:.0f} s")
                time.sleep(0.05)
            found = json.loads(ready.read_text())
            names = set(StandIns.__dataclass_fields__) - {"program"}
            yield StandIns(**{name: found[name] for name in names}, program=sandbox)


def ask(
    url: str,
    method: str,
    target: str,
    body: object = None,
    *,
    token: object = None,
    more_headers: Mapping[str, str] = NO_HEADERS,
) -> object:
    """One call of a stand-in. Raises: OSError, also for any status but a 2xx."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    headers = {"Content-Type": "application/json", **more_headers}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, target, sent, headers)
        response = connection.getresponse()
        raw = response.read()
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise OSError(f"{method} {target}: {response.status} {raw[:300]!r}")
    found: object = json.loads(raw) if raw else None
    return found
