"""A request in bytes, and where it goes (RFC 9112 §3, §5).

Nothing that could end a line or start another request goes out: text with CR, LF or
NUL is refused, and the fields that frame a message are written here and nowhere else.
"""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from clients.transport import Outgoing, TransportError

_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
)
# Without a body these say so; the others would have one by a mistake only.
_EXPECTED_TO_HAVE_A_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OURS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_HOST: Final = re.compile(r"[A-Za-z0-9._~-]+|[0-9a-fA-F:.]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# All but the space of what is printable; "%" is there, so nothing is encoded twice.
_AS_THEY_ARE: Final = string.ascii_letters + string.digits + string.punctuation
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MOST_NAMES: Final = 256


@dataclass(frozen=True, slots=True)
class Address:
    """Where connections go; `shown` is the Host field's value."""

    host: str
    port: int
    shown: str
    # None: plain text. Otherwise the name that the certificate must have.
    tls_name: str | None


def refused(why: str) -> TransportError:
    """A request that was not sent, and never will be."""
    return TransportError("malformed", why, sent=False)


def address_of(base: str, server_name: str | None) -> Address:
    """Of a URL up to its path. Raises: TransportError."""
    try:
        parts = urlsplit(base)
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError:
        raise refused("the address is not a URL") from None
    default = _DEFAULT_PORTS.get(parts.scheme)
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if default is None or not plain or not _HOST.fullmatch(host):
        raise refused("the address is not one of http or https")
    shown = f"[{host}]" if ":" in host else host
    return Address(
        host,
        default if port is None else port,
        shown if port in (None, default) else f"{shown}:{port}",
        (server_name or host) if parts.scheme == "https" else None,
    )


class _Names(dict[str, str]):
    """Names of fields that may be sent, each with what stands about it in a head."""

    def __missing__(self, name: str) -> str:
        ours = name.lower() in _OURS and name != "Host"
        if ours or not _TOKEN.fullmatch(name):
            raise refused("the name of a header cannot be sent")
        line = f"\r\n{name}: "
        if len(self) < _MOST_NAMES:
            self[name] = line
        return line


_NAMES: Final = _Names()


def message(request: Outgoing, target: str, host: str) -> bytes:
    """The whole request. Raises: TransportError."""
    body = request.body
    if body is not None:
        framing = f"\r\nContent-Length: {len(body)}\r\n\r\n"
        return head(request.method, target, host, request.headers, framing) + body
    lacks = request.method in _EXPECTED_TO_HAVE_A_BODY
    framing = "\r\nContent-Length: 0\r\n\r\n" if lacks else "\r\n\r\n"
    return head(request.method, target, host, request.headers, framing)


def head(
    method: str, target: str, host: str, headers: Mapping[str, str], framing: str
) -> bytes:
    """Request line and fields, `framing` with the empty line at the end.

    Raises: TransportError.
    """
    if method not in _METHODS:
        raise refused("the method is not one of ours")
    # Whitespace of every kind: some servers take a tab for the end of the target.
    if "#" in target or not target.isascii() or target.split(None, 1) != [target]:
        target = _encoded(target)
    values = "".join(headers.values())
    if "\r" in values or "\n" in values or "\0" in values or "\0" in target:
        raise refused("a character cannot be sent")
    parts = [method, " ", target, " HTTP/1.1"]
    if "Host" not in headers:
        parts.append(f"\r\nHost: {host}")
    for name, value in headers.items():
        parts.append(_NAMES[name])
        parts.append(value)
    parts.append(framing)
    try:
        return "".join(parts).encode("ascii")
    except UnicodeEncodeError:
        raise refused("a header is not ASCII") from None


def _encoded(target: str) -> str:
    """Of an address that an upstream gave us; ours are encoded. Raises: TransportError.

    A file's name may stand in it as it is, in its own script and with spaces.
    """
    if _CONTROL.search(target):
        raise refused("a character of the target cannot be sent")
    return quote(target.partition("#")[0], safe=_AS_THEY_ARE)
