"""POST, PATCH, PUT and DELETE of a table. Flux contract: flux.md §11."""

import json
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import asyncpg

from .errors import FluxError, no_such_column
from .http import Answer
from .media import Payload, parse_payload
from .mutation import Upsert, delete_source, insert_source, returning, update_source
from .paging import content_range
from .select import SelectBuilder
from .sql import BodyFormat, answer_statement
from .task import Task
from .tree import Column, Embed, Field, Filter, Logic, Node

_SOURCE = "pgrst_source"


async def insert(task: Task) -> Answer:
    """POST: insert rows, or merge them into those that are there."""
    upsert = _upsert(task)
    task = _with_known_columns(task) if upsert else task
    payload = _payload(task)
    source = insert_source(
        task.table,
        payload,
        _returning(task, is_new=upsert is not None),
        upsert=upsert,
        fill_defaults=task.preferences.missing == "default",
    )
    row = await _run(task, source, is_upsert=upsert is not None)
    merged = upsert is not None and upsert.merge and row["page"] and not row["inserted"]
    headers = {"Content-Range": content_range(0, 0, _counted(task, row))}
    if task.preferences.return_ == "headers-only" and row["page"] == 1:
        headers["Location"] = _location(task, row["body"])
    return _answer(
        task, row, 200 if merged else 201, headers, resolution=True, missing=True
    )


async def update(task: Task) -> Answer:
    """PATCH: change every row that the filters match."""
    payload = _payload(task)
    root = _restricting(task)
    source = update_source(task.table, payload, root, _returning(task))
    again: Sequence[Filter | Logic] = ()
    if task.settings.dialect.filters_changed_rows and payload.columns:
        again = [item for item in root.filters if isinstance(item, Logic)]
    row = await _run(task, source, again=again)
    headers = {"Content-Range": content_range(0, row["page"], _counted(task, row))}
    return _answer(task, row, 200 if task.wants_rows else 204, headers, missing=True)


async def put(task: Task) -> Answer:
    """PUT: the row that the URL names, made or replaced."""
    payload = _payload(task)
    task = _with_known_columns(task)
    filters = task.query.root.filters
    _check_put_filters(task, filters)
    source = insert_source(
        task.table,
        payload,
        _returning(task, is_new=True),
        upsert=Upsert(merge=True, columns=task.table.key),
        only=filters,
    )
    row = await _run(task, source, is_upsert=True, is_put=True)
    status = 201 if row["inserted"] else 200 if task.wants_rows else 204
    return _answer(task, row, status, {})


async def delete(task: Task) -> Answer:
    """DELETE: every row that the filters match."""
    if not task.table.columns and task.settings.dialect.reads_by_cache:
        raise task.unknown_table()
    source = delete_source(task.table, _restricting(task), _returning(task))
    row = await _run(task, source)
    headers = {"Content-Range": content_range(0, 0, _counted(task, row))}
    return _answer(task, row, 200 if task.wants_rows else 204, headers)


def _restricting(task: Task) -> Node:
    """What decides which rows a write touches."""
    root = task.query.root
    if task.settings.dialect.limits_writes:
        return root
    return replace(root, limit=None, order=())


def _payload(task: Task) -> Payload:
    """The body, its columns checked against the schema cache."""
    payload = parse_payload(
        task.request.body, task.request.headers.get("content-type"), task.query.columns
    )
    if payload.columns and not task.table.columns:
        raise task.unknown_table()
    for column in payload.columns:
        if column not in task.table.columns:
            raise no_such_column(task.name, column)
    return payload


def _upsert(task: Task) -> Upsert | None:
    resolution = task.preferences.resolution
    columns = task.query.on_conflict or task.table.key
    if resolution is None or not columns:
        return None
    return Upsert(merge=resolution == "merge-duplicates", columns=columns)


def _with_known_columns(task: Task) -> Task:
    """The task with `*` written out: an upsert returns one column more than the
    table has, and `*` would show it."""
    columns: list[Column | Embed] = []
    for item in task.query.root.columns:
        if isinstance(item, Column) and item.field.name == "*":
            columns += [Column(Field(name)) for name in task.table.columns]
        else:
            columns.append(item)
    root = replace(task.query.root, columns=columns)
    return replace(task, query=replace(task.query, root=root))


def _returning(task: Task, *, is_new: bool = False) -> str:
    if task.wants_rows:
        node: Node | None = task.query.root
    elif task.preferences.return_ == "headers-only":
        node = Node([Column(Field(name)) for name in task.table.key])
    else:
        node = None
    return returning(task.table, node, is_new=is_new)


async def _run(
    task: Task,
    source: str,
    *,
    again: Sequence[Filter | Logic] = (),
    is_upsert: bool = False,
    is_put: bool = False,
) -> asyncpg.Record:
    """Run a write and read its answer from the rows that it touched."""
    rows = "select * from pgrst_source"
    format_: BodyFormat = "none"
    if task.wants_rows:
        node = Node(task.query.root.columns, list(again))
        builder = SelectBuilder(task.catalog, task.schema, task.settings.dialect)
        rows = builder.select(node, _SOURCE, _SOURCE, task.name)
        format_ = task.body_format()
    elif task.preferences.return_ == "headers-only":
        format_ = "object"
    statement = answer_statement(
        source,
        rows,
        format_=format_,
        strip_nulls=task.media.strip_nulls,
        total="select 1 from pgrst_source",
        inserted=is_upsert,
    )

    def check(row: asyncpg.Record) -> None:
        if is_put and row["page"] != 1:
            raise FluxError(
                400,
                "PGRST115",
                "Payload values do not match URL in primary key column(s)",
            )
        task.check_affected(row)

    return await task.run(statement, read_only=False, check=check)


def _check_put_filters(task: Task, filters: Sequence[Filter | Logic]) -> None:
    if not task.table.columns:
        raise task.unknown_table()
    named = [
        item.field.name
        for item in filters
        if isinstance(item, Filter) and item.operator == "eq" and not item.negated
    ]
    if sorted(named) != sorted(task.table.key) or len(named) != len(filters):
        raise FluxError(
            405,
            "PGRST105",
            "Filters must include all and only primary key columns with 'eq' operators",
        )


def _counted(task: Task, row: asyncpg.Record) -> int | None:
    return row["total"] if task.preferences.count == "exact" else None


def _location(task: Task, body: str) -> str:
    keys = json.loads(body)
    pairs = (f"{name}=eq.{quote(str(value), safe='')}" for name, value in keys.items())
    return f"/{task.name}?{'&'.join(pairs)}"


def _answer(
    task: Task,
    row: asyncpg.Record,
    status: int,
    headers: dict[str, str],
    *,
    resolution: bool = False,
    missing: bool = False,
) -> Answer:
    applied = task.preferences.applied(
        resolution=resolution, missing=missing, return_=True
    )
    if applied:
        headers["Preference-Applied"] = applied
    if not task.wants_rows:
        return Answer(status, headers)
    headers["Content-Type"] = f"{task.media.content_type}; charset=utf-8"
    headers["Content-Profile"] = task.schema
    return Answer(status, headers, row["body"].encode())
