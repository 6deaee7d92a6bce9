"""`/graphql`: GraphQL over HTTP, as a bare ASGI route.

POST runs any operation, GET only queries. The media type of the answer follows
`Accept`, and the status follows the media type (GraphQL-over-HTTP specification):
`application/json` is 200 for every well-formed request, `application/
graphql-response+json` is 400 when the operation never ran. A browser that asks for
HTML gets GraphiQL. Mistakes in a request are answered with 4xx, never with a 5xx.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Final

import orjson
import strawberry
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.schema.exceptions import (
    CannotGetOperationTypeError,
    InvalidOperationTypeError,
)
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from .graphql_request import GraphQLRequest, from_body, from_query_string
from .guard import carries_cookie, is_simple, preflight_required
from .media_types import GRAPHQL_RESPONSE, HTML, JSON, negotiate
from .refusals import RefusalCode, RefusalError, method_not_allowed, send_whole
from .trace import trace_of

READ_ONLY: Final = frozenset({OperationType.QUERY})
ANY_OPERATION: Final = frozenset({OperationType.QUERY, OperationType.MUTATION})
_NAME: Final = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,99}")


class GraphQLEndpoint:
    """One schema behind HTTP. `context_of` makes the context of a request.

    `page` answers browsers; None leaves them without GraphiQL.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        context_of: Callable[[Scope], object],
        *,
        body_s: float,
        cookie_name: str,
        page: ASGIApp | None,
    ) -> None:
        self._schema = schema
        self._context_of = context_of
        self._body_s = body_s
        self._cookie_name = cookie_name
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            raise method_not_allowed("GET", "POST")
        media_type = self._media_type(scope, headers)
        if media_type == HTML and self._page is not None:
            await self._page(scope, receive, send)
        elif method == "POST":
            body = await _read_body(scope, receive, self._body_s)
            request = from_body(headers.get("content-type", ""), body)
            await self._answer(scope, send, request, media_type, ANY_OPERATION)
        else:
            request = from_query_string(scope["query_string"])
            # A link on another site is a GET with the cookie: harmless, since a GET
            # changes nothing, but not even the work is done for it.
            if is_simple(headers) and carries_cookie(headers, self._cookie_name):
                raise preflight_required()
            await self._answer(scope, send, request, media_type, READ_ONLY)

    def _media_type(self, scope: Scope, headers: Headers) -> str:
        offered = [JSON, GRAPHQL_RESPONSE]
        if self._page is not None and scope["method"] != "POST":
            offered.append(HTML)
        # Several Accept headers count as one with commas (RFC 9110, section 5.2).
        accept = ",".join(headers.getlist("accept"))
        media_type = negotiate(accept, offered)
        if media_type is None:
            raise RefusalError(
                406,
                RefusalCode.NOT_ACCEPTABLE,
                f"This server answers with {GRAPHQL_RESPONSE} or {JSON}.",
            )
        return media_type

    async def _answer(
        self,
        scope: Scope,
        send: Send,
        request: GraphQLRequest,
        media_type: str,
        allowed: frozenset[OperationType],
    ) -> None:
        trace = trace_of(scope)
        trace.operation = _loggable(request.operation_name)
        result = await self._execute(scope, request, allowed)
        payload = _payload(result)
        trace.error_codes += _codes(payload)
        body = orjson.dumps(payload)
        await send_whole(
            send,
            _status(payload, media_type),
            {
                "content-type": f"{media_type}; charset=utf-8",
                "content-length": str(len(body)),
                "cache-control": "no-store",
                "vary": "Accept",
            },
            b"" if scope["method"] == "HEAD" else body,
        )

    async def _execute(
        self,
        scope: Scope,
        request: GraphQLRequest,
        allowed: frozenset[OperationType],
    ) -> ExecutionResult:
        try:
            result = await self._schema.execute(
                request.query,
                variable_values=request.variables,
                context_value=self._context_of(scope),
                operation_name=request.operation_name,
                allowed_operation_types=allowed,
                operation_extensions=request.extensions,
            )
        except CannotGetOperationTypeError:
            raise _unresolved(
                "The document must hold one operation, or operationName must name one."
            ) from None
        except InvalidOperationTypeError:
            if allowed is READ_ONLY:
                raise _only_queries_by_get() from None
            raise _unresolved(
                "Subscriptions do not run over a plain HTTP request."
            ) from None
        if not isinstance(result, ExecutionResult):
            raise TypeError(f"unexpected result of the schema: {type(result)}")
        return result


async def _read_body(scope: Scope, receive: Receive, timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await Request(scope, receive).body()
    except TimeoutError:
        raise RefusalError(
            408,
            RefusalCode.REQUEST_TIMEOUT,
            "The body did not arrive in time.",
            headers={"connection": "close"},
        ) from None


def _payload(result: ExecutionResult) -> dict[str, object]:
    """The response map. Without any data entry when the operation never ran."""
    payload: dict[str, object] = {}
    errors = result.errors or []
    if errors:
        payload["errors"] = [error.formatted for error in errors]
    # An error of a field has a path; an error of the request has none.
    if result.data is not None or any(error.path is not None for error in errors):
        payload["data"] = result.data
    if result.extensions:
        payload["extensions"] = result.extensions
    return payload


def _status(payload: dict[str, object], media_type: str) -> int:
    ran = "data" in payload
    return 200 if ran or media_type == JSON else 400


def _codes(payload: dict[str, object]) -> list[str]:
    errors = payload.get("errors", [])
    if not isinstance(errors, list):
        return []
    return [str(error.get("extensions", {}).get("code")) for error in errors]


def _loggable(operation_name: str | None) -> str | None:
    return operation_name if _NAME.fullmatch(operation_name or "") else None


def _unresolved(message: str) -> RefusalError:
    return RefusalError(400, RefusalCode.OPERATION_RESOLUTION_FAILURE, message)


def _only_queries_by_get() -> RefusalError:
    return RefusalError(
        405,
        RefusalCode.METHOD_NOT_ALLOWED,
        "Only queries run by GET; use POST.",
        headers={"allow": "POST"},
    )
