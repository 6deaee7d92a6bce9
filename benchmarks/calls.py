"""The call table: upstream calls of each named operation, counted at the stand-ins.

Called by `__main__.py`. Starts the sandbox's stand-ins and our server, signs in as
the demo person and asks each operation with 1, 20 and 100 rows; the number of calls
must be the promised one whatever the number of rows.
"""

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import redis

from .load import Credentials
from .operations import COUNTED, MOST_OF_EACH_KIND, Counted, KnownIds
from .processes import Program
from .servers import OURS, Running, Surroundings, start

ROWS = (1, 20, 100)
READY_S = 90.0
PASSWORD = "mainstem-demo"  # noqa: S105 - the demo accounts' public one
PERSON = ("first@example.com", PASSWORD)
# Production would refuse the demo's secrets; the calls are the same.
SERVER = replace(OURS, env={**OURS.env, "ENVIRONMENT": "development"})
# Writes the further posts; signing in again would end the session of PERSON.
OTHER_PERSON = ("second@example.com", PASSWORD)
FURTHER_POSTS = 60
# One read of the record: whatever RedisVault.resolve sends beside it is one trip.
RECORD_READS = ("cmdstat_get", "cmdstat_getex")


@dataclass(frozen=True, slots=True)
class Count:
    """One operation with one number of rows."""

    operation: Counted
    rows: int
    answered: int
    flux: int
    conduit: int
    vault_reads: int

    @property
    def total(self) -> int:
        return self.flux + self.conduit

    @property
    def as_promised(self) -> bool:
        return self.total == self.operation.promised and self.vault_reads == 1

    def as_json(self) -> dict[str, object]:
        """For the saved file."""
        return {
            "operation": self.operation.title,
            "rows": self.rows,
            "flux": self.flux,
            "conduit": self.conduit,
            "promised": self.operation.promised,
            "vault_reads": self.vault_reads,
        }


@dataclass(frozen=True, slots=True)
class StandIns:
    """The sandbox's upstreams, from outside."""

    flux: str
    conduit: str
    redis: str
    flux_jwt_secret: str

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


def count_calls() -> list[Count]:
    """The whole table. Raises: ProgramError, AnswerError, OSError."""
    with _stand_ins() as upstreams:
        around = Surroundings(
            flux=upstreams.flux,
            conduit=upstreams.conduit,
            redis=upstreams.redis,
            flux_jwt_secret=upstreams.flux_jwt_secret,
        )
        running = start(SERVER, around, core=None)
        try:
            person = running.sign_in(*PERSON)
            counts = _counts(running, person, upstreams, ROWS[:-1])
            _write_further_posts(upstreams.conduit)
            return counts + _counts(running, person, upstreams, ROWS[-1:])
        finally:
            running.program.stop()


def _counts(
    running: Running, person: Credentials, upstreams: StandIns, rows: Sequence[int]
) -> list[Count]:
    found = json.loads(running.ask("ids_of_three_kinds", {}, person).body)
    ids = KnownIds.of(found["data"])
    return [
        _count(running, person, upstreams, operation, number, ids)
        for operation in COUNTED
        for number in rows
    ]


def _count(
    running: Running,
    person: Credentials,
    upstreams: StandIns,
    operation: Counted,
    rows: int,
    ids: KnownIds,
) -> Count:
    variables = operation.variables(rows, ids)
    upstreams.forget()
    reads = upstreams.record_reads()
    answer = running.ask(operation.document, variables, person)
    return Count(
        operation=operation,
        rows=rows,
        answered=_rows_in(json.loads(answer.body)["data"]),
        flux=upstreams.calls(upstreams.flux),
        conduit=upstreams.calls(upstreams.conduit),
        vault_reads=upstreams.record_reads() - reads,
    )


def _rows_in(data: Mapping[str, object]) -> int:
    """Rows of the first list: of one kind where `nodes` mixes three."""
    if isinstance(nodes := data.get("nodes"), list):
        return sum(node is not None for node in nodes) // 3
    first = data.get("posts") or data.get("notes")
    return len(first["nodes"]) if isinstance(first, dict) else 0


def expected_rows(count: Count) -> int:
    """What was asked for, as far as the operation allows."""
    of_three_kinds = count.operation.document == "nodes_of_three_kinds"
    return min(count.rows, MOST_OF_EACH_KIND) if of_three_kinds else count.rows


@contextmanager
def _stand_ins() -> Iterator[StandIns]:
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "sandbox", "--upstreams-only", "--unlimited"]
        command += ["--flux-port", "0", "--conduit-port", "0", "--files-port", "0"]
        command += ["--admin-port", "0"]
        command += ["--ready-file", str(ready)]
        with Program("sandbox", command) as sandbox:
            deadline = time.monotonic() + READY_S
            while not ready.exists():
                if not sandbox.running:
                    raise sandbox.failure("ended while starting")
                if time.monotonic() > deadline:
                    raise sandbox.failure(f"was not ready after {READY_S:.0f} s")
                time.sleep(0.05)
            found = json.loads(ready.read_text())
            yield StandIns(
                **{name: found[name] for name in StandIns.__dataclass_fields__}
            )


def _write_further_posts(conduit: str) -> None:
    """The demo has 60 posts; the last column asks for 100."""
    email, password = OTHER_PERSON
    signed_in = ask(
        conduit,
        "POST",
        "/authentication/local",
        {"email": email, "password": password},
    )
    if not isinstance(signed_in, dict):
        raise TypeError("the stand-in did not sign in")
    token = signed_in["accessToken"]
    query = "/database/Post?skip=0&limit=40&sort=-createdAt,-_id"
    page = ask(conduit, "GET", query, token=token)
    if not isinstance(page, dict):
        raise TypeError("the stand-in gave no page of posts")
    kept = ("body", "author", "coverFile")
    docs = [
        {
            "title": f"Further post {number}",
            **{
                name: document[name]
                for name in kept
                if (document := page["documents"][number % 40])[name] is not None
            },
        }
        for number in range(FURTHER_POSTS)
    ]
    ask(conduit, "POST", "/database/Post/many", {"docs": docs}, token=token)


def ask(
    url: str,
    method: str,
    target: str,
    body: object = None,
    *,
    token: object = None,
) -> object:
    """One call of a stand-in. Raises: OSError, also for any status but a 2xx."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    headers = {"Content-Type": "application/json"}
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
