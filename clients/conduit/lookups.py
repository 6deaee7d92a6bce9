"""Documents by their ids, in the best way that this Conduit offers (conduit.md §12).

1. the custom endpoint of `conduit-init.json`: 100 ids a call;
2. where the router has no such route (HTML 404): aliases of one field over its GraphQL,
   50 a call. Never two different fields in one request: Conduit mixes them up
   (conduit.md §5, recording graphql_aliases);
3. where that is off too: one read each, throttled.

What is absent is remembered in `offers.py`. Called by `posts.py` and `storage.py`.
People have no second way: Conduit has no built-in route for them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from clients.chunks import concurrently, equal_chunks
from clients.errors import (
    NotFoundError,
    PermissionDeniedError,
    UpstreamMisconfiguredError,
    UpstreamResponseError,
)
from clients.http import Response

from . import database, failures
from .calls import ConduitCalls

D = TypeVar("D")

GRAPHQL: Final = "/graphql"
ALIASES_PER_REQUEST: Final = 50


class _Answer(msgspec.Struct):
    data: dict[str, msgspec.Raw] | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class Source(Generic[D]):
    """The three ways to one kind of document. `path` ends before the id."""

    endpoint: str
    field: str
    path: str
    document: msgspec.json.Decoder[D]
    documents: msgspec.json.Decoder[list[D]]


async def by_ids(
    calls: ConduitCalls,
    source: Source[D],
    ids: Sequence[str],
    *,
    selection: str,
    parameters: Mapping[str, str] = database.NO_PARAMETERS,
    arguments: str = "",
    skip_endpoint: bool = False,
) -> list[D]:
    """In no order; missing and hidden ones are absent.

    `parameters` go into the query of REST calls; `selection` and `arguments` say the
    same in GraphQL. Raises: InvalidInputError for a malformed id, before any call.
    """
    wanted = calls.ids(ids)
    offers = calls.offers
    if not skip_endpoint and not offers.lacks(source.endpoint):
        try:
            return await _by_endpoint(calls, source, wanted, parameters)
        except UpstreamMisconfiguredError as failure:
            if not _no_such_route(failure):
                raise
            offers.note_absence(source.endpoint)
    if not offers.lacks(GRAPHQL):
        try:
            return await _by_aliases(calls, source, wanted, selection, arguments)
        except (UpstreamMisconfiguredError, UpstreamResponseError) as failure:
            # 400: a field or argument that this Conduit's GraphQL does not know.
            if not _no_such_route(failure) and failure.status != 400:
                raise
            # An argument is the client's own wish: the next query may be without it.
            if failure.status == 404 or not arguments:
                offers.note_absence(GRAPHQL)
    return await _one_by_one(calls, source, wanted, parameters)


def _no_such_route(
    failure: UpstreamMisconfiguredError | UpstreamResponseError,
) -> bool:
    """The router's own HTML 404; a module's error carries a code."""
    return failure.status == 404 and failure.upstream_code is None


async def _by_endpoint(
    calls: ConduitCalls,
    source: Source[D],
    ids: Sequence[str],
    parameters: Mapping[str, str],
) -> list[D]:
    async def some(chunk: Sequence[str]) -> list[D]:
        query = {"ids": database.listed(chunk), **parameters}
        target = database.function(source.endpoint, query)
        response = await calls.read(target, operation=source.endpoint)
        return response.decode(source.documents)

    chunks = equal_chunks(ids, database.IDS_PER_REQUEST)
    parts = await concurrently([some(chunk) for chunk in chunks])
    return [document for part in parts for document in part]


async def _by_aliases(
    calls: ConduitCalls,
    source: Source[D],
    ids: Sequence[str],
    selection: str,
    arguments: str,
) -> list[D]:
    async def some(chunk: Sequence[str]) -> list[D]:
        fields = (
            f'a{number}:{source.field}(id:"{id}"{arguments}){{{selection}}}'
            for number, id in enumerate(chunk)
        )
        query = f"{{{' '.join(fields)}}}"
        response = await calls.ask(query, operation=f"{source.field} by aliases")
        return _found(response, source)

    chunks = equal_chunks(ids, ALIASES_PER_REQUEST)
    parts = await concurrently([some(chunk) for chunk in chunks])
    return [document for part in parts for document in part]


def _found(response: Response, source: Source[D]) -> list[D]:
    """What came; an alias that is missing or refused is left out.

    Raises: what any other failure of an alias means.
    """
    answer = response.decode(_ANSWER)
    for error in failures.field_errors(response):
        failure = failures.of_field(error, response)
        if not isinstance(failure, NotFoundError | PermissionDeniedError):
            raise failure
    try:
        return [
            source.document.decode(raw)
            for raw in (answer.data or {}).values()
            if bytes(raw) != b"null"
        ]
    except msgspec.DecodeError as error:
        raise response.nonsense(str(error)) from None


async def _one_by_one(
    calls: ConduitCalls,
    source: Source[D],
    ids: Sequence[str],
    parameters: Mapping[str, str],
) -> list[D]:
    loop = asyncio.get_running_loop()

    async def one(id: str) -> D | None:
        await calls.offers.turn(within_s=calls.scope.deadline - loop.time())
        target = database.target(f"{source.path}{id}", parameters)
        try:
            response = await calls.read(target, operation=f"{source.endpoint} singly")
        except (NotFoundError, PermissionDeniedError):
            return None
        return response.decode(source.document)

    found = await concurrently([one(id) for id in ids])
    return [document for document in found if document is not None]
