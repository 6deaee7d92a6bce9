"""Which addresses file bytes may be fetched from.

Conduit names the address, so it is input like any other: a wrong or forged one must
not make this server call something inside its own network. Only hosts of the list
pass, after the rewrite of addresses that only Conduit can reach. Pure functions.
"""

from urllib.parse import SplitResult, quote, urlsplit

from clients.errors import UpstreamMisconfiguredError

from .upstream_settings import StorageSettings

_DEFAULT_PORTS = {"http": 80, "https": 443}
# What an address may hold as it stands. Conduit's local provider leaves blanks in file
# names unencoded (conduit.md §6); `%` stays, since the rest is encoded already.
_AS_IT_STANDS = "/%:@!$&'()*+,;=~-._?"


def admit(url: str, settings: StorageSettings) -> str:
    """The address to fetch from. Raises: UpstreamMisconfiguredError if not allowed."""
    parts = _parse(url)
    authority = f"{parts.hostname}:{_port(parts)}"
    target = settings.rewrites.get(authority)
    if target is not None:
        replacement = urlsplit(target)
        parts = parts._replace(
            scheme=replacement.scheme, netloc=replacement.netloc.lower()
        )
    elif not {authority, *_without_default_port(parts)} & settings.hosts:
        raise _refused(f"{authority} is not in STORAGE_HOSTS")
    return parts._replace(
        path=quote(parts.path, safe=_AS_IT_STANDS),
        query=quote(parts.query, safe=_AS_IT_STANDS),
        fragment="",
    ).geturl()


def _parse(url: str) -> SplitResult:
    # urlsplit drops tabs and line ends silently: such an address is not what it says.
    if any(character < " " or character in "\\\x7f" for character in url):
        raise _refused("it holds control characters or backslashes")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise _refused("it is not an address") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise _refused("it is not an absolute http or https address")
    if "@" in parts.netloc:
        raise _refused("it holds a user")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def _without_default_port(parts: SplitResult) -> tuple[str, ...]:
    if _port(parts) == _DEFAULT_PORTS[parts.scheme]:
        return (parts.hostname or "",)
    return ()


def _refused(why: str) -> UpstreamMisconfiguredError:
    return UpstreamMisconfiguredError(
        f"storage address refused: {why}", service="conduit", operation="getFileUrl"
    )
