"""Answers cut at every place, and garbage, fed to a connection of our own client."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clients.http1.connection import MOST_HEAD_BYTES, Asking, Connection
from clients.transport import READ_FIELDS, Answer, TransportError

MOST_BYTES = 2000
SETTINGS = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class Wire(asyncio.Transport):
    """Takes what is written, and notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


class Pool:
    """Notes what becomes of a connection."""

    def __init__(self) -> None:
        self.rested = self.forgotten = 0

    def rest(self, connection: Connection) -> None:
        self.rested += 1

    def forget(self, connection: Connection, *, stale: bool) -> None:
        self.forgotten += 1


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def hear(
    loop: asyncio.AbstractEventLoop,
    pieces: list[bytes],
    *,
    ended: bool,
    is_head: bool = False,
) -> tuple[Answer | str, Pool]:
    """What a call makes of these pieces: the answer, or the trouble."""
    pool, wire = Pool(), Wire()
    connection = Connection(pool, loop)
    connection.connection_made(wire)
    asking = Asking(loop.time() + 10, 10, MOST_BYTES, is_head)
    waiter = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", asking)
    for piece in pieces:
        if not wire.aborted:
            connection.data_received(piece)
    if ended and not wire.aborted:
        connection.eof_received()
    if not waiter.done():
        connection.overdue()
    try:
        outcome: Answer | str = waiter.result()
    except TransportError as error:
        outcome = error.trouble
    assert (pool.forgotten == 1) == wire.aborted
    assert pool.rested <= 1
    return outcome, pool


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, cut at these places (of any size)."""
    at = sorted({place % (len(data) + 1) for place in places})
    pieces = [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


def chunked(body: bytes, sizes: list[int], extension: bytes, trailer: bytes) -> bytes:
    """The body in chunks of these sizes, the rest in one."""
    out, at = [], 0
    for size in [*sizes, len(body)]:
        chunk = body[at : at + size]
        at += size
        if chunk:
            out.append(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk))
    return b"".join(out) + b"0\r\n" + trailer + b"\r\n"


FIELDS = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from([b"Content-Type", b"content-range", b"Retry-AFTER"]),
            st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True),
        ),
        st.from_regex(rb"[!-~\x80-\xff]([ -~]{0,30}[!-~])?", fullmatch=True),
    ).filter(
        lambda field: (
            field[0].lower()
            not in (
                b"connection",
                b"content-length",
                b"keep-alive",
                b"proxy-connection",
                b"transfer-encoding",
                b"upgrade",
            )
        )
    ),
    max_size=8,
    unique_by=lambda field: field[0].lower(),
)
PLACES = st.lists(st.integers(0, 10_000), max_size=30)


@given(
    status=st.sampled_from([200, 201, 206, 404, 503]),
    fields=FIELDS,
    body=st.binary(max_size=MOST_BYTES),
    framing=st.sampled_from(["length", "chunked", "end"]),
    sizes=st.lists(st.integers(1, 500), max_size=8),
    extension=st.sampled_from([b"", b";a=b", b';name="x y"']),
    trailer=st.sampled_from([b"", b"X-Sum: 1\r\n", b"X: 1\r\nY: 2\r\n"]),
    interim=st.integers(0, 2),
    places=PLACES,
)
@example(
    status=200,
    fields=[(b"Content-Range", b"\xa0"), (b"Retry-After", b"a\x85"), (b"Link", b"a")],
    body=b"",
    framing="length",
    sizes=[],
    extension=b"",
    trailer=b"",
    interim=0,
    places=[],
)
@SETTINGS
def test_an_answer_is_the_same_wherever_it_is_cut(
    loop: asyncio.AbstractEventLoop,
    status: int,
    fields: list[tuple[bytes, bytes]],
    body: bytes,
    framing: str,
    sizes: list[int],
    extension: bytes,
    trailer: bytes,
    interim: int,
    places: list[int],
) -> None:
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    head = b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" * interim
    head += b"HTTP/1.1 %d X\r\n%b" % (status, lines)
    if framing == "length":
        data = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    elif framing == "chunked":
        data = head + b"Transfer-Encoding: chunked\r\n\r\n"
        data += chunked(body, sizes, extension, trailer)
    else:
        data = head + b"\r\n" + body
    outcome, pool = hear(loop, cut(data, places), ended=framing == "end")
    assert isinstance(outcome, Answer), outcome
    assert (outcome.status, outcome.body) == (status, body)
    headers = dict(outcome.headers)
    headers.pop("content-length", None)
    headers.pop("transfer-encoding", None)
    sent = {name.decode().lower(): value.decode("latin-1") for name, value in fields}
    assert headers == {name: sent[name] for name in READ_FIELDS & sent.keys()}
    assert pool.rested == (framing != "end")


def test_a_field_that_comes_twice_is_one_with_a_comma(
    loop: asyncio.AbstractEventLoop,
) -> None:
    twice = b"Content-Encoding: identity\r\ncontent-encoding:  gzip \r\n"
    data = b"HTTP/1.1 200 OK\r\n" + twice + b"Content-Length: 0\r\n\r\n"
    outcome, _ = hear(loop, [data], ended=False)
    assert isinstance(outcome, Answer)
    assert outcome.headers["content-encoding"] == "identity, gzip"


@given(pieces=st.lists(st.binary(max_size=200), max_size=20), ended=st.booleans())
@SETTINGS
def test_garbage_ends_as_a_trouble(
    loop: asyncio.AbstractEventLoop, pieces: list[bytes], ended: bool
) -> None:
    outcome, pool = hear(loop, pieces, ended=ended)
    assert outcome in ("malformed", "lost", "timeout")
    assert (pool.rested, pool.forgotten) == (0, 1)


ANSWER = (
    b"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;q=1\r\nhello\r\n3\r\nyou\r\n0\r\nT: u\r\n\r\n"
)


@given(
    changes=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), max_size=4),
    places=PLACES,
    ended=st.booleans(),
    is_head=st.booleans(),
)
@SETTINGS
@example(changes=[], places=[], ended=False, is_head=True)
def test_an_answer_with_wrong_bytes_is_an_answer_or_a_trouble(
    loop: asyncio.AbstractEventLoop,
    changes: list[tuple[int, bytes]],
    places: list[int],
    ended: bool,
    is_head: bool,
) -> None:
    data = ANSWER
    for at, new in changes:
        at %= len(data) + 1
        data = data[:at] + new + data[at + len(new) :]
    outcome, _ = hear(loop, cut(data, places), ended=ended, is_head=is_head)
    if isinstance(outcome, Answer):
        assert outcome.status >= 200
        assert len(outcome.body) <= MOST_BYTES
    else:
        assert outcome in ("malformed", "lost", "timeout", "oversize")


@pytest.mark.parametrize("size", [1, 999, 16_384, 300_000])
def test_a_head_is_bounded_to_the_byte_however_it_comes(
    loop: asyncio.AbstractEventLoop, size: int
) -> None:
    start, end = b"HTTP/1.1 200 OK\r\nX: ", b"\r\nContent-Length: 3\r\n\r\n"
    for over, expected in ((0, 200), (1, "malformed")):
        fill = b"y" * (MOST_HEAD_BYTES + over - len(start) - len(end))
        data = start + fill + end + b"abc"
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        outcome, _ = hear(loop, pieces, ended=False)
        assert (outcome.status if isinstance(outcome, Answer) else outcome) == expected


@pytest.mark.parametrize("before", [b"1;", b"0\r\nT: "])
def test_what_stands_about_a_body_is_bounded_too(
    loop: asyncio.AbstractEventLoop, before: bytes
) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += before + b"x" * 200_000
    pieces = [data[at : at + 10_000] for at in range(0, len(data), 10_000)]
    assert hear(loop, pieces, ended=False)[0] == "malformed"
