"""From an address to a connected socket (RFC 8305), and TLS over it.

The first address that answers wins: a broken IPv6 must not use up the time of a
working IPv4. uvloop has nothing of the kind, so it stands here for both loops.
"""

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, Final

from clients.transport import TransportError

from .connection import Connection
from .requests import Address

# RFC 8305 §5: how long an attempt has to itself before the next address is tried too.
_ATTEMPT_S: Final = 0.25

# Family and address, as the socket takes them (two parts, or four for IPv6).
_Place = tuple[int, Any]


async def connect(
    address: Address,
    make: Callable[[], Connection],
    tls: ssl.SSLContext,
    *,
    within_s: float,
) -> Connection:
    """Raises: TransportError, nothing having been sent."""
    try:
        async with asyncio.timeout(within_s):
            found = await _connected(await _places(address))
            _, connection = await asyncio.get_running_loop().create_connection(
                make,
                sock=found,
                ssl=tls if address.tls_name is not None else None,
                server_hostname=address.tls_name,
            )
            return connection
    except TimeoutError:
        raise TransportError("timeout", "no connection in time", sent=False) from None
    except ssl.SSLCertVerificationError as error:
        # What stands behind the comma is the host.
        why = error.verify_message.partition(",")[0]
        raise TransportError("untrusted", f"certificate: {why}", sent=False) from None
    except (OSError, UnicodeError) as error:
        raise TransportError("connect", _reason(error), sent=False) from None


async def _places(address: Address) -> Sequence[_Place]:
    """Where the host is, IPv6 and IPv4 in turn, in the system's order otherwise."""
    try:
        version = ipaddress.ip_address(address.host).version
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )
        places = [(info[0], info[4]) for info in found]
        first = [place for place in places if place[0] == places[0][0]]
        others = [place for place in places if place[0] != places[0][0]]
        return [place for place in chain(*zip_longest(first, others)) if place]
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    return [(family, (address.host, address.port))]


async def _connected(places: Sequence[_Place]) -> socket.socket:
    """The first to connect. Raises: OSError, of the last that failed."""
    left, attempts = list(places), set[asyncio.Task[socket.socket]]()
    failure: BaseException = OSError("no address")
    try:
        while left or attempts:
            if left:
                attempts.add(asyncio.create_task(_attempt(left.pop(0))))
            done, _ = await asyncio.wait(
                attempts,
                timeout=_ATTEMPT_S if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                attempts.discard(task)
                if (error := task.exception()) is None:
                    return task.result()
                failure = error
        raise failure
    finally:
        await _give_up(attempts)


async def _give_up(attempts: set[asyncio.Task[socket.socket]]) -> None:
    for task in attempts:
        task.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


async def _attempt(place: _Place) -> socket.socket:
    family, where = place
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setblocking(False)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(found, where)
    except BaseException:
        found.close()
        raise
    return found


def _reason(error: Exception) -> str:
    """Without the address, which the loops quote."""
    number = error.errno if isinstance(error, OSError) else None
    plain = type(error) in (OSError, ConnectionRefusedError)
    return os.strerror(number) if plain and number else type(error).__name__
