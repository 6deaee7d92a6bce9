"""Several server processes over one sandbox, a crowd that asks them, and meddling.

Used by the tests of sessions in `tests/flow` and `tests/interop`.
"""

import asyncio
import base64
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import redis
from forked_server import ForkedServer
from serving import NO_TLS

from harness import PASSWORD, Sandbox, free_port, wait_until_alive

QUERY = "{ viewer { email } posts(first: 1) { nodes { title } } }"
RETRYABLE = {"UPSTREAM_UNAVAILABLE", "UPSTREAM_TIMEOUT"}
SIGN_IN = """mutation ($input: SignInInput!) { signIn(input: $input) {
  __typename ... on SignInSuccess { sessionToken }
} }"""


@dataclass(slots=True)
class Servers:
    """Server processes on free ports; each writes its log into a file."""

    folder: Path
    processes: list[ForkedServer] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def start(self, environment: dict[str, str]) -> str:
        """Start one more; gives its address, where it does not answer yet."""
        port = free_port()
        log = self.folder / f"{port}.log"
        settings = os.environ | environment | {"PORT": str(port)}
        self.processes.append(ForkedServer(settings, log))
        self.urls.append(f"http://127.0.0.1:{port}")
        return self.urls[-1]

    def wait(self) -> None:
        for url, process in zip(self.urls, self.processes, strict=True):
            wait_until_alive(url, process)

    def log(self) -> str:
        """What all of them have written so far."""
        return "".join(path.read_text() for path in sorted(self.folder.iterdir()))

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)


@asynccontextmanager
async def running_servers(
    sandbox: Sandbox, count: int, **environment: str
) -> AsyncIterator[Servers]:
    """`count` servers with the same settings, ended with the block."""
    with TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            for _ in range(count):
                servers.start(sandbox.environment | environment)
            servers.wait()
            yield servers
        finally:
            servers.end()


@asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Keeps no cookies: who asks is said with each request."""
    # Shorter than a server keeps an idle connection: none is used as it is closed.
    limits = httpx.Limits(max_connections=64, keepalive_expiry=1.0)
    async with httpx.AsyncClient(
        trust_env=False, limits=limits, timeout=60, verify=NO_TLS
    ) as http:
        yield http


Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Device:
    """One client of the servers: what it sends along to be recognized."""

    http: httpx.AsyncClient
    headers: Headers = field(default_factory=dict)

    async def post(self, url: str, query: str, **variables: Any) -> httpx.Response:
        self.http.cookies.clear()
        body = {"query": query, "variables": variables}
        return await self.http.post(f"{url}/graphql", json=body, headers=self.headers)

    async def ask(self, url: str, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer."""
        answer: dict[str, Any] = (await self.post(url, query, **variables)).json()
        return answer

    async def data(self, url: str, query: str, **variables: Any) -> Any:
        """The data of an operation that must have no errors."""
        answer = await self.ask(url, query, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def viewer(self, url: str) -> Any:
        """The viewer, or the code of the first error."""
        answer = await self.ask(url, QUERY)
        if "errors" in answer:
            return answer["errors"][0]["extensions"]["code"]
        return answer["data"]["viewer"]


async def sign_in(
    http: httpx.AsyncClient, url: str, name: str = "first", *, bearer: bool = False
) -> Device:
    """A device of its own, with a cookie or a bearer value."""
    account = {"email": f"{name}@example.com", "password": PASSWORD}
    transport = "BEARER" if bearer else "COOKIE"
    response = await Device(http).post(
        url, SIGN_IN, input={**account, "transport": transport}
    )
    success = response.json()["data"]["signIn"]
    assert success["__typename"] == "SignInSuccess"
    if bearer:
        return Device(http, {"authorization": f"Bearer {success['sessionToken']}"})
    [header] = response.headers.get_list("set-cookie")
    return Device(http, {"cookie": header.partition(";")[0]})


async def crowd(device: Device, urls: list[str], operations: int) -> list[Any]:
    """The answers to many operations at once, in turn over all processes."""
    return await asyncio.gather(
        *(device.viewer(urls[n % len(urls)]) for n in range(operations))
    )


def records(sandbox: Sandbox) -> dict[str, dict[str, str]]:
    """The plain records of the vault, by their names in Redis."""
    with redis.Redis.from_url(sandbox.redis) as vault:
        names = sorted(vault.scan_iter("vault:*"))
        return {name.decode(): json.loads(vault.get(name) or b"{}") for name in names}


def expire_tokens(sandbox: Sandbox) -> None:
    """Put access tokens into the vault whose time is over; nothing else changes."""
    change_tokens(sandbox, lambda claims: claims | {"exp": int(time.time()) - 10})


def spoil_tokens(sandbox: Sandbox) -> None:
    """Put access tokens there that look good and that the upstream refuses."""
    change_tokens(sandbox, lambda claims: claims | {"sudo": "spoilt"})


def change_tokens(
    sandbox: Sandbox, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    def changed(record: dict[str, str]) -> str:
        head, claims, mac = record["accessToken"].split(".")
        payload = change(json.loads(base64.urlsafe_b64decode(claims + "==")))
        raw = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode()
        return json.dumps({**record, "accessToken": f"{head}.{raw.rstrip('=')}.{mac}"})

    with redis.Redis.from_url(sandbox.redis) as vault, vault.pipeline() as steps:
        for name in vault.scan_iter("vault:*"):
            # A renewal may be at work: what it wrote must not be put back.
            with contextlib.suppress(redis.WatchError):
                steps.watch(name)
                record = json.loads(steps.get(name) or b"{}")
                steps.multi()
                steps.set(name, changed(record), keepttl=True, xx=True)
                steps.execute()


def renewals(sandbox: Sandbox) -> int:
    """How many renewals the stand-in has been asked for."""
    return sum(path == "/authentication/renew" for _, _, path in sandbox.calls())


async def until(true: Callable[[], bool], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
