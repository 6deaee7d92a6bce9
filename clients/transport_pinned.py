"""`PinnedTransport`: connects only to addresses that its policy allows.

Used for file bytes (`server/resources.py`), whose host Conduit names. A list of host
names alone does not keep a request out of the own network: whoever answers for the
name chooses the address. So the name is resolved here, every address is checked, and
the connection goes to the checked address itself; name and certificate stay those of
the host. Nobody can answer differently between check and connection.
"""

import asyncio
import socket
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from math import inf
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from .errors import UpstreamMisconfiguredError
from .transport import Answer, HTTPLimits, Incoming, Outgoing, Transport, TransportError
from .transports import DEFAULT_TRANSPORT, TransportName, open_transport

Address = IPv4Address | IPv6Address
T = TypeVar("T")

# Where a NAT64 stands in an IPv6 network, all of IPv4 is behind it (RFC 6052, §2.1).
TRANSLATED: Final = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """`private_hosts` may be inside the own network; the others must be public."""

    private_hosts: frozenset[str] = frozenset()

    def allows(self, host: str, address: Address) -> bool:
        """Whether a connection to `host` may go to `address`.

        An address in the place of a name was written by the operator, who knows.
        Link-local addresses (cloud metadata among them) are never a name's.
        """
        if _literal(host) is not None:
            return True
        real = _unwrapped(address)
        if real.is_link_local or real.is_multicast or real.is_unspecified:
            return False
        if host == "localhost":
            return real.is_loopback
        return host in self.private_hosts or real.is_global


class PinnedTransport:
    """A `Transport` in front of one that heeds `Outgoing.server_name`."""

    def __init__(
        self, inner: Transport, policy: AddressPolicy, *, resolve_s: float
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._resolve_s = resolve_s

    async def exchange(
        self, request: Outgoing, *, timeout_s: float, max_bytes: int
    ) -> Answer:
        """See `Transport.exchange`. Raises also: UpstreamMisconfiguredError."""
        return await self._first_of(
            request,
            lambda pinned, left_s: self._inner.exchange(
                pinned, timeout_s=left_s, max_bytes=max_bytes
            ),
            timeout_s,
        )

    async def open(self, request: Outgoing, *, timeout_s: float) -> Incoming:
        """See `Transport.open`. Raises also: UpstreamMisconfiguredError."""
        return await self._first_of(
            request,
            lambda pinned, left_s: self._inner.open(pinned, timeout_s=left_s),
            timeout_s,
        )

    async def upload(
        self, request: Outgoing, content: AsyncIterable[bytes]
    ) -> Incoming:
        """See `Transport.upload`. Raises also: UpstreamMisconfiguredError.

        Without a connection nothing of `content` was taken: the next address gets it.
        """
        return await self._first_of(
            request, lambda pinned, _: self._inner.upload(pinned, content), inf
        )

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._inner.aclose()

    async def _first_of(
        self,
        request: Outgoing,
        send: Callable[[Outgoing, float], Awaitable[T]],
        timeout_s: float,
    ) -> T:
        """Send to the host's addresses, one after the other, until one connects.

        `send` gets what is left of `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        *others, last = await self._addresses(request.url)
        for address in others:
            try:
                return await send(_pinned(request, address), ends_at - loop.time())
            except TransportError as error:
                if error.trouble != "connect" or loop.time() >= ends_at:
                    raise
        return await send(_pinned(request, last), ends_at - loop.time())

    async def _addresses(self, url: str) -> list[Address]:
        """All that the host's name stands for; one that is not allowed spoils them.

        Raises: TransportError, UpstreamMisconfiguredError.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        literal = _literal(host)
        found = [literal] if literal else await self._resolved(host, parts.port)
        for address in found:
            if not self._policy.allows(host, address):
                raise UpstreamMisconfiguredError(
                    f"the storage host {host} is at {address}, which is not public: "
                    "if that is right, name the host in STORAGE_PRIVATE_HOSTS",
                    service="conduit",
                )
        return found

    async def _resolved(self, host: str, port: int | None) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._resolve_s):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise TransportError("timeout", "no address in time", sent=False) from error
        except (OSError, UnicodeError) as error:
            raise TransportError("connect", "no address", sent=False) from error
        texts = (str(each[4][0]).partition("%")[0] for each in found)
        return list(dict.fromkeys(ip_address(text) for text in texts))


def _pinned(request: Outgoing, address: Address) -> Outgoing:
    parts = urlsplit(request.url)
    shown = f"[{address}]" if address.version == 6 else str(address)
    port = "" if parts.port is None else f":{parts.port}"
    return msgspec.structs.replace(
        request,
        base="",
        target=parts._replace(netloc=f"{shown}{port}").geturl(),
        headers={**request.headers, "Host": parts.netloc},
        server_name=parts.hostname,
    )


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address:
    """The IPv4 address within an IPv6 one that only wraps it."""
    if isinstance(address, IPv6Address):
        if address in TRANSLATED:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def open_pinned(
    limits: HTTPLimits,
    policy: AddressPolicy,
    *,
    name: TransportName = DEFAULT_TRANSPORT,
    ca_bundle: str | None = None,
) -> PinnedTransport:
    """A new pool over the chosen transport, if it can be told whose certificate to
    expect; pyreqwest cannot, and the default stands in for it.

    Raises: OSError, ValueError: the CA bundle.
    """
    able = DEFAULT_TRANSPORT if name == "pyreqwest" else name
    inner = open_transport(able, limits, ca_bundle=ca_bundle)
    return PinnedTransport(inner, policy, resolve_s=limits.connect_s)
