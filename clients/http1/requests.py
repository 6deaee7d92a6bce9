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

_END: Final = "\r\n\r\n"
_EMPTY: Final = "\r\nContent-Length: 0\r\n\r\n"
# How the head of a request without a body ends. Those that are expected to have one say
# so; the others would have one by a mistake only.
_BODILESS: Final = {
    "GET": _END,
    "HEAD": _END,
    "POST": _EMPTY,
    "PUT": _EMPTY,
    "PATCH": _EMPTY,
    "DELETE": _END,
    "OPTIONS": _END,
}
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


def message(
    request: Outgoing, target: str, host: str, framing: str | None = None
) -> bytes:
    """The whole request; or the head alone of one whose body follows, with `framing`,
    which tells its length and ends in an empty line.

    Raises: TransportError.
    """
    method, body, headers = request.method, request.body, request.headers
    ends = _BODILESS.get(method)
    if ends is None:
        raise refused("the method is not one of ours")
    if framing is not None:
        ends = framing
    elif body is not None:
        ends = f"\r\nContent-Length: {len(body)}\r\n\r\n"
    # Whitespace of every kind: some servers take a tab for the end of the target.
    if "#" in target or not target.isascii() or target.split(None, 1) != [target]:
        target = _encoded(target)
    lines, address, token = request.standing.lines, request.forwarded_for, request.token
    if lines is None:
        lines = request.standing.lines = _lines(request.standing.headers)
    at = f"\r\nHost: {host}"
    if headers:
        lines += _lines(headers)
        if "Host" in headers:
            at = ""
    _check(f"{address}{token}{target}")
    via = "" if address is None else f"\r\nX-Forwarded-For: {address}"
    by = "" if token is None else f"\r\nAuthorization: Bearer {token}"
    try:
        head = f"{method} {target} HTTP/1.1{at}{lines}{via}{by}{ends}".encode("ascii")
    except UnicodeEncodeError:
        raise refused("a header is not ASCII") from None
    return head if body is None else head + body


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
