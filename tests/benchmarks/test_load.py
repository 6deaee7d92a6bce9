"""The load generator: every answer is counted, looked at and timed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.load import Load, LoadError, Target, press, press_all

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request with the next of `answers`, the last one for ever."""

    def __init__(self, *answers: bytes, delay_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.delay_s = delay_s
        self.requests: list[bytes] = []
        self.connections = 0

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head + await reader.readexactly(4))
                await asyncio.sleep(self.delay_s)
                more = len(self.answers) > 1
                writer.write(self.answers.pop(0) if more else self.answers[0])
        except asyncio.IncompleteReadError:
            writer.close()


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[Target]:
    listener = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    async with listener:
        port: int = listener.sockets[0].getsockname()[1]
        yield Target.graphql(port, b"body", [{"Cookie": "a=b"}])


async def test_counts_what_the_server_saw_over_the_asked_for_connections() -> None:
    server = Server(GOOD)
    async with listening(server) as target:
        load = await press(target, expected=b"ok", connections=3, seconds=0.1)

    assert load.requests == len(server.requests) > 3
    assert server.connections == 3
    assert load.wrong == 0


async def test_sends_the_request_whole_with_the_cookie() -> None:
    server = Server(GOOD)
    async with listening(server) as target:
        await press(target, expected=b"ok", connections=1, seconds=0)

    (request,) = server.requests
    assert request.startswith(b"POST /graphql HTTP/1.1\r\n")
    assert b"\r\nCookie: a=b\r\n" in request
    assert request.endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["another body", "another status"],
)
async def test_tells_an_answer_that_differs(answer: bytes) -> None:
    async with listening(Server(answer, GOOD)) as target:
        load = await press(target, expected=b"ok", connections=1, seconds=0.05)

    assert load.wrong == 1
    assert load.requests > 1


async def test_people_take_turns_on_the_connections() -> None:
    server = Server(GOOD)
    async with listening(server) as target:
        people = [{"Cookie": "one"}, {"Authorization": "two"}]
        several = Target.graphql(target.port, b"body", people)
        await press(several, expected=b"ok", connections=3, seconds=0)

    asked = [request.split(b"\r\n")[4] for request in server.requests]
    assert sorted(asked) == [b"Authorization: two", b"Cookie: one", b"Cookie: one"]


async def test_requests_that_connections_share_are_sent_once_each() -> None:
    server = Server(GOOD)
    async with listening(server) as target:
        requests = [
            Target.graphql(target.port, str(number).encode(), [{}]).requests[0]
            for number in range(1000, 1007)
        ]
        load = await press_all(
            target.port, iter(requests), expected=b"ok", connections=3
        )

    assert sorted(server.requests) == requests
    assert load.requests == 7


async def test_latency_is_the_time_to_the_whole_answer() -> None:
    async with listening(Server(GOOD, delay_s=0.05)) as target:
        load = await press(target, expected=b"ok", connections=2, seconds=0.12)

    assert 50 <= load.latency_ms(0.5) < 100
    assert load.requests == 6


async def test_a_closed_connection_is_an_error() -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listener = await asyncio.start_server(close, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        target = Target(port, (b"GET / HTTP/1.1\r\n\r\n",))
        with pytest.raises(LoadError, match="closed the connection"):
            await press(target, expected=b"", connections=1, seconds=0.1)


def test_quantiles_are_those_of_the_sorted_latencies() -> None:
    load = Load(latencies_s=[number / 1000 for number in range(100, 0, -1)])

    assert load.latency_ms(0.50) == 51
    assert load.latency_ms(0.99) == 100
