"""GET and HEAD of a table, and the answer of every page (also a function's)."""

import asyncpg

from .http import Answer
from .paging import content_range, narrow, page_status, past_the_end
from .select import SelectBuilder
from .sql import answer_statement, qualified
from .task import Task
from .tree import Node


async def read(task: Task) -> Answer:
    """Read a page of a table. One statement; a second one for an estimated count."""
    if task.settings.dialect.reads_by_cache and not task.table.columns:
        raise task.unknown_table()
    relation = qualified(task.schema, task.name)
    node = page_of(task)
    builder = SelectBuilder(task.catalog, task.schema, task.settings.dialect)
    rows = builder.select(node, relation, relation, task.name)
    counting = builder.count(node, relation, relation, task.name)
    is_head = task.request.method == "HEAD"
    statement = answer_statement(
        f"pgrst_source as ({rows})",
        "select * from pgrst_source",
        format_="none" if is_head else task.body_format(),
        strip_nulls=task.media.strip_nulls,
        total=counting if task.preferences.count == "exact" else None,
    )
    row = await task.run(statement, read_only=True)
    total = row["total"]
    if task.preferences.count in ("planned", "estimated"):
        total = await task.database.estimate(task.transaction(read_only=True), counting)
    answer = page_answer(task, node, row, total)
    answer.headers["Content-Location"] = f"/{task.name}{task.query.location}"
    return answer


def page_of(task: Task) -> Node:
    """The root of the query, narrowed by the Range header and the server's cap."""
    is_read = task.request.method in ("GET", "HEAD")
    header = task.request.headers.get("range") if is_read else None
    return narrow(task.query.root, header, task.settings.max_rows)


def page_answer(
    task: Task, node: Node, row: asyncpg.Record, total: int | None
) -> Answer:
    """The answer that holds one page of rows."""
    rows = row["page"]
    headers = {
        "Content-Range": content_range(node.offset, rows, total),
        "Content-Type": f"{task.media.content_type}; charset=utf-8",
        "Content-Profile": task.schema,
    }
    applied = task.preferences.applied(resolution=False, missing=False, return_=False)
    if applied:
        headers["Preference-Applied"] = applied
    status = page_status(node.offset, rows, total)
    if status == 416 and total is not None:
        error = past_the_end(node.offset, total)
        headers["Content-Type"] = "application/json; charset=utf-8"
        headers |= task.settings.dialect.headers_of(error.code)
        return Answer(416, headers, error.body())
    return Answer(status, headers, (row["body"] or "").encode())
