"""What both live transports share."""

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any, cast

from clock import timeless
from graphql import ExecutionResult

from clients.http import CallScope
from resolvers.context import RequestContext
from server.graphql_request import GraphQLRequest
from server.live import events_of


def test_the_time_that_a_subscriber_takes_is_not_taken_from_the_next_event() -> None:
    """Events that came together share a deadline, but are told one after the other."""
    left: list[float] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        scope = CallScope("live", deadline=loop.time() + 10)
        context = cast(RequestContext, SimpleNamespace(scope=scope))

        async def together() -> AsyncGenerator[ExecutionResult, None]:
            for _ in range(3):
                left.append(scope.deadline - loop.time())
                yield ExecutionResult({"changed": True})

        async def subscribe(*_: object, **__: object) -> Any:
            return together()

        schema: Any = SimpleNamespace(subscribe=subscribe)
        request = GraphQLRequest("subscription", None, None, None)
        async for _ in events_of(schema, request, context):
            await asyncio.sleep(9)

    timeless(work())
    assert left == [10, 10, 10]
