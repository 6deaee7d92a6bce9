"""A pytest plugin for graphql-core's own tests: makes its executor follow plans."""

from __future__ import annotations

import sys

import graphql
import pytest
from graphql.execution.incremental import IncrementalExecutor

from engine import compiled_executor

assert graphql
EXECUTE = sys.modules["graphql.execution.execute"]
EXECUTOR = compiled_executor(IncrementalExecutor)
EXECUTE.IncrementalExecutor = EXECUTOR  # type: ignore[attr-defined]
# graphql_sync() switches the look-out for awaitables off, which no plan does
EXECUTE.assume_not_awaitable = EXECUTE.default_is_awaitable  # type: ignore[attr-defined]
EXECUTE.assume_not_async_iterable = (  # type: ignore[attr-defined]
    EXECUTE.default_is_async_iterable
)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell how many operations ran by a plan."""
    engines = list(EXECUTOR.engines.values())
    print(f"\nby plan: {sum(e.counts.compiled for e in engines)}")
