"""The peers as a table, each with what it needs installed.

Used by `__main__.py`. None of them knows our session: each takes the upstreams' token
from the request and passes it on, as a gateway does; `ours` unseals a cookie and reads
a vault for it. README.md tells of the differences that remain.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.servers import Server

from . import install
from .install import MissingError

_UPSTREAMS = {"FLUX_URL": "{flux}", "CLIENT_BASE_URL": "{conduit}"}
_NODE = {"NODE_ENV": "production", "PORT": "{port}"}
_QUIET = {
    "TC_TELEMETRY": "false",
    "TC_TRACKER": "false",
    "TC_LOG_LEVEL": "error",
}


@dataclass(slots=True)
class Peers:
    """Those that can take part, and why the others cannot."""

    servers: list[Server] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


def _node_program(name: str, title: str) -> Server:
    folder = install.node_project("node")
    return Server(
        name=name,
        title=title,
        command=("node", str(folder / f"{name}.mjs")),
        env={**_UPSTREAMS, **_NODE},
        session="bearer",
    )


def _mercurius() -> Server:
    return _node_program("mercurius", "Fastify, Mercurius with its JIT compiler")


def _yoga() -> Server:
    return _node_program("yoga", "GraphQL Yoga with graphql-jit and DataLoader")


def _apollo() -> Server:
    return _node_program("apollo", "Apollo Server with its REST data source")


def _tailcall() -> Server:
    command = install.tailcall(install.node_project("node"))
    return Server(
        name="tailcall",
        title="Tailcall, written in Rust",
        command=(*command, "start", "{config}"),
        env=_QUIET,
        session="bearer",
        dialect=_documents("tailcall"),
        config=install.SOURCES / "tailcall" / "graph.graphql",
    )


def _hive() -> Server:
    folder = install.node_project("hive")
    install.supergraph(folder)
    gateway = str(folder / "node_modules" / ".bin" / "hive-gateway")
    config = str(folder / "gateway.config.mjs")
    return Server(
        name="hive",
        title="Hive Gateway with Mesh's JSON schema handler",
        command=("node", gateway, "supergraph", "-c", config),
        env={**_NODE, "UPSTREAM_URL": "{conduit}"},
        session="bearer",
        dialect=_documents("hive"),
    )


def _documents(name: str) -> dict[str, Path]:
    """The documents of a dialect: `Q2.graphql` is what it is asked for Q2."""
    return {path.stem: path for path in (install.SOURCES / name).glob("Q*.graphql")}


PEERS: dict[str, Callable[[], Server]] = {
    "mercurius": _mercurius,
    "yoga": _yoga,
    "tailcall": _tailcall,
    "apollo": _apollo,
    "hive": _hive,
}


def installed(names: Collection[str], tell: Callable[[str], None]) -> Peers:
    """Install what is missing; minutes the first time, nothing afterwards."""
    peers = Peers()
    for name in names:
        tell(f"peers: {name}")
        try:
            peers.servers.append(PEERS[name]())
        except MissingError as error:
            peers.missing.append(f"{name} does not take part: {error}")
    if peers.servers:
        peers.versions = install.versions()
    return peers
