"""Opens the connection to Redis: one server, Sentinel or Cluster, with or without TLS.

Called by `server/resources.py`; what comes out goes into `RedisVault`. Relies on
redis-py's own classes for discovery and failover.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


class RedisPipeline(Protocol):
    """Commands sent together; not a transaction."""

    def execute_command(self, *args: object) -> object: ...

    def execute(self) -> Awaitable[list[object]]: ...


class RedisCommands(Protocol):
    """The little that `RedisVault` needs of redis-py, the same for all its clients."""

    def execute_command(self, *args: object) -> Awaitable[object]: ...

    def pipeline(self, transaction: bool = False) -> RedisPipeline: ...

    def aclose(self) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """Where Redis is and how long to wait for it.

    `url` is one of::

        redis://[user:password@]host:6379/0      rediss://… for TLS
        unix:///path/to/socket
        redis+sentinel://[user:password@]host:26379,host:26379/master-name/0
        redis+cluster://[user:password@]host:6379,host:6379

    with `rediss+sentinel` and `rediss+cluster` for TLS. `ca_bundle` is a file.
    """

    url: str
    ca_bundle: str | None = None
    connect_timeout_s: float = 1.0
    answer_timeout_s: float = 2.0
    max_connections: int = 64

    def __repr__(self) -> str:
        return f"RedisSettings(scheme={urlsplit(self.url).scheme!r})"


def connect(settings: RedisSettings) -> RedisCommands:
    """A client for `settings`; nothing is sent before its first command.

    Raises: ValueError for an address that cannot be understood, without its password.
    """
    address = urlsplit(settings.url)
    if address.scheme not in SCHEMES:
        raise ValueError(f"the scheme must be one of {', '.join(SCHEMES)}")
    # redis-py's clients share no base class that its type hints spell out.
    if address.scheme.endswith("+sentinel"):
        return cast(RedisCommands, _sentinel(address, settings))
    if address.scheme.endswith("+cluster"):
        return cast(RedisCommands, _cluster(address, settings))
    pool = BlockingConnectionPool.from_url(
        settings.url,
        max_connections=settings.max_connections,
        timeout=settings.answer_timeout_s,
        **_options(settings, tls=address.scheme == "rediss"),
    )
    return cast(RedisCommands, Redis.from_pool(pool))


def single_server(client: RedisCommands) -> BlockingConnectionPool | None:
    """The pool of a client of one server; None for Sentinel and Cluster."""
    pool = getattr(client, "connection_pool", None)
    return pool if isinstance(pool, BlockingConnectionPool) else None


class _SentinelRedis(Redis):
    """Closes the connections to the Sentinels too, which redis-py leaves open."""

    sentinels: Sequence[Redis] = ()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        for sentinel in self.sentinels:
            await sentinel.aclose()


def _sentinel(address: SplitResult, settings: RedisSettings) -> Redis:
    tls = address.scheme.startswith("rediss")
    name, _, database = address.path.lstrip("/").partition("/")
    if not name:
        raise ValueError("a Sentinel address ends in the name of the master")
    options = _options(settings, tls=tls)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py left it untyped
        _hosts(address, 26379),
        sentinel_kwargs={**options, "ssl": tls},
        **{**options, "ssl": tls, **_login(address)},
    )
    master: _SentinelRedis = sentinel.master_for(
        name,
        redis_class=_SentinelRedis,
        db=int(database or 0),
        max_connections=settings.max_connections,
    )
    master.sentinels = sentinel.sentinels
    return master


def _cluster(address: SplitResult, settings: RedisSettings) -> RedisCluster:
    tls = address.scheme.startswith("rediss")
    return RedisCluster(
        startup_nodes=[ClusterNode(*host) for host in _hosts(address, 6379)],
        **{
            "max_connections": settings.max_connections,
            "ssl": tls,
            **_options(settings, tls=tls),
            **_login(address),
        },
    )


def _options(settings: RedisSettings, *, tls: bool) -> dict[str, Any]:
    # Any: keyword arguments of redis-py, each of a type of its own.
    options: dict[str, Any] = {
        "socket_connect_timeout": settings.connect_timeout_s,
        "socket_timeout": settings.answer_timeout_s,
        # RESP2 needs the fewest commands at connect, so the shortest ACL.
        "protocol": 2,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), retries=2),
    }
    if tls and settings.ca_bundle:
        options["ssl_ca_certs"] = settings.ca_bundle
    return options


def _hosts(address: SplitResult, port: int) -> list[tuple[str, int]]:
    """The hosts of `user:password@a:1,b:2,[::1]:3`."""
    hosts = address.netloc.rpartition("@")[2].split(",")
    parts = [urlsplit(f"//{host}") for host in hosts]
    if not all(part.hostname for part in parts):
        raise ValueError("a host is missing")
    return [(part.hostname or "", part.port or port) for part in parts]


def _login(address: SplitResult) -> dict[str, str]:
    user, _, password = address.netloc.rpartition("@")[0].partition(":")
    login = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in login.items() if value}
