"""Notes on the wire: the table `notes` and two functions of `flux-init.sql`.

Called by `resolvers/notes.py` and the loaders. Relies on flux.md §10, §11, §13. Rows
are filtered by Flux itself (row-level security by the token's `sub`): a row that is
missing and one that is hidden look the same.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

import msgspec

from clients.chunks import concurrently, equal_chunks
from clients.http import NO_HEADERS, Response
from clients.ids import conduit_id, flux_id, is_uuid
from clients.keyset import Keyset

from . import postgrest
from .calls import FluxCalls
from .postgrest import Condition
from .records import EVERY_NOTE, FluxNote, FluxNotePage, NoteConditions

# All that are read here of the table in flux-init.sql.
NOTE_COLUMNS: Final = frozenset(FluxNote.__struct_fields__)
# What a cursor is made of.
_KEYSET_COLUMNS: Final = frozenset({"id", "created_at"})
_ID: Final = frozenset({"id"})
_BY_IDS: Final = "notes by ids"
_COUNT_EXACTLY: Final = {"Prefer": "count=exact"}


class _PostCount(msgspec.Struct):
    post_id: str
    n: int


_COUNT_COLUMNS: Final = frozenset(_PostCount.__struct_fields__)
_NOTES: Final = msgspec.json.Decoder(list[FluxNote])
_COUNTS: Final = msgspec.json.Decoder(list[_PostCount])


class FluxNotes(msgspec.Struct, frozen=True):
    """The notes of one person. `columns` beside the id are those that are needed."""

    _calls: FluxCalls

    async def by_ids(
        self, ids: Sequence[str], *, columns: frozenset[str]
    ) -> list[FluxNote]:
        """`GET /notes?id=in.(…)`; in no order, missing and hidden ones left out.

        One call per 150 ids or 7,000 bytes of URL, side by side; fewer ids where that
        was found to be too long.

        Raises: InvalidInputError for a malformed id, before any call.
        """
        wanted = list(dict.fromkeys(map(flux_id, ids)))
        selected = columns | {"id"}
        bare = postgrest.target(
            "/notes", columns=selected, conditions=[postgrest.one_of("id", [])]
        )
        fitting = postgrest.ids_that_fit(len(bare), self._calls.url_budget_bytes)
        size = min(fitting, self._calls.http.ids_per_request)
        pages = await concurrently(
            [self._some(chunk, selected) for chunk in equal_chunks(wanted, size)]
        )
        return [note for page in pages for note in page]

    async def _some(
        self, ids: Sequence[str], columns: frozenset[str]
    ) -> list[FluxNote]:
        """A chunk; in halves, once, if it was refused for its length.

        The smaller size is kept only when it helped: 502 may have another reason.
        """
        response = await self._calls.read_unless_too_long(
            _by_ids(ids, columns), operation=_BY_IDS
        )
        if response is not None:
            return _rows(response, columns)
        half = -(-len(ids) // 2)
        responses = await concurrently(
            [
                self._calls.read(_by_ids(chunk, columns), operation=_BY_IDS)
                for chunk in equal_chunks(ids, half)
            ]
        )
        self._calls.http.took_no_more_than(half)
        return [note for part in responses for note in _rows(part, columns)]

    async def page(
        self,
        *,
        limit: int,
        descending: bool,
        beyond: Keyset | None,
        conditions: NoteConditions,
        columns: frozenset[str],
        count: bool,
    ) -> FluxNotePage:
        """`GET /notes` by (created_at, id): rows strictly beyond the keyset.

        `total` counts all rows that meet the conditions, in the same call, and only
        on a first page: beyond a keyset Flux would count the rest (recording 14).
        """
        selected = _with_keyset(columns)
        counts = count and beyond is None
        response = await self._calls.read(
            _first_page(limit, descending, selected)
            if beyond is None and conditions == EVERY_NOTE
            else _page(limit, descending, selected, conditions, beyond),
            operation="notes page",
            headers=_COUNT_EXACTLY if counts else NO_HEADERS,
        )
        total = postgrest.total_of(response.headers) if counts else None
        return FluxNotePage(_rows(response, selected), total)

    async def count(self, conditions: NoteConditions) -> int:
        """`HEAD /notes` with an exact count: no rows travel."""
        response = await self._calls.read(
            postgrest.target(
                "/notes", columns=_ID, conditions=_conditions(conditions), limit=0
            ),
            method="HEAD",
            operation="notes count",
            headers=_COUNT_EXACTLY,
        )
        return postgrest.total_of(response.headers)

    async def by_posts(
        self,
        post_ids: Sequence[str],
        *,
        per_post: int,
        beyond: Keyset | None,
        columns: frozenset[str],
    ) -> dict[str, list[FluxNote]]:
        """`POST /rpc/notes_by_post`: the newest notes of many posts in one call.

        In several, side by side, where the server has a `db-max-rows`. Every id asked
        for is a key, in lower case; the notes are newest first.

        Raises: InvalidInputError for a malformed id, before any call.
        """
        grouped: dict[str, list[FluxNote]] = {flux_id(id): [] for id in post_ids}
        if not grouped:
            return {}
        selected = columns | _KEYSET_COLUMNS | {"post_id"}
        asked = {"per_post": per_post, **_before(beyond)}
        size = self._calls.http.groups_per_call(per_post)
        responses = await concurrently(
            [
                self._newest({"post_ids": chunk, **asked}, selected)
                for chunk in equal_chunks(list(grouped), size)
            ]
        )
        for response in responses:
            for note in _rows(response, selected):
                if note.post_id not in grouped:
                    raise response.nonsense("a note of a post that was not asked for")
                grouped[note.post_id].append(note)
        return grouped

    async def _newest(
        self, arguments: dict[str, object], columns: frozenset[str]
    ) -> Response:
        return await self._calls.call(
            postgrest.target(
                "/rpc/notes_by_post",
                columns=columns,
                order=postgrest.order_by_creation(descending=True),
            ),
            arguments,
            operation="notes by posts",
        )

    async def counts_by_posts(self, post_ids: Sequence[str]) -> dict[str, int]:
        """`POST /rpc/note_counts_by_post`; every id asked for is a key, or zero."""
        counts = {flux_id(id): 0 for id in post_ids}
        if not counts:
            return {}
        target = postgrest.target("/rpc/note_counts_by_post", columns=_COUNT_COLUMNS)
        size = self._calls.http.groups_per_call(1)
        responses = await concurrently(
            [
                self._calls.call(
                    target, {"post_ids": chunk}, operation="note counts by posts"
                )
                for chunk in equal_chunks(list(counts), size)
            ]
        )
        for response in responses:
            for row in response.decode(_COUNTS):
                counts[row.post_id] = row.n
        return counts

    async def create(
        self,
        *,
        id: str,
        body: str,
        post_id: str | None,
        owner_id: str,
        columns: frozenset[str],
    ) -> FluxNote:
        """`POST /notes`. The id is made by us: an unknown outcome can be looked up.

        Raises: ConflictError (id in use), InvalidInputError, PermissionDeniedError.
        """
        selected = columns | {"id"}
        row = {
            "id": flux_id(id),
            "body": body,
            "post_id": None if post_id is None else flux_id(post_id, field="postId"),
            "owner_id": owner_id,
        }
        response = await self._calls.write(
            "POST",
            postgrest.target("/notes", columns=selected),
            operation="create note",
            json=row,
        )
        rows = _rows(response, selected)
        if len(rows) != 1:
            raise response.nonsense(f"{len(rows)} rows for one created note")
        return rows[0]

    async def update(
        self, id: str, *, body: str, columns: frozenset[str]
    ) -> FluxNote | None:
        """`PATCH /notes?id=eq.…`; None when there is no such row, or it is hidden."""
        selected = columns | {"id"}
        response = await self._calls.write(
            "PATCH",
            _one(id, selected),
            operation="update note",
            json={"body": body},
        )
        rows = _rows(response, selected)
        return rows[0] if rows else None

    async def delete(self, id: str) -> bool:
        """`DELETE /notes?id=eq.…`; whether there was a row that we may delete."""
        response = await self._calls.write(
            "DELETE", _one(id, _ID), operation="delete note"
        )
        return bool(_rows(response, _ID))


@cache
def _with_keyset(columns: frozenset[str]) -> frozenset[str]:
    """As many as there are sets of columns in use."""
    return columns | _KEYSET_COLUMNS


@lru_cache(maxsize=256)
def _first_page(limit: int, descending: bool, columns: frozenset[str]) -> str:
    """The one that most ask for."""
    return _page(limit, descending, columns, EVERY_NOTE, None)


def _page(
    limit: int,
    descending: bool,
    columns: frozenset[str],
    conditions: NoteConditions,
    beyond: Keyset | None,
) -> str:
    filters = _conditions(conditions)
    if beyond is not None:
        filters.append(postgrest.beyond(beyond, descending=descending))
    return postgrest.target(
        "/notes",
        columns=columns,
        conditions=filters,
        order=postgrest.order_by_creation(descending=descending),
        limit=limit,
    )


def _by_ids(ids: Sequence[str], columns: frozenset[str]) -> str:
    return postgrest.target(
        "/notes", columns=columns, conditions=[postgrest.one_of("id", ids)]
    )


def _before(keyset: Keyset | None) -> dict[str, str]:
    if keyset is None:
        return {}
    return {"before_created_at": keyset.created_at, "before_id": keyset.id}


def _one(id: str, columns: frozenset[str]) -> str:
    """A write is always held to one row: without a filter it would touch all."""
    return postgrest.target(
        "/notes", columns=columns, conditions=[postgrest.equals("id", flux_id(id))]
    )


def _conditions(conditions: NoteConditions) -> list[Condition]:
    found: list[Condition] = []
    if conditions.body_contains is not None:
        found.append(
            postgrest.contains("body", conditions.body_contains, field="bodyContains")
        )
    if conditions.post_id is not None:
        found.append(_about(conditions.post_id))
    if conditions.created_after is not None:
        found.append(("created_at", f"gt.{conditions.created_after}"))
    if conditions.created_before is not None:
        found.append(("created_at", f"lt.{conditions.created_before}"))
    return found


def _about(post_id: str) -> Condition:
    """Notes about a post; none is about one of Conduit on MongoDB: post_id is uuid.

    Raises: InvalidInputError.
    """
    checked = conduit_id(post_id, field="postId")
    if is_uuid(checked):
        return postgrest.equals("post_id", checked)
    return postgrest.one_of("post_id", [])


def _rows(response: Response, columns: frozenset[str]) -> list[FluxNote]:
    """The rows, strictly. A column that is null in the table cannot be told from one
    that is missing, but PostgREST refuses an unknown column in `select` (400 42703).
    """
    notes = response.decode(_NOTES)
    has_body, has_time = "body" in columns, "created_at" in columns
    for note in notes:
        if note.body is None and has_body:
            raise response.nonsense("a note without body")
        if note.created_at is None and has_time:
            raise response.nonsense("a note without created_at")
    return notes
