"""Attacks on the endpoint, each refused: over the whole app, in production's posture.

Where an attack has tests of its own elsewhere (cookies touched byte by byte, storage
addresses in 40 spellings, uploads), this file holds one that goes the whole way.
"""

import asyncio
import base64
import gzip
import json
import secrets
import socket
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from harness import PASSWORD, Caller, Sandbox, caller_of, running_app, server_process

POSTURE = {"INTROSPECTION": "off", "GRAPHIQL": "off"}
SIGN_IN = """mutation ($input: SignInInput!) {
  signIn(input: $input) { __typename } }"""
DELETE = 'mutation { deleteNote(id: "x") { __typename } }'


@pytest.fixture
async def victim(sandbox: Sandbox) -> AsyncIterator[Caller]:
    """Signed in; the calls of the sign-in are forgotten."""
    more = {"SIGN_IN_PER_ADDRESS": "1000", "SIGN_IN_PER_ACCOUNT": "1000"}
    settings = sandbox.environment | POSTURE | more
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in()
        sandbox.forget()
        yield caller


@pytest.fixture(scope="module")
def server(running_sandbox: Sandbox) -> Iterator[str]:
    """A real process, for what httpx would not send."""
    with server_process(running_sandbox, **POSTURE) as url:
        yield url


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["extensions"]["code"])


def deep(levels: int) -> str:
    """Types of fields of types: each level multiplies the answer."""
    return (
        "{ __schema { types { "
        + "fields { type { " * levels
        + "name"
        + " }" * (2 * levels + 3)
    )


CYCLE = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"
OVERLOADS = {
    "aliases": "{" + "".join(f"a{n}: viewer {{ id }} " for n in range(1000)) + "}",
    "aliased sign-ins": "mutation {"
    + "".join(
        f'a{n}: signIn(input: {{email: "a@b.c", password: "{n}"}}) {{ __typename }} '
        for n in range(101)
    )
    + "}",
    "directives": "{ __typename " + "@include(if: true) " * 500 + "}",
    "unknown directives": "{ __typename " + "@a" * 900 + " }",
    "duplicate fields": "{ viewer {" + " id" * 900 + "} }",
    "circular fragments": CYCLE,
    "a fragment in itself": "{ ...A } fragment A on Query { viewer { id } ...A }",
    "introspection": deep(3),
    "deep introspection": deep(30),
    "nesting": "{ posts { nodes { author " * 40 + "id" + "} } }" * 40 + "}",
    "cost": "{ posts(first: 100) { nodes { author { posts(first: 100) { nodes { author"
    " { posts(first: 100) { nodes { id } } } } } } } } }",
    "tokens": "{ __typename " + "# \n" * 10 + "a " * 20_000 + "}",
    "a tower of fragments": "{ ...F0 }"
    + "".join(
        f" fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(40)
    )
    + " fragment F40 on Query { __typename }",
    "variables": "query ("
    + " ".join(f"$v{n}: Int" for n in range(900))
    + ") { __typename }",
    "list values": "{ nodes(ids: [" + '"x" ' * 3000 + "]) { id } }",
}


@pytest.mark.parametrize("name", OVERLOADS)
async def test_an_overload_is_refused_quickly_and_without_a_call(
    victim: Caller, sandbox: Sandbox, name: str
) -> None:
    started = time.process_time()  # the app runs in this process
    answer = await victim(OVERLOADS[name])
    assert time.process_time() - started < 1
    assert "data" not in answer
    assert len(answer["errors"]) == 1
    code = answer["errors"][0]["extensions"]["code"]
    assert code in {"QUERY_TOO_COMPLEX", "GRAPHQL_VALIDATION_FAILED"}
    assert sandbox.calls() == []


async def test_operations_do_not_come_in_batches(
    victim: Caller, sandbox: Sandbox
) -> None:
    one = {"query": "{ viewer { id } }"}
    for batch in ([one], [one] * 100, {"0": one, "1": one}):
        answer = await victim.post(batch)
        assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST")
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/plain; application/json",
        "multipart/form-data; boundary=b",
        "application/json, text/plain",
        "application/graphql",
        "",
    ],
)
async def test_no_form_and_no_plain_text_writes_with_a_strangers_cookie(
    victim: Caller, sandbox: Sandbox, content_type: str
) -> None:
    answer = await victim.http.post(
        "/graphql",
        content=json.dumps({"query": DELETE}),
        headers={"content-type": content_type},
    )
    assert answer.status_code in (400, 403, 415)
    assert sandbox.calls() == []


async def test_a_link_on_another_site_neither_reads_nor_writes(
    victim: Caller, sandbox: Sandbox
) -> None:
    for query in ("{ viewer { id } }", DELETE):
        answer = await victim.http.get("/graphql", params={"query": query})
        assert (answer.status_code, code_of(answer)) == (403, "PREFLIGHT_REQUIRED")
    headers = {"graphql-require-preflight": "1"}
    answer = await victim.http.get(
        "/graphql", params={"query": DELETE}, headers=headers
    )
    assert (answer.status_code, code_of(answer)) == (405, "METHOD_NOT_ALLOWED")
    assert sandbox.calls() == []


async def test_another_sites_script_is_refused_before_its_body_is_read(
    victim: Caller, sandbox: Sandbox
) -> None:
    headers = {"origin": "https://evil.example.net"}
    answer = await victim.post({"query": DELETE}, headers=headers)
    assert (answer.status_code, code_of(answer)) == (403, "ORIGIN_NOT_ALLOWED")
    assert sandbox.calls() == []


async def test_nothing_is_suggested_and_no_trace_is_shown(
    victim: Caller, sandbox: Sandbox
) -> None:
    sandbox.fail("conduit", "/database", status=500, body={"message": "at x.ts:12"})
    asked: list[Any] = [
        {"query": "{ pots { nodes { id } } }"},
        {"query": "{ posts { nodes { titel } } }"},
        {"query": "{ posts { nodes { title } } }"},
        {"query": "{"},
        {"query": "query ($o: PostOrder) { posts(orderBy: $o) { nodes { id } } }"}
        | {"variables": {"o": {"feld": 1}}},
        {"query": "{ __typename }", "extensions": {"tracing": True, "debug": True}},
        {"query": "{ __typename }", "variables": {"__proto__": {"a": 1}}},
    ]
    for body in asked:
        text = (await victim.post(body)).text
        for leak in ("Did you mean", "Traceback", 'File "', ".py", ".ts:", "at x"):
            assert leak not in text
        assert "stacktrace" not in text.lower()
        assert "tracing" not in text


BOMBS = {
    "brackets": b"[" * 900_000,
    "objects": b'{"a":' * 150_000,
    "in variables": b'{"query": "{ __typename }", "variables": {"a": '
    + b"[" * 400_000
    + b"]" * 400_000
    + b"}}",
    "a number": b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 900_000,
    "equal names": b'{"query": "{ __typename }", "query": "{ viewer { id } }"}',
    "names": b'{"query": "{", '
    + b",".join(b'"%d": 0' % n for n in range(50_000))
    + b"}",
    "too large": b'{"query": "' + b"x" * 2_000_000 + b'"}',
    # These are small: what they cost grows by the square of their length.
    "a string without an end": b'{"query": "{a(b:\\"' + b'x\\\\\\"' * 15_000 + b'"}',
    "blanks in a syntax error": b'{"query": "{ \\"' + b" " * 90_000 + b'\\" }"}',
    "mistakes below many lines": b'{"query": "'
    + b"\\n" * 200_000
    + b"query("
    + b"".join(b"$v%d: X%d " % (n, n) for n in range(300))
    + b') { __typename }"}',
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_json_bomb_costs_less_than_half_a_second(
    victim: Caller, name: str
) -> None:
    started = time.process_time()
    answer = await victim.http.post(
        "/graphql", content=BOMBS[name], headers={"content-type": "application/json"}
    )
    assert time.process_time() - started < 0.5
    # A hopeless document in a well-formed body is 200 for application/json.
    assert answer.status_code in (200, 400, 413)
    assert answer.json()["errors"]
    assert "data" not in answer.json()


@pytest.mark.parametrize("filler", ['\\"', "\\"])
async def test_a_cookie_of_backslashes_costs_no_time(
    victim: Caller, filler: str
) -> None:
    """CPython's own unquoting takes 7 s for it (CVE-2024-7592)."""
    cookie = 'conduit_session="' + filler * (60_000 // len(filler)) + '"'
    started = time.process_time()
    answer = await victim.http.post(
        "/graphql", json={"query": "{ viewer { id } }"}, headers={"cookie": cookie}
    )
    assert time.process_time() - started < 0.5
    assert answer.json() == {"data": {"viewer": None}}


async def test_a_compressed_bomb_is_never_opened(victim: Caller) -> None:
    body = gzip.compress(b'{"query": "{ __typename }", "x": "' + b"0" * 50_000_000)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await victim.http.post("/graphql", content=body, headers=headers)
    assert answer.status_code in (400, 415)


@pytest.mark.parametrize(
    "request_id", ["a\r\nset-cookie: x=1", "<script>", "a" * 1000, "x y", "é" * 9]
)
async def test_an_echoed_header_cannot_be_split(
    victim: Caller, request_id: str
) -> None:
    headers = [(b"x-request-id", request_id.encode("latin-1", "replace"))]
    answer = await victim.post({"query": "{ __typename }"}, headers=headers)
    assert answer.headers["x-request-id"] != request_id
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-request-id"].isalnum()


def raw(server: str, data: bytes) -> bytes:
    """What the server says to bytes that no client library would send."""
    address = urlsplit(server)
    with socket.create_connection((address.hostname, address.port), 5) as wire:
        wire.sendall(data)
        wire.settimeout(5)
        said = b""
        while chunk := wire.recv(65_536):
            said += chunk
        return said


BODY = b'{"query": "{ __typename }"}'
SMUGGLED = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 27\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 27\r\nContent-Length: 5\r\n",
        b"Content-Length: 27, 5\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"X-Bad\r\n : folded\r\nContent-Length: 27\r\n",
        b"X-Nul: a\x00b\r\nContent-Length: 27\r\n",
    ],
)
def test_one_ambiguous_request_is_never_answered_as_two(
    server: str, head: bytes
) -> None:
    start = b"POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    start += b"Content-Type: application/json\r\n"
    said = raw(server, start + head + b"\r\n" + BODY + SMUGGLED)
    assert said.count(b"HTTP/1.1 ") <= 1
    assert not said.startswith(b"HTTP/1.1 5")
    assert b"uvicorn" not in said.lower()


CHUNKED = (
    b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
ENDLESS = {
    "many headers": (b"GET /graphql HTTP/1.1\r\n", b"X: " + b"a" * 995 + b"\r\n"),
    "one header": (b"GET /graphql HTTP/1.1\r\nX: ", b"a" * 1000),
    "the address": (b"GET /graphql?query=", b"a" * 1000),
    "trailers": (CHUNKED + b"1\r\n{\r\n0\r\n", b"X: " + b"a" * 995 + b"\r\n"),
    "a chunk's extension": (CHUNKED + b"1;x=", b"a" * 1000),
    "a chunk's size": (CHUNKED, b"0" * 1000),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_comes_before_and_after_a_body_has_a_bound(server: str, name: str) -> None:
    start, more = ENDLESS[name]
    address = urlsplit(server)
    with socket.create_connection((address.hostname, address.port), 5) as wire:
        wire.settimeout(5)
        wire.sendall(start)
        sent = sent_until_cut_off(wire, more * 64)
    assert sent < 10_000_000  # what the systems at both ends hold
    assert httpx.get(f"{server}/health/live", trust_env=False).status_code == 200


def sent_until_cut_off(wire: socket.socket, more: bytes) -> int:
    """How many bytes the server let come, of 50 MB."""
    sent = 0
    with suppress(ConnectionError):
        while sent < 50_000_000:
            wire.sendall(more)
            sent += len(more)
    return sent


def test_a_head_of_60_kib_is_taken_and_a_larger_one_is_a_431(server: str) -> None:
    rest = b"Host: x\r\nConnection: close\r\n\r\n"
    start = b"GET /health/live HTTP/1.1\r\n"
    full = start + b"X: %s\r\n" * 10 % ((b"a" * 6000,) * 10) + rest
    assert raw(server, full).startswith(b"HTTP/1.1 200")
    assert raw(server, start + b"X: " + b"a" * 66_000).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "path",
    [
        "/preview/../health/live",
        "/preview/..%2f..%2fetc%2fpasswd",
        "/preview/%2e%2e/%2e%2e/etc/passwd",
        "/preview//etc/passwd",
        "/preview/....//",
        "/preview/..%5c..%5cwindows",
        "/preview/%00",
        "/preview/x%0d%0aset-cookie:%20a=b",
        "/preview/http:%2f%2f169.254.169.254%2f",
        "/preview/@127.0.0.1:6379",
        "/preview/" + "a" * 5000,
        "/preview/?x=/etc/passwd",
        "/graphiql/../variables.py",
        "/graphiql/..%2f..%2fpyproject.toml",
        "//graphql",
    ],
)
def test_no_path_leads_out_of_its_route(server: str, path: str) -> None:
    rest = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    said = raw(server, f"GET {path}{rest}".encode())
    assert said[9:12] in (b"400", b"401", b"404")
    assert b"root:" not in said
    assert b"set-cookie" not in said.lower()


def spellings(port: int) -> list[str]:
    """A service beside the storage host, and inner addresses, in 40 disguises."""
    hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "127.000.000.001",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "127.0.0.1.",
        "127.0.0.2",
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11",  # full-width digits
        "127。0。0。1",
        "%6c%6f%63%61%6c%68%6f%73%74",
        "user@127.0.0.1",
        "user:pass@127.0.0.1",
        "127.0.0.1:80@127.0.0.1",
    ]
    return [f"http://{host}:{port}/" for host in hosts] + [
        f"https://127.0.0.1:{port}/",
        f"//127.0.0.1:{port}/",
        f"http:127.0.0.1:{port}/",
        f"http:///127.0.0.1:{port}/",
        f"http://127.0.0.1:{port}\\@files.example/",
        f"http://127.0.0.1:\t{port}/",
        f" http://127.0.0.1:{port}/",
        f"http://127.0.0.1:{port}#@files.example/",
        f"ftp://127.0.0.1:{port}/",
        f"gopher://127.0.0.1:{port}/_GET",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/",
        "data:text/plain,x",
        "jar:http://127.0.0.1!/",
        "",
    ]


async def test_no_spelling_of_an_inner_address_is_called(
    victim: Caller, sandbox: Sandbox
) -> None:
    reached = 0

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached += 1
        writer.close()

    inner = await asyncio.start_server(listen, "127.0.0.1", 0)
    addresses = spellings(inner.sockets[0].getsockname()[1])
    assert len(addresses) >= 40
    files = await victim.data("{ files(first: 50) { nodes { previewUrl isPublic } } }")
    private = [each for each in files["files"]["nodes"] if not each["isPublic"]]
    for address in addresses:
        body = {"result": address}
        sandbox.fail("conduit", "/storage/getFileUrl", status=200, body=body, times=1)
        answer = await victim.http.get(private[0]["previewUrl"])
        assert answer.status_code == 502, address
        assert code_of(answer) == "UPSTREAM_MISCONFIGURED", address
        (error,) = answer.json()["errors"]
        assert (
            error["message"] == "A service behind this field is not set up rightly."
        ), address
    assert reached == 0
    inner.close()


def forged(value: str) -> list[str]:
    """Values that look like a session's."""
    middle = len(value) // 2
    other = "A" if value[middle] != "A" else "B"
    claims = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    return [
        "",
        "x",
        value[:-3],  # the seal itself; what follows "~" is iron-session's version
        value[:middle] + other + value[middle + 1 :],
        value.replace("*", ".").replace("%2A", "."),
        f"{claims}.{claims}.",
        secrets.token_urlsafe(len(value)),
        "Fe26.2*1*" + "*".join(["a" * 64] * 6) + "~2",
        "%00" * 100,
        "a" * 20_000,
    ]


async def test_a_forged_cookie_or_bearer_opens_nothing(
    victim: Caller, sandbox: Sandbox
) -> None:
    name, value = next(iter(victim.http.cookies.items()))
    victim.http.cookies.clear()
    ask = {"query": "{ viewer { id } notes { nodes { id } } }"}
    for each in forged(value):
        for headers in (
            {"cookie": f"{name}={each}"},
            {"authorization": f"Bearer {each}"},
            {"authorization": f"bearer  {each}", "cookie": f"{name}={each}"},
        ):
            answer = await victim.post(ask, headers=headers)
            assert answer.json()["data"] == {"viewer": None, "notes": None}, each
    answer = await victim.post(ask, headers={"authorization": f"Bearer {value}"})
    assert answer.json()["data"]["viewer"] is None  # a cookie is no bearer value
    assert sandbox.calls() == []
    answer = await victim.post(ask, headers={"cookie": f"{name}={value}"})
    assert answer.json()["data"]["viewer"]["id"]


async def test_the_time_of_a_refused_sign_in_does_not_tell_who_has_an_account(
    victim: Caller, sandbox: Sandbox
) -> None:
    # Conduit compares a password only where there is an account (here: 0.2 s).
    times: dict[str, list[float]] = {"first@example.com": [], "nobody@example.com": []}
    for email, spent in times.items():
        if email.startswith("first"):
            sandbox.fail("conduit", "/authentication", delay_s=0.2, after="before")
        for _ in range(4):
            started = time.perf_counter()
            wrong = {"email": email, "password": "not " + PASSWORD}
            data = await victim.data(SIGN_IN, input=wrong)
            assert data["signIn"]["__typename"] == "InvalidCredentials"
            spent.append(time.perf_counter() - started)
        sandbox.heal()
    known, unknown = (statistics.median(each) for each in times.values())
    assert abs(known - unknown) < 0.1


async def test_passwords_are_not_guessed_by_many_at_once(sandbox: Sandbox) -> None:
    settings = sandbox.environment | POSTURE
    async with running_app(settings) as app, caller_of(app) as thief:
        guesses = [
            thief(SIGN_IN, input={"email": "first@example.com", "password": f"g{n}"})
            for n in range(30)
        ]
        answers = await asyncio.gather(*guesses)
    limited = [each for each in answers if "errors" in each]
    assert len(limited) == 20
    assert {each["errors"][0]["extensions"]["code"] for each in limited} == {
        "RATE_LIMITED"
    }


async def test_many_guesses_in_one_request_count_as_many(sandbox: Sandbox) -> None:
    guesses = " ".join(
        f'a{n}: signIn(input: {{email: "first@example.com", password: "g{n}"}}) '
        "{ __typename }"
        for n in range(40)
    )
    settings = sandbox.environment | POSTURE
    async with running_app(settings) as app, caller_of(app) as thief:
        answer = await thief(f"mutation {{ {guesses} }}")
    assert answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    tried = [each for each in sandbox.calls() if "/authentication/" in each[2]]
    assert len(tried) <= 10
