"""Connections go to addresses that were checked, and to no others."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import pytest
from clients_harness import Upstream, answer
from clock import timeless

from clients.errors import UpstreamMisconfiguredError
from clients.transport import Answer, HTTPLimits, Outgoing, TransportError
from clients.transport_pinned import AddressPolicy, PinnedTransport, open_pinned

POLICY = AddressPolicy(frozenset({"files.corp.example"}))


@pytest.mark.parametrize(
    ("host", "address", "allowed"),
    [
        ("files.example.com", "93.184.216.34", True),
        ("files.example.com", "2606:2800:220:1::1", True),
        ("files.example.com", "127.0.0.1", False),
        ("files.example.com", "10.0.0.7", False),
        ("files.example.com", "172.16.0.1", False),
        ("files.example.com", "192.168.1.1", False),
        ("files.example.com", "100.64.0.1", False),
        ("files.example.com", "169.254.169.254", False),
        ("files.example.com", "0.0.0.0", False),  # noqa: S104
        ("files.example.com", "224.0.0.1", False),
        ("files.example.com", "255.255.255.255", False),
        ("files.example.com", "::1", False),
        ("files.example.com", "::", False),
        ("files.example.com", "fe80::1", False),
        ("files.example.com", "fc00::1", False),
        ("files.example.com", "fd00:ec2::254", False),
        ("files.example.com", "::ffff:127.0.0.1", False),
        ("files.example.com", "::ffff:169.254.169.254", False),
        ("files.example.com", "2002:7f00:1::", False),
        ("files.example.com", "64:ff9b::10.0.0.7", False),
        ("files.example.com", "64:ff9b::169.254.169.254", False),
        ("files.example.com", "64:ff9b::93.184.216.34", True),
        ("files.corp.example", "10.0.0.7", True),
        ("files.corp.example", "fd00::7", True),
        ("files.corp.example", "169.254.169.254", False),
        ("files.corp.example", "::ffff:169.254.169.254", False),
        ("files.corp.example", "0.0.0.0", False),  # noqa: S104
        ("localhost", "127.0.0.1", True),
        ("localhost", "::1", True),
        ("localhost", "10.0.0.7", False),
        ("localhost", "93.184.216.34", False),
        ("10.0.0.7", "10.0.0.7", True),
        ("127.0.0.1", "127.0.0.1", True),
    ],
)
def test_which_address_a_host_may_have(host: str, address: str, allowed: bool) -> None:
    assert POLICY.allows(host, ip_address(address)) == allowed


class Names:
    """Answers for names, as a resolver under somebody else's control."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", self._find)

    async def _find(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        found = self._answers[min(len(self.asked), len(self._answers)) - 1]
        return [(0, 0, 0, "", (address, port)) for address in found]


class Inner:
    """A transport that only notes what it is given."""

    def __init__(self, *unreachable: str) -> None:
        self.sent: list[Outgoing] = []
        self._unreachable = unreachable

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        self.sent.append(request)
        if any(address in request.url for address in self._unreachable):
            raise TransportError("connect", "nobody there", sent=False)
        return Answer(200, {}, b"")

    open: Any = None
    upload: Any = None
    aclose: Any = None


def pinned(inner: Inner) -> PinnedTransport:
    return PinnedTransport(inner, POLICY, resolve_s=1)


async def get(transport: PinnedTransport, url: str) -> Answer:
    request = Outgoing("GET", url, {"Accept": "*/*"})
    return await transport.exchange(request, timeout_s=2, max_bytes=1000)


async def test_the_connection_goes_to_the_address_and_the_name_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Names(monkeypatch, ["93.184.216.34"])
    inner = Inner()
    await get(pinned(inner), "https://files.example.com:8443/a%20b?sig=x")
    (sent,) = inner.sent
    assert sent.url == "https://93.184.216.34:8443/a%20b?sig=x"
    assert sent.headers["Host"] == "files.example.com:8443"
    assert sent.server_name == "files.example.com"


async def test_a_name_is_asked_for_once_so_it_cannot_answer_differently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(monkeypatch, ["93.184.216.34"], ["169.254.169.254"])
    inner = Inner()
    await get(pinned(inner), "http://files.example.com/a")
    assert names.asked == ["files.example.com"]
    with pytest.raises(UpstreamMisconfiguredError):
        await get(pinned(inner), "http://files.example.com/a")
    assert len(inner.sent) == 1


async def test_one_bad_address_among_good_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Names(monkeypatch, ["93.184.216.34", "10.0.0.7"])
    inner = Inner()
    with pytest.raises(UpstreamMisconfiguredError) as caught:
        await get(pinned(inner), "http://files.example.com/a?sig=private")
    assert "STORAGE_PRIVATE_HOSTS" in caught.value.message
    assert "private" not in caught.value.message.replace("STORAGE_PRIVATE_HOSTS", "")
    assert inner.sent == []


async def test_the_next_address_is_tried_when_one_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Names(monkeypatch, ["2606:2800:220:1::1", "93.184.216.34", "93.184.216.34"])
    inner = Inner("2606:")
    await get(pinned(inner), "http://files.example.com/a")
    assert [sent.url for sent in inner.sent] == [
        "http://[2606:2800:220:1::1]/a",
        "http://93.184.216.34/a",
    ]


def test_finding_the_addresses_and_trying_them_takes_of_the_call_s_own_time() -> None:
    given: list[float] = []

    class Slow(Inner):
        async def exchange(
            self, request: Outgoing, *, timeout_s: float, max_bytes: int
        ) -> Answer:
            given.append(timeout_s)
            await asyncio.sleep(0.5)
            raise TransportError("connect", "nobody there", sent=False)

    async def slowly(*_: Any, **__: Any) -> list[Any]:
        await asyncio.sleep(0.9)
        return [(0, 0, 0, "", (f"93.184.216.{n}", 80)) for n in range(9)]

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.getaddrinfo = slowly  # type: ignore[method-assign]  # ends with the loop
        started = loop.time()
        with pytest.raises(TransportError):
            await get(pinned(Slow()), "http://files.example.com/a")
        assert loop.time() - started == pytest.approx(0.9 + 3 * 0.5)

    timeless(work())
    assert given == pytest.approx([1.1, 0.6, 0.1])


async def test_a_name_without_an_address_is_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    with pytest.raises(TransportError) as caught:
        await get(pinned(Inner()), "http://files.example.com/a")
    assert (caught.value.trouble, caught.value.sent) == ("connect", False)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    await server.start()
    yield server
    await server.stop()


async def test_over_a_real_socket_the_host_hears_its_name(upstream: Upstream) -> None:
    upstream.script(answer(200, b"bytes"))
    transport = open_pinned(HTTPLimits(), POLICY)
    url = upstream.url.replace("127.0.0.1", "localhost")
    found = await get(transport, f"{url}/c/a.png?sig=1")
    await transport.aclose()
    assert found.body == b"bytes"
    assert upstream.only.target == "/c/a.png?sig=1"
    assert upstream.only.headers["host"] == url.removeprefix("http://")
