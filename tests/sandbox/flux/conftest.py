"""A real PostgreSQL for each file of tests; each test takes its own database."""

import itertools
from collections.abc import AsyncIterator

import asyncpg
import pytest

from sandbox.launch import PostgresServer


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for all, so that the server below can outlive one test."""
    return "asyncio"


@pytest.fixture(scope="module")
async def postgres(anyio_backend: str) -> AsyncIterator[PostgresServer]:
    async with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def database_names() -> "itertools.count[int]":
    return itertools.count()


@pytest.fixture
async def database(
    postgres: PostgresServer, database_names: "itertools.count[int]"
) -> AsyncIterator[str]:
    """The superuser's address of an empty database."""
    name = f"test_{next(database_names)}"
    admin = await asyncpg.connect(postgres.dsn)
    await admin.execute(f"create database {name}")
    try:
        yield postgres.dsn.replace("/postgres?", f"/{name}?")
    finally:
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()
