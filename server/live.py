"""What both live transports share: the context of a subscription, and its events.

Used by `websocket.py` and `event_stream.py`. A subscription outlives many requests: its
context takes tokens and deadline anew for every batch of events.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from graphql import GraphQLError
from starlette.types import Scope
from strawberry import Schema
from strawberry.types.execution import PreExecutionError

from resolvers.context import RequestContext
from schema.errors import ErrorCode
from session.session import Session, SessionRef
from session.tasks import watch

from .context import request_context, resources_of
from .graphql import codes_of, payload_of
from .graphql_request import GraphQLRequest

CHANGES_MISSED: Final = str(ErrorCode.CHANGES_MISSED)


@dataclass(frozen=True, slots=True)
class Event:
    """One result. `refused`: the subscription never began; `payload` has only errors.

    `missed`: it ends here because the subscriber has not been told everything.
    """

    payload: dict[str, object]
    refused: bool
    missed: bool


async def open_session(scope: Scope, ref: SessionRef) -> None:
    """Make sure that the session has not ended. One vault read.

    Raises: NotAuthenticatedError, UpstreamUnavailableError.
    """
    resources = resources_of(scope)
    deadline = asyncio.get_running_loop().time() + resources.settings.deadline_s
    # In a task of its own, since redis-py may forget that its caller was cancelled.
    reading = resources.keeper.tasks.start(resources.keeper.resolve(ref))
    await watch(reading, deadline=deadline, what="vault read")


def live_context(scope: Scope, ref: SessionRef) -> RequestContext:
    """The context of one subscription of a session."""

    def fresh() -> RequestContext:
        # A session of its own: when it ends there is no answer to write a cookie to.
        context = request_context(scope, Session(ref))
        context.scope.calls = []  # the log of all events would never stop growing
        return context

    context = fresh()
    context.renewed = fresh
    return context


async def events_of(
    schema: Schema, request: GraphQLRequest, context: RequestContext
) -> AsyncGenerator[Event, None]:
    """The results of a subscription, until it ends or is closed."""
    context.trusted_document = request.trusted
    results = await schema.subscribe(
        request.query,
        variable_values=request.variables,
        context_value=context,
        operation_name=request.operation_name,
    )
    clock = asyncio.get_running_loop().time
    try:
        async with aclosing(results):
            async for result in results:
                payload, told_at = payload_of(result), clock()
                yield Event(
                    payload,
                    refused=isinstance(result, PreExecutionError),
                    missed=CHANGES_MISSED in codes_of(payload),
                )
                # The deadline is about upstreams, not about the subscriber's own pace.
                context.scope.deadline += clock() - told_at
    except GraphQLError as error:  # the document was refused before it was validated
        yield Event({"errors": [error.formatted]}, refused=True, missed=False)
