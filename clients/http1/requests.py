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


def message(request: Outgoing, target: str, host: str) -> bytes:
    """The whole request. Raises: TransportError."""
    body = request.body
    if body is not None:
        framing = f"\r\nContent-Length: {len(body)}\r\n\r\n"
        return head(request, target, host, request.headers, framing) + body
    lacks = request.method in _EXPECTED_TO_HAVE_A_BODY
    framing = "\r\nContent-Length: 0\r\n\r\n" if lacks else "\r\n\r\n"
    return head(request, target, host, request.headers, framing)


def head(
    request: Outgoing, target: str, host: str, headers: Mapping[str, str], framing: str
) -> bytes:
    """Request line and fields, `framing` with the empty line at the end.

    `headers` are those of the request, but for what `framing` says.

    Raises: TransportError.
    """
    method, standing = request.method, request.standing
    if method not in _METHODS:
        raise refused("the method is not one of ours")
    # Whitespace of every kind: some servers take a tab for the end of the target.
    if "#" in target or not target.isascii() or target.split(None, 1) != [target]:
        target = _encoded(target)
    lines = standing.lines
    if lines is None:
        lines = standing.lines = _lines(standing.headers)
    if headers:
        lines += _lines(headers)
    address, token = request.forwarded_for, request.token
    _check(f"{address}{token}{target}")
    if address is not None:
        lines += f"\r\nX-Forwarded-For: {address}"
    if token is not None:
        lines += f"\r\nAuthorization: Bearer {token}"
    named = "" if "Host" in headers else f"\r\nHost: {host}"
    try:
        return f"{method} {target} HTTP/1.1{named}{lines}{framing}".encode("ascii")
    except UnicodeEncodeError:
        raise refused("a header is not ASCII") from None


def _lines(headers: Mapping[str, str]) -> str:
    """Each field behind the line before it. Raises: TransportError."""
    for name, value in headers.items():
        ours = name.lower() in _OURS and name != "Host"
        if ours or not _TOKEN.fullmatch(name):
            raise refused("the name of a header cannot be sent")
        _check(value)
    return "".join([f"\r\n{name}: {value}" for name, value in headers.items()])


def _check(text: str) -> None:
    """Raises: TransportError for what would end a line of the head."""
    if "\r" in text or "\n" in text or "\0" in text:
        raise refused("a character cannot be sent")


def _encoded(target: str) -> str:
    """Of an address that an upstream gave us; ours are encoded. Raises: TransportError.

    A file's name may stand in it as it is, in its own script and with spaces.
    """
    if _CONTROL.search(target):
        raise refused("a character of the target cannot be sent")
    return quote(target.partition("#")[0], safe=_AS_THEY_ARE)
