"""`RedisVault`: the vault in Redis or Valkey, one server, Sentinel or Cluster.

Made by `server/resources.py` on what `redis_connection.connect` gives; a `TokenVault`.
The only module, with `redis_reader.py` below it, that sends Redis commands of the
vault.

Names in Redis: `vault:{vaultKey}` is shared with the Next.js application of the
Conduit guide; everything else stands under our own prefix::

    mainstem:sessions:{userId}   hash, vault key → SessionEntry: a person's devices
    mainstem:lock:{name}         text, the owner of a lease, with its expiry
    mainstem:count:{name}        number, attempts in a window, with its expiry
    mainstem:account:{digest}    text, whose account an e-mail address is
    mainstem:claim:{digest}      text, what became of a write with an idempotency key

Every command touches one name, every script too, so a Cluster may keep the names on
different nodes. Commands in use, for an ACL: GET SET GETDEL DEL EXPIRE HGET HGETALL
HSET HDEL EVALSHA EVAL PING, inside scripts INCR PEXPIRE PTTL HEXISTS, and the client's
own AUTH SELECT CLIENT|SETINFO (Cluster: CLUSTER COMMAND ASKING). Never KEYS or SCAN.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from redis.exceptions import (
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from clients.conduit.records import TokenPair
from clients.errors import VaultUnavailableError

from . import redis_scripts
from .claims import Claim
from .encryption import RecordCodec
from .outage import Outage
from .records import SessionEntry, VaultRecord
from .redis_connection import RedisCommands, single_server
from .redis_reader import RedisReader
from .session import SessionRef
from .shared_read import SharedRead

T = TypeVar("T")


class RedisVault:
    """The vault in Redis or Valkey 6.2 or later; one per process."""

    def __init__(
        self,
        client: RedisCommands,
        codec: RecordCodec,
        *,
        record_prefix: str = "vault:",
        prefix: str = "mainstem:",
        record_ttl_s: int = 604_800,
        index_ttl_s: int = 2_678_400,
        max_in_flight: int = 64,
    ) -> None:
        """`index_ttl_s` must be longer than any session may live.

        `max_in_flight` must not exceed the client's number of connections.
        """
        self._client = client
        self._codec = codec
        # From a vault key to the name of its record.
        self._record = record_prefix.__add__
        self._prefix = prefix
        self._record_ttl_s = record_ttl_s
        self._index_ttl_s = index_ttl_s
        self._in_flight = asyncio.Semaphore(max_in_flight)
        self._outage = Outage()
        # None for Sentinel and Cluster: redis-py finds the node for each command.
        pool = single_server(client)
        self._reader = RedisReader(pool, self._outage) if pool is not None else None

    async def resolve(
        self, ref: SessionRef
    ) -> tuple[VaultRecord | None, SessionEntry | None]:
        stored, entry = await self._together(
            ("GET", self._record(ref.vault_key)),
            ("HGET", self._index(ref.user_id), ref.vault_key),
        )
        record = self._codec.decode(ref.vault_key, stored, ref.user_id)
        raw = _bytes(entry)
        return record, SessionEntry.from_json(raw) if raw is not None else None

    async def read(
        self, vault_keys: Iterable[str], user_id: str | None = None
    ) -> dict[str, VaultRecord]:
        keys = list(vault_keys)
        # Not MGET: in a Cluster the records lie on different nodes.
        values = await self._together(*(("GET", self._record(key)) for key in keys))
        decoded = {
            key: self._codec.decode(key, value, user_id)
            for key, value in zip(keys, values, strict=True)
        }
        return {key: record for key, record in decoded.items() if record is not None}

    def begin_read(
        self, ref: SessionRef, *, deadline: float
    ) -> SharedRead[VaultRecord | None] | None:
        if self._reader is None:
            return None
        name = self._record(ref.vault_key)
        decode = partial(self._codec.decode, ref.vault_key, user_id=ref.user_id)
        return self._reader.ask("GET", name, convert=decode, deadline=deadline)

    async def create(self, vault_key: str, pair: TokenPair) -> None:
        stored = self._codec.encode(vault_key, pair, {}).stored
        await self._run(
            "SET", self._record(vault_key), stored, "EX", self._record_ttl_s
        )

    async def swap(
        self, vault_key: str, record: VaultRecord, pair: TokenPair
    ) -> VaultRecord | None:
        new = self._codec.encode(vault_key, pair, record.other)
        name = self._record(vault_key)
        swapped = await self._script(
            redis_scripts.SWAP, name, record.stored, new.stored, self._record_ttl_s
        )
        return new if swapped == 1 else None

    async def discard(self, vault_key: str, record: VaultRecord) -> bool:
        name = self._record(vault_key)
        return await self._script(redis_scripts.DISCARD, name, record.stored) == 1

    async def take(self, vault_key: str) -> VaultRecord | None:
        stored = await self._run("GETDEL", self._record(vault_key))
        return self._codec.decode(vault_key, stored)

    async def entries(self, user_id: str) -> dict[str, SessionEntry]:
        found = await self._run("HGETALL", self._index(user_id))
        if not isinstance(found, dict):
            return {}
        parsed = {
            key.decode("utf-8", "replace"): SessionEntry.from_json(value)
            for key, value in found.items()
        }
        return {key: entry for key, entry in parsed.items() if entry is not None}

    async def enter(self, ref: SessionRef, entry: SessionEntry) -> None:
        await self._script(
            redis_scripts.ENTER,
            self._index(ref.user_id),
            ref.vault_key,
            entry.to_json(),
            self._index_ttl_s,
        )

    async def touch(self, ref: SessionRef, entry: SessionEntry) -> None:
        name = self._index(ref.user_id)
        await asyncio.gather(
            self._run("EXPIRE", self._record(ref.vault_key), self._record_ttl_s),
            self._script(
                redis_scripts.TOUCH,
                name,
                ref.vault_key,
                entry.to_json(),
                self._index_ttl_s,
            ),
        )

    async def leave(self, user_id: str, vault_keys: Iterable[str]) -> None:
        keys = list(vault_keys)
        if keys:
            await self._run("HDEL", self._index(user_id), *keys)

    async def hold(self, name: str, owner: str, lease_s: float) -> bool:
        lease_ms = int(lease_s * 1000)
        return (
            await self._script(
                redis_scripts.HOLD, self._own("lock", name), owner, lease_ms
            )
            == 1
        )

    async def release(self, name: str, owner: str) -> None:
        await self._script(redis_scripts.RELEASE, self._own("lock", name), owner)

    async def count(self, name: str, window_s: int) -> tuple[int, float]:
        answer = await self._script(
            redis_scripts.COUNT, self._own("count", name), window_s
        )
        if not isinstance(answer, list):
            raise VaultUnavailableError("no count from the vault", service="vault")
        return int(answer[0]), int(answer[1]) / 1000

    async def forget_count(self, name: str) -> None:
        await self._run("DEL", self._own("count", name))

    async def remember_account(self, account: str, user_id: str) -> None:
        name = self._own("account", account)
        await self._run("SET", name, user_id, "EX", self._index_ttl_s)

    async def recall_account(self, account: str) -> str | None:
        raw = _bytes(await self._run("GET", self._own("account", account)))
        return raw.decode("utf-8", "replace") if raw else None

    async def claim(self, name: str, value: str, life_s: int) -> Claim | None:
        answer = await self._script(
            redis_scripts.CLAIM, self._own("claim", name), value, life_s
        )
        if not isinstance(answer, list):
            return None
        return Claim(answer[0].decode(), life_s - int(answer[1]) / 1000)

    async def replace_claim(self, name: str, old: str, new: str, life_s: int) -> bool:
        key = self._own("claim", name)
        return await self._script(redis_scripts.SWAP, key, old, new, life_s) == 1

    async def drop_claim(self, name: str, value: str) -> None:
        await self._script(redis_scripts.DISCARD, self._own("claim", name), value)

    async def ping(self) -> None:
        await self._run("PING")

    async def aclose(self) -> None:
        if self._reader is not None:
            await self._reader.aclose()
        await self._client.aclose()

    def _index(self, user_id: str) -> str:
        return self._own("sessions", user_id)

    def _own(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}:{name}"

    async def _run(self, *command: object) -> object:
        return await self._guarded(lambda: self._client.execute_command(*command))

    async def _together(self, *commands: tuple[str, ...]) -> list[object]:
        """Read all at once; a Cluster asks its nodes at the same time."""
        if self._reader is not None:
            asked = [self._reader.ask(*one, convert=_as_it_is) for one in commands]
            return [await one for one in asked]
        if len(commands) < 2:
            # A pipeline of one costs twice as much as the command itself.
            return [await self._run(*command) for command in commands]
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await self._guarded(pipeline.execute)

    def back_for_s(self) -> float:
        return self._outage.over_for_s()

    async def _script(
        self, script: redis_scripts.Script, name: str, *values: object
    ) -> object:
        async def call() -> object:
            try:
                return await self._client.execute_command(
                    "EVALSHA", script.sha, 1, name, *values
                )
            except NoScriptError:
                return await self._client.execute_command(
                    "EVAL", script.source, 1, name, *values
                )

        return await self._guarded(call)

    async def _guarded(self, call: Callable[[], Awaitable[T]]) -> T:
        self._outage.check()
        try:
            async with self._in_flight:
                self._outage.check()  # it may have begun while this one waited
                answer = await call()
        except (RedisError, RedisClusterException, OSError) as error:
            if not isinstance(error, ResponseError):
                self._outage.failed()
            # Its text may hold an address, never a value: redis-py quotes none.
            message = f"{type(error).__name__}: {error}"
            raise VaultUnavailableError(message, service="vault") from error
        self._outage.ended()
        return answer


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _as_it_is(value: object) -> object:
    return value
