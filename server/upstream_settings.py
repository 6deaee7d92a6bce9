"""Settings of the upstreams: addresses, keys, pools, where file bytes may come from.

Read by `settings.py` only. Relies on flux.md §2 and §7 (service address, flux.json)
and conduit.md §1 and §6 (client API, storage addresses).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import cast

from clients.http import HTTPLimits, TransportName
from clients.transports import TRANSPORTS

from .environment import EnvironmentReader, split_url

FLUX_PLACEHOLDER = "REPLACE_AFTER_FLUX_INIT"
CONDUIT_ADMIN_PORT = 3030
LOCAL_STORAGE_PORTS = (3100, 8103)


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxSettings:
    url: str
    schema: str | None
    max_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConduitSettings:
    url: str
    client_id: str | None
    client_secret: str | None = field(repr=False)
    checks_ownership: bool
    storage_authorization: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where file bytes may come from; `rewrites` maps `host:port` to an address.

    `private_hosts` (names) may resolve to addresses inside the own network.
    """

    hosts: frozenset[str]
    rewrites: Mapping[str, str]
    private_hosts: frozenset[str] = frozenset()


def read_flux(
    read: EnvironmentReader, *, production: bool, page_size: int | None
) -> FluxSettings:
    """`page_size` is the largest page that is allowed; None when any is."""
    given = read.text("FLUX_URL")
    schema = read.text("FLUX_POSTGREST_SCHEMA")
    if given is None:
        given, file_schema = _flux_json(read)
        schema = schema or file_schema
    url = read.url("FLUX_URL", given) if given else ""
    _check_transport(read, "FLUX_URL", url, production=production)
    if schema and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]{0,62}", schema):
        read.mistake(
            "FLUX_POSTGREST_SCHEMA",
            "is not the name of a schema.",
            "Letters, digits and _, as `flux list` shows it.",
        )
    return FluxSettings(url=url, schema=schema, max_rows=_max_rows(read, page_size))


def _max_rows(read: EnvironmentReader, page_size: int | None) -> int | None:
    """A page and the row that tells of a next one must fit into an answer."""
    if read.text("FLUX_MAX_ROWS") is None:
        return None
    rows = read.integer("FLUX_MAX_ROWS", least=2, most=1_000_000)
    if page_size is None or rows <= page_size:
        read.mistake(
            "FLUX_MAX_ROWS",
            f"is {rows}, and a page may have {page_size or 'any number of'} rows.",
            "Lower LIMIT_PAGE_SIZE below it, or raise db-max-rows.",
        )
    return rows


def _flux_json(read: EnvironmentReader) -> tuple[str, str | None]:
    """Address and schema out of flux.json; ("", None) with a mistake noted."""
    path = Path(read.required("FLUX_CONFIG"))
    try:
        found: object = json.loads(path.read_bytes())
    except OSError:
        read.mistake(
            "FLUX_URL",
            f"is not set, and {path} cannot be read.",
            "Set it to the Service URL that `flux list` shows.",
        )
        return "", None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        read.mistake("FLUX_CONFIG", f"{path} is not a JSON object.", "Run `flux init`.")
        return "", None
    schema = found.get("apiSchema")
    address = found.get("apiUrl") or _flux_address(read, path, found)
    return str(address), schema if isinstance(schema, str) and schema else None


def _flux_address(
    read: EnvironmentReader, path: Path, found: Mapping[str, object]
) -> str:
    slug, tag = found.get("slug"), str(found.get("hash", "")).lower()
    if tag == FLUX_PLACEHOLDER.lower():
        read.mistake(
            "FLUX_CONFIG", f"{path} still holds the placeholder.", "Run `flux init`."
        )
        return ""
    if not (
        isinstance(slug, str)
        and re.fullmatch(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", slug)
        and re.fullmatch(r"[0-9a-f]{7}", tag)
    ):
        read.mistake(
            "FLUX_CONFIG",
            f"{path} lacks a slug or a hash of 7 hex digits.",
            "Run `flux init`, or set FLUX_URL.",
        )
        return ""
    return f"https://api--{slug}--{tag}.{read.required('FLUX_BASE_DOMAIN')}"


def read_conduit(read: EnvironmentReader, *, production: bool) -> ConduitSettings:
    given = read.required("CLIENT_BASE_URL")
    url = read.url("CLIENT_BASE_URL", given) if given else ""
    _check_transport(read, "CLIENT_BASE_URL", url, production=production)
    parts = split_url(url)
    if parts is not None and parts.port == CONDUIT_ADMIN_PORT:
        read.mistake(
            "CLIENT_BASE_URL",
            "names port 3030, Conduit's Admin API.",
            "Use the client API's port, usually 3000.",
        )
    client_id = read.text("CONDUIT_CLIENT_ID")
    client_secret = read.text("CONDUIT_CLIENT_SECRET")
    if client_secret and not client_id:
        read.mistake(
            "CONDUIT_CLIENT_ID",
            "is not set, but CONDUIT_CLIENT_SECRET is.",
            "Set both or neither.",
        )
    ownership = read.choice("CONDUIT_OWNERSHIP", ("viewer", "upstream"))
    guarded = read.choice("CONDUIT_STORAGE_AUTHORIZATION", ("off", "on"))
    return ConduitSettings(
        url=url,
        client_id=client_id,
        client_secret=client_secret,
        checks_ownership=ownership == "viewer",
        storage_authorization=guarded == "on",
    )


def read_storage(read: EnvironmentReader, conduit_url: str) -> StorageSettings:
    hosts = read.names("STORAGE_HOSTS")
    for host in hosts:
        if not re.fullmatch(r"(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?", host):
            read.mistake(
                "STORAGE_HOSTS",
                f"{host[:80]!r} is not a host.",
                "host or host:port, lower case, no scheme and no wildcard.",
            )
    if not hosts and (parts := split_url(conduit_url)) is not None:
        names = {parts.hostname or "", "localhost"}
        hosts = tuple(
            f"{name}:{port}" for name in names for port in LOCAL_STORAGE_PORTS
        )
    rewrites = _rewrites(read)
    return StorageSettings(
        hosts=frozenset(hosts),
        rewrites=rewrites,
        private_hosts=_private_hosts(read, hosts, rewrites),
    )


def _private_hosts(
    read: EnvironmentReader, hosts: Iterable[str], rewrites: Mapping[str, str]
) -> frozenset[str]:
    """Those of the setting, names that can only be internal, targets of rewrites."""
    named = (split_url(f"//{host}") for host in hosts)
    targets = (split_url(target) for target in rewrites.values())
    internal = {
        parts.hostname
        for parts in named
        if parts is not None and _is_internal(parts.hostname or "")
    }
    rewritten = {parts.hostname for parts in targets if parts is not None}
    known = {name for name in internal | rewritten if name is not None}
    return frozenset({*read.names("STORAGE_PRIVATE_HOSTS"), *known})


def _rewrites(read: EnvironmentReader) -> dict[str, str]:
    rewrites: dict[str, str] = {}
    for item in read.names("STORAGE_REWRITE"):
        source, separator, target = item.partition("=")
        if not separator or not source or "/" in source:
            read.mistake(
                "STORAGE_REWRITE",
                f"{item[:80]!r} is not of the form host:port=http://host:port.",
                "For example: localhost:3100=http://conduit-storage:3100",
            )
            continue
        rewrites[source.lower()] = read.url("STORAGE_REWRITE", target)
    return rewrites


def _check_transport(
    read: EnvironmentReader, name: str, url: str, *, production: bool
) -> None:
    """In production tokens travel in the clear only inside one's own network."""
    parts = split_url(url)
    if not production or parts is None or parts.scheme == "https":
        return
    if not _is_internal(parts.hostname or ""):
        read.mistake(
            name,
            "is http, and the host is not inside your own network.",
            "Use https in production.",
        )


def _is_internal(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".internal", ".local", ".svc"))


def read_transport(read: EnvironmentReader) -> TransportName:
    return cast(TransportName, read.choice("UPSTREAM_TRANSPORT", TRANSPORTS))


def read_limits(read: EnvironmentReader) -> HTTPLimits:
    return HTTPLimits(
        connect_s=read.seconds("UPSTREAM_CONNECT_TIMEOUT_S", most=60),
        read_s=read.seconds("UPSTREAM_READ_TIMEOUT_S", most=300),
        total_s=read.seconds("UPSTREAM_TIMEOUT_S", most=300),
        max_connections=read.integer("UPSTREAM_MAX_CONNECTIONS", least=1, most=10_000),
        keepalive_s=read.seconds("UPSTREAM_KEEPALIVE_S", most=4.9),
        max_response_bytes=read.integer(
            "UPSTREAM_MAX_RESPONSE_BYTES", least=65_536, most=2**30
        ),
    )


def read_ca_bundle(read: EnvironmentReader) -> Path | None:
    value = read.text("CA_BUNDLE")
    if value is None:
        return None
    path = Path(value)
    if not path.is_file():
        read.mistake("CA_BUNDLE", "is not a file.", "Give the path of a PEM file.")
    return path
