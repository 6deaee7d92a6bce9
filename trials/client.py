"""One client of the server: sends, and tells what came back in the graph's own terms.

Used by everything that asks. It repeats nothing: what a person is told is the point.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import httpx
import orjson

# The answers of our own server, looked into where they are used.
Json = Any

ANSWER_S: Final = 40.0
POOLS: Final = 16
PREFLIGHT: Final = {"GraphQL-Require-Preflight": "1"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as a client sees it. `open`: a write may have been done all the same.

    Codes of our own: CUT (asked, and the connection broke), REFUSED (nobody took the
    connection), SILENT (no answer in time), HTTP_… (an answer without a code).
    """

    code: str
    service: str | None = None
    open: bool = False


@dataclass(slots=True)
class Person:
    """A signed-in person; `headers` carry the session."""

    name: str
    user_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def email(self) -> str:
        return f"{self.name}@trial.example.com"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `status` is None when nothing did."""

    status: int | None
    body: bytes = b""
    problems: tuple[Problem, ...] = ()

    @property
    def json(self) -> Json:
        return orjson.loads(self.body) if self.body else {}

    @property
    def data(self) -> Json:
        """The data of an operation, {} if there is none."""
        return (self.json.get("data") or {}) if self.status == 200 else {}


class Client:
    """For all people, over pools that take turns.

    One pool is not enough: httpx looks through all connections and all that wait for
    each request, and with 300 of them that is all it does.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._pools = [
            httpx.AsyncClient(
                base_url=url,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
                timeout=ANSWER_S,
                trust_env=False,
            )
            for _ in range(POOLS)
        ]
        self._turns = itertools.cycle(self._pools)

    async def graphql(
        self, person: Person | None, query: str, **variables: Json
    ) -> Reply:
        """One operation."""
        body = orjson.dumps({"query": query, "variables": variables})
        kind = {"content-type": "application/json"}
        return await self._send("POST", "/graphql", person, content=body, headers=kind)

    async def multipart(
        self, person: Person, query: str, name: str, content: bytes
    ) -> Reply:
        """An operation with one file, `$input.file`."""
        operation = {
            "query": query,
            "variables": {"input": {"file": None, "name": name}},
        }
        parts = {
            "operations": (None, orjson.dumps(operation)),
            "map": (None, b'{"0": ["variables.input.file"]}'),
            "0": (name, content, "application/octet-stream"),
        }
        return await self._send(
            "POST", "/graphql", person, files=parts, headers=PREFLIGHT
        )

    async def put(self, person: Person, path: str, content: bytes) -> Reply:
        headers = {"content-type": "application/octet-stream", **PREFLIGHT}
        return await self._send("PUT", path, person, content=content, headers=headers)

    async def get(self, person: Person | None, path: str) -> Reply:
        return await self._send("GET", path, person, headers={})

    def stream(self, person: Person, query: str) -> Any:  # httpx's context manager
        """An event stream."""
        return next(self._turns).stream(
            "POST",
            "/graphql/stream",
            json={"query": query},
            headers={**person.headers, "accept": "text/event-stream"},
        )

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()

    async def _send(
        self,
        method: Literal["GET", "POST", "PUT"],
        path: str,
        person: Person | None,
        *,
        headers: dict[str, str],
        **content: Any,  # as httpx takes it
    ) -> Reply:
        sent = headers | (person.headers if person else {})
        try:
            answer = await next(self._turns).request(
                method, path, headers=sent, **content
            )
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return Reply(None, problems=(Problem("REFUSED"),))
        except httpx.TimeoutException:
            return Reply(None, problems=(Problem("SILENT", open=True),))
        except httpx.TransportError:
            return Reply(None, problems=(Problem("CUT", open=True),))
        body = answer.content
        return Reply(answer.status_code, body, _problems(answer, body))


def _problems(answer: httpx.Response, body: bytes) -> tuple[Problem, ...]:
    if "json" not in answer.headers.get("content-type", ""):
        well = answer.status_code < 400
        return () if well else (Problem(f"HTTP_{answer.status_code}", open=True),)
    return tuple(map(_problem, orjson.loads(body).get("errors") or ()))


def _problem(error: Json) -> Problem:
    more = error.get("extensions") or {}
    return Problem(
        more.get("code", "NO_CODE"),
        more.get("service"),
        bool(more.get("outcomeUnknown")),
    )
