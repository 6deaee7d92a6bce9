"""`/graphql`: GraphQL over HTTP, as a bare ASGI route.

POST runs any operation, GET only queries. The media type of the answer follows
`Accept`, and the status follows the media type (GraphQL-over-HTTP specification):
`application/json` is 200 for every well-formed request, `application/
graphql-response+json` is 400 when the operation never ran. A browser that asks for
HTML gets GraphiQL. Mistakes in a request are answered with 4xx, never with a 5xx.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from typing import Final

import orjson
import strawberry
from starlette.types import ASGIApp, Receive, Scope
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from resolvers.context import RequestContext
from schema.build import ANY_OPERATION

from .admission import Admission
from .alarms import Alarms
from .answer import Answer
from .answer_size import is_longer
from .context import resources_of
from .departures import ClientGoneError, WhilePresent
from .graphql_request import GraphQLRequest, from_body, from_query_string
from .guard import (
    MULTIPART,
    BoundedBody,
    is_forgeable,
    preflight_required,
)
from .head import HEAD, FixedHeaders, Head
from .incoming import ArrivingFile
from .limit_settings import LimitSettings
from .media_types import GRAPHQL_RESPONSE, HTML, JSON, negotiate
from .multipart import read_upload
from .refusals import RefusalCode, RefusalError, method_not_allowed
from .resources import Resources
from .statuses import StatusProfile, status_of

_OFFERED: Final = (JSON, GRAPHQL_RESPONSE)
_WITH_PAGE: Final = (*_OFFERED, HTML)
READ_ONLY: Final = (OperationType.QUERY,)
_HEADERS: Final[Mapping[str, FixedHeaders]] = {
    each: (
        (b"vary", b"Accept"),
        (b"content-type", f"{each}; charset=utf-8".encode()),
        (b"cache-control", b"no-store"),
    )
    for each in (JSON, GRAPHQL_RESPONSE)
}
_NAME: Final = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,99}")

log = logging.getLogger("mainstem.limits")


class GraphQLEndpoint:
    """One schema behind HTTP. `context_of` makes the context of a request.

    `page` answers browsers; None leaves them without GraphiQL.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        context_of: Callable[[Scope], RequestContext],
        *,
        body_s: float,
        cookie_name: str,
        limits: LimitSettings,
        page: ASGIApp | None,
        max_operations_bytes: int = 2**20,
        status_profile: StatusProfile = "audit",
    ) -> None:
        self._schema = schema
        self._context_of = context_of
        self._admission = Admission(limits.operations, limits.operations_per_person)
        self._response_bytes = limits.response_bytes
        self._measured_calls = limits.upstream_calls.measured
        self._body_s = body_s
        self._cookie_name = cookie_name
        self._page = page
        self._max_operations_bytes = max_operations_bytes
        self._status_profile = status_profile

    async def __call__(
        self, scope: Scope, receive: BoundedBody, answer: Answer
    ) -> None:
        """A `door.Route`."""
        method: str = scope["method"]
        head: Head = scope[HEAD]
        if method not in ("GET", "HEAD", "POST"):
            raise method_not_allowed("GET", "POST")
        media_type = self._media_type(method, head)
        if media_type == HTML and self._page is not None:
            await self._page(scope, receive, answer)
            return
        trace = answer.trace
        try:
            request, file = await self._read(scope, receive, head)
            if request.operation_name:
                trace.operation = loggable(request.operation_name)
            watched = receive if file is None else None
            result = await self._execute(scope, request, watched)
        except ClientGoneError:
            trace.error_codes.append("CLIENT_GONE")
            return
        payload = payload_of(result)
        codes = codes_of(payload) if result.errors else []
        trace.error_codes += codes
        body = orjson.dumps(payload)
        self._admission.weigh(len(body))
        if len(body) > self._response_bytes.bound or self._measured_calls is not None:
            self._check_limits(len(trace.calls), len(body), trace.request_id)
        if file is not None:
            file.check()  # an upload that ended early, whatever became of it
        await answer.send_whole(
            200
            if media_type == JSON
            else status_of(payload, codes, self._status_profile),
            _HEADERS[media_type],
            len(body),
            b"" if method == "HEAD" else body,
        )

    async def _read(
        self, scope: Scope, receive: BoundedBody, head: Head
    ) -> tuple[GraphQLRequest, ArrivingFile | None]:
        """Raises: RefusalError, ClientGoneError."""
        if scope["method"] != "POST":
            request = from_query_string(scope["query_string"])
            # A link on another site is a GET with the cookie: harmless, since a GET
            # changes nothing, but not even the work is done for it.
            if is_forgeable(head, self._cookie_name):
                raise preflight_required()
            return request, None
        if head.media_type == MULTIPART:
            return await read_upload(
                head,
                receive,
                max_operations_bytes=self._max_operations_bytes,
                silence_s=self._body_s,
            )
        direct = receive.direct
        body = None if direct is None else direct.whole_body(receive.most)
        if body is None:
            body = await read_body(receive, resources_of(scope).bodies)
        return from_body(head.get(b"content-type"), body), None

    def _media_type(self, method: str, head: Head) -> str:
        with_page = self._page is not None and method != "POST"
        # Several Accept headers count as one with commas (RFC 9110, section 5.2).
        accept = head.joined(b"accept")
        media_type = negotiate(accept, _WITH_PAGE if with_page else _OFFERED)
        if media_type is None:
            raise RefusalError(
                406,
                RefusalCode.NOT_ACCEPTABLE,
                f"This server answers with {GRAPHQL_RESPONSE} or {JSON}.",
            )
        return media_type

    def _check_limits(self, calls: int, size: int, request_id: str) -> None:
        """Upstream calls are only told here: `clients/exchange.py` keeps to a limit."""
        measured = self._measured_calls
        if measured is not None and calls > measured:
            log.warning("limit in request %s: %d upstream calls", request_id, calls)
        limit = self._response_bytes
        if size > limit.bound:
            if limit.enforced is not None:
                raise _too_large(limit.most)
            log.warning("limit in request %s: an answer of %d", request_id, size)

    async def _execute(
        self, scope: Scope, request: GraphQLRequest, receive: Receive | None
    ) -> ExecutionResult:
        """Without `receive` nobody listens whether the client is still there."""
        context = self._context_of(scope)
        admission = self._admission
        admission.enter(context.person, context.scope.request_id)
        allowed = ANY_OPERATION if scope["method"] == "POST" else READ_ONLY
        try:
            resources: Resources = scope["app"].resources
            request = resources.documents.resolve(request)
            context.trusted_document = request.trusted
            with WhilePresent(receive, resources.presence, context):
                if admission.count > admission.at_once:
                    await admission.stand_in_line()
                result = await self._schema.execute(
                    request.query,
                    variable_values=request.variables,
                    context_value=context,
                    operation_name=request.operation_name,
                    allowed_operation_types=allowed,
                    operation_extensions=request.extensions,
                )
        except InvalidOperationTypeError:
            raise _not_here(allowed) from None
        finally:
            context.forget()
            admission.leave(context.person)
        if not isinstance(result, ExecutionResult):
            raise TypeError(f"unexpected result of the schema: {type(result)}")
        most = self._response_bytes.enforced
        if context.may_swell and most is not None and is_longer(result.data, most):
            admission.weigh(most)
            raise _too_large(most)
        return result


async def read_body(receive: Receive, alarms: Alarms) -> bytes:
    """The whole body; the guard bounds its size. Raises: RefusalError 408."""
    reading = asyncio.current_task(alarms.loop)
    too_slow = False

    def end() -> None:
        nonlocal too_slow
        too_slow = True
        if reading is not None:
            reading.cancel()

    # As asyncio.timeout does, which takes longer than all of this (16 µs against 1):
    # nearly every body is here before the first question.
    alarms.set(end)
    try:
        return await _whole_body(receive)
    except asyncio.CancelledError:
        if not too_slow or reading is None or reading.uncancel():
            raise
        raise RefusalError(
            408,
            RefusalCode.REQUEST_TIMEOUT,
            "The body did not arrive in time.",
            headers={"connection": "close"},
        ) from None
    finally:
        alarms.pop(end, None)


async def _whole_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        pieces = [body]
        while message.get("more_body"):
            message = await receive()
            pieces.append(message.get("body", b""))
        body = b"".join(pieces)
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return body


def payload_of(result: ExecutionResult) -> dict[str, object]:
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


def codes_of(payload: dict[str, object]) -> list[str]:
    errors = payload.get("errors")
    if not isinstance(errors, list):
        return []
    return [str(error.get("extensions", {}).get("code")) for error in errors]


def loggable(operation_name: str | None) -> str | None:
    return operation_name if _NAME.fullmatch(operation_name or "") else None


def _too_large(most: int) -> RefusalError:
    return RefusalError(
        400,
        RefusalCode.RESPONSE_TOO_LARGE,
        f"The answer is larger than {most} bytes; ask for less.",
    )


def _not_here(allowed: tuple[OperationType, ...]) -> RefusalError:
    if allowed is READ_ONLY:
        return RefusalError(
            405,
            RefusalCode.METHOD_NOT_ALLOWED,
            "Only queries run by GET; use POST.",
            headers={"allow": "POST"},
        )
    return RefusalError(
        400,
        RefusalCode.OPERATION_RESOLUTION_FAILURE,
        "Subscriptions do not run over a plain HTTP request.",
    )
