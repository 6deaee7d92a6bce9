"""The call table: upstream calls of each named operation, counted at the stand-ins.

Called by `__main__.py`. Starts the sandbox's stand-ins and our server, signs in as
the demo person and asks each operation with 1, 20 and 100 rows; the number of calls
must be the promised one whatever the number of rows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .load import Credentials
from .operations import COUNTED, MOST_OF_EACH_KIND, Counted, KnownIds
from .servers import OURS, Running, Surroundings, start
from .stand_ins import StandIns, ask, stand_ins

ROWS = (1, 20, 100)
PASSWORD = "mainstem-demo"  # noqa: S105 - the demo accounts' public one
PERSON = ("first@example.com", PASSWORD)
# Production would refuse the demo's secrets; the calls are the same.
SERVER = replace(OURS, env={**OURS.env, "ENVIRONMENT": "development"})
# Writes the further posts; signing in again would end the session of PERSON.
OTHER_PERSON = ("second@example.com", PASSWORD)
FURTHER_POSTS = 60


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


def count_calls() -> list[Count]:
    """The whole table. Raises: ProgramError, AnswerError, OSError."""
    with stand_ins() as upstreams:
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
