"""Functions: `/rpc/<name>`. Flux contract: flux.md §10; recording 12."""

# ruff: noqa: S608 - every name in the SQL passes `identifier`, every value `literal`

from dataclasses import replace

from .catalog import Function
from .errors import FluxError
from .http import Answer
from .media import Payload, parse_payload
from .reads import page_answer, page_of
from .select import SelectBuilder
from .sql import BodyFormat, answer_statement, identifier, literal, qualified
from .task import Task

_SOURCE = "pgrst_source"


async def call(task: Task) -> Answer:
    """Call a function; by GET in a read-only transaction."""
    method = task.request.method
    if method in ("PUT", "PATCH", "DELETE"):
        raise FluxError(405, "PGRST101", f"Cannot use the {method} method on RPC")
    by_post = method == "POST"
    payload = _payload(task) if by_post else None
    names = payload.columns if payload else task.query.arguments
    function = task.catalog.function(
        task.schema, task.name, frozenset(names), by_post=by_post
    )
    if method == "OPTIONS":
        methods = "OPTIONS,POST" if function.is_volatile else "OPTIONS,GET,HEAD,POST"
        return Answer(200, {"Allow": methods})
    arguments = None if by_post else task.query.arguments
    source = _call_source(function, arguments, payload)
    return await _run(task, function, source)


def _payload(task: Task) -> Payload:
    body = task.request.body or b"{}"
    return parse_payload(
        body, task.request.headers.get("content-type"), task.query.columns
    )


async def _run(task: Task, function: Function, source: str) -> Answer:
    node = page_of(task)
    rows = "select * from pgrst_source"
    counting = rows
    if function.returns_rows:
        builder = SelectBuilder(task.catalog, task.schema, task.settings.dialect)
        rows = builder.select(node, _SOURCE, _SOURCE, task.name)
        counting = builder.count(node, _SOURCE, _SOURCE, task.name)
    else:
        # A single value is no page: PGRST116 cannot happen to it.
        task = replace(task, media=replace(task.media, singular=False))
    is_head = task.request.method == "HEAD"
    statement = answer_statement(
        source,
        rows,
        format_="none" if is_head else _format(task, function),
        strip_nulls=task.media.strip_nulls,
        total=counting if task.preferences.count == "exact" else None,
    )
    read_only = task.request.method != "POST" or not function.is_volatile
    row = await task.run(statement, read_only=read_only)
    if function.returns_nothing:
        return Answer(204)
    return page_answer(task, node, row, row["total"])


def _format(task: Task, function: Function) -> BodyFormat:
    if function.returns_rows:
        if task.body_format() == "array" and not function.returns_set:
            return "object"
        return task.body_format()
    return "scalars" if function.returns_set else "scalar"


def _call_source(
    function: Function, arguments: dict[str, str] | None, payload: Payload | None
) -> str:
    """pgrst_source of a function call, by query arguments or by a JSON body."""
    types = dict(function.arguments)
    origin: list[str] = []
    given: list[str] = []
    if arguments is not None:
        given = [
            f"{identifier(name)} := {literal(value)}::{types[name]}"
            for name, value in arguments.items()
        ]
    elif payload and payload.columns:
        names = [identifier(name) for name in payload.columns]
        typed = (f"{identifier(name)} {types[name]}" for name in payload.columns)
        body = f"json_to_record({literal(payload.text)}::json)"
        origin = [f"{body} as pgrst_args({', '.join(typed)})"]
        given = [f"{name} := pgrst_args.{name}" for name in names]
    called = f"{qualified(function.schema, function.name)}({', '.join(given)})"
    if function.returns_rows:
        items = ", ".join((*origin, f"lateral {called} as pgrst_call"))
        return f"pgrst_source as (select pgrst_call.* from {items})"
    items = f" from {origin[0]}" if origin else ""
    return f"pgrst_source as (select {called} as value{items})"
