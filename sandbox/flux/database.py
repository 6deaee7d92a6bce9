"""Runs one statement as the caller, in one transaction, and counts nothing else.

`rest.py` calls `Database.run`. It relies on asyncpg and on a login role that may take
the callers' roles, so grants and row-level security are PostgreSQL's own.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from .catalog import Catalog, load_catalog
from .errors import database_unreachable, from_postgres, pool_exhausted
from .settings import FluxSettings
from .sql import literal, search_path

# What asyncpg raises when the server is gone; errors that it sent are PostgresError.
_LOST = (OSError, asyncpg.InterfaceError, asyncpg.ConnectionDoesNotExistError)


_CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the role that the statement runs as and the claims policies see."""

    role: str
    claims: str
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """How a statement runs."""

    caller: Caller
    schema: str
    read_only: bool
    timezone: str | None = None


class Database:
    """A bounded pool of connections of the login role, and the schema cache."""

    def __init__(self, dsn: str, settings: FluxSettings) -> None:
        self._dsn = dsn
        self._settings = settings
        self._pool: asyncpg.Pool[Any] | None = None
        self._listener: asyncpg.Connection[Any] | None = None
        self._catalog: Catalog | None = None
        self._loading = asyncio.Lock()

    async def open(self) -> None:
        """Connect and load the schema cache. Raises: OSError, asyncpg errors."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=self._settings.pool_size,
            # Every statement has its own text, so none is kept; a cache of size 0
            # would have asyncpg send each of them twice.
            statement_cache_size=1,
            max_cacheable_statement_size=1,
            # Everything that a request sets is local to its transaction.
            reset=_leave_as_it_is,
        )
        await self.catalog()

    async def close(self) -> None:
        """Disconnect; statements that still run have a second to end."""
        if self._listener is not None:
            await self._listener.close()
        if self._pool is not None:
            with suppress(TimeoutError):  # a cancelled close terminates the rest
                await asyncio.wait_for(self._pool.close(), _CLOSE_S)

    async def catalog(self) -> Catalog:
        """The schema cache. Raises: FluxError PGRST002 while there is no database."""
        if self._catalog is None:
            async with self._loading:
                if self._catalog is None:
                    self._catalog = await self._load()
        return self._catalog

    async def _load(self) -> Catalog:
        try:
            if self._listener is None or self._listener.is_closed():
                self._listener = await asyncpg.connect(self._dsn)
                await self._listener.add_listener("pgrst", self._forget)
            return await load_catalog(self._listener, self._settings.schemas)
        except _LOST as error:
            raise database_unreachable() from error

    def _forget(self, *_: object) -> None:
        self._catalog = None

    async def is_up(self) -> bool:
        """Whether a connection can be had and answers."""
        if self._pool is None:
            return False
        try:
            async with self._pool.acquire(timeout=1) as connection:
                await connection.execute("select 1")
        except (TimeoutError, *_LOST):
            return False
        return True

    async def run(
        self,
        transaction: Transaction,
        statement: str,
        check: Callable[[asyncpg.Record], None],
    ) -> asyncpg.Record:
        """Run the statement, which gives one row; undo it if `check` raises.

        Raises: FluxError with PostgreSQL's code, PGRST002 or PGRST003.
        """
        connection = await self._acquire()
        try:
            await connection.execute(self._prelude(transaction))
            # One row always; fetchrow would ask the server once more than fetch.
            (row,) = await connection.fetch(statement)
            check(row)
            await connection.execute("commit")
        except _LOST as error:
            self._forget()
            raise database_unreachable() from error
        except asyncpg.PostgresError as error:
            anonymous = transaction.caller.anonymous
            raise from_postgres(
                error,
                anonymous=anonymous,
                unknown_role_status=self._settings.dialect.unknown_role_status,
            ) from error
        finally:
            await self._release(connection)
        return row

    async def estimate(self, transaction: Transaction, statement: str) -> int:
        """How many rows the planner expects. Raises: as `run`."""
        explained = f"explain (format json) {statement}"
        row = await self.run(transaction, explained, lambda _: None)
        return int(json.loads(row[0])[0]["Plan"]["Plan Rows"])

    async def _acquire(self) -> "asyncpg.pool.PoolConnectionProxy[Any]":
        if self._pool is None:
            raise database_unreachable()
        try:
            return await self._pool.acquire(timeout=self._settings.pool_timeout_s)
        except TimeoutError as error:
            raise pool_exhausted() from error
        except (*_LOST, asyncpg.CannotConnectNowError) as error:
            self._forget()
            raise database_unreachable() from error

    async def _release(
        self, connection: "asyncpg.pool.PoolConnectionProxy[Any]"
    ) -> None:
        assert self._pool is not None  # noqa: S101 - it gave the connection
        # After `close` terminated it, nothing is left to roll back or release.
        with suppress(*_LOST, asyncpg.PostgresError):
            if not connection.is_closed() and connection.is_in_transaction():
                await connection.execute("rollback")
        with suppress(*_LOST):
            await self._pool.release(connection)

    def _prelude(self, transaction: Transaction) -> str:
        settings = {
            "role": transaction.caller.role,
            "request.jwt.claims": transaction.caller.claims,
            "search_path": search_path(transaction.schema),
            "statement_timeout": f"{self._settings.statement_timeout_s * 1000:.0f}",
        }
        if transaction.timezone:
            settings["timezone"] = transaction.timezone
        values = ", ".join(
            f"set_config({literal(name)}, {literal(value)}, true)"
            for name, value in settings.items()
        )
        mode = "read only" if transaction.read_only else "read write"
        return f"begin {mode}; select {values}"


async def _leave_as_it_is(_: object) -> None:
    return None
