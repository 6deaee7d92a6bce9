"""INSERT, UPDATE and DELETE: each makes `pgrst_source`, the rows that it touched.

`writes.py` calls these. Flux contract: flux.md §11.
"""

# ruff: noqa: S608 - building SQL is the work of this file: every name in it passes
# `identifier`, every value `literal`.

from collections.abc import Sequence
from dataclasses import dataclass

from .catalog import Table
from .media import Payload
from .sql import condition_sql, field_sql, identifier, limit_sql, literal, qualified
from .tree import Column, Filter, Logic, Node


def _payload_rows(payload: Payload, table: Table, *, fill_defaults: bool) -> str:
    """A FROM item with the payload's rows, typed as the table's columns."""
    definitions = ", ".join(
        f"{identifier(name)} {table.columns[name][0]}" for name in payload.columns
    )
    text = f"{literal(payload.text)}::json"
    if fill_defaults:
        defaults = ", ".join(
            f"{literal(name)}, {table.columns[name][1]}"
            for name in payload.columns
            if table.columns[name][1]
        )
        is_array = payload.kind == "array"
        elements = text if is_array else f"json_build_array({text})"
        text = (
            f"(select jsonb_agg(jsonb_build_object({defaults}) || e)"
            f" from jsonb_array_elements({elements}::jsonb) as e)::json"
        )
        return f"json_to_recordset({text}) as pgrst_body({definitions})"
    function = "json_to_recordset" if payload.kind == "array" else "json_to_record"
    return f"{function}({text}) as pgrst_body({definitions})"


@dataclass(frozen=True, slots=True)
class Upsert:
    """What to do with rows whose key is taken."""

    merge: bool
    columns: tuple[str, ...]


def insert_source(
    table: Table,
    payload: Payload,
    returning: str,
    *,
    upsert: Upsert | None = None,
    fill_defaults: bool = False,
    only: Sequence[Filter | Logic] = (),
) -> str:
    """pgrst_source of an insert; `only` filters the rows of the payload (PUT)."""
    target = qualified(table.schema, table.name)
    columns = ", ".join(identifier(name) for name in payload.columns)
    if payload.kind == "nothing":
        statement = f"insert into {target} select null where false"
    elif not payload.columns:
        statement = f"insert into {target} default values"
    else:
        rows = _payload_rows(payload, table, fill_defaults=fill_defaults)
        where = " and ".join(condition_sql("pgrst_body", item) for item in only)
        statement = (
            f"insert into {target}({columns}) select {columns} from {rows}"
            f"{f' where {where}' if where else ''}"
        )
    conflict = _on_conflict(payload, upsert) if upsert else ""
    return f"pgrst_source as ({statement}{conflict} returning {returning})"


def _on_conflict(payload: Payload, upsert: Upsert) -> str:
    if not upsert.columns:
        return ""
    target = ", ".join(identifier(name) for name in upsert.columns)
    if not upsert.merge or not payload.columns:
        return f" on conflict ({target}) do nothing"
    values = ", ".join(
        f"{identifier(name)} = excluded.{identifier(name)}" for name in payload.columns
    )
    return f" on conflict ({target}) do update set {values}"


def update_source(table: Table, payload: Payload, node: Node, returning: str) -> str:
    """pgrst_source of an update; an empty payload changes nothing."""
    target = qualified(table.schema, table.name)
    if not payload.columns:
        return f"pgrst_source as (select {returning} from {target} where false)"
    values = ", ".join(
        f"{identifier(name)} = pgrst_body.{identifier(name)}"
        for name in payload.columns
    )
    rows = _payload_rows(payload, table, fill_defaults=False)
    limited, tables, where = _limited(table, node)
    return (
        f"{limited}pgrst_source as (update {target} set {values}"
        f" from (select * from {rows} limit 1) as pgrst_body{tables}{where}"
        f" returning {returning})"
    )


def delete_source(table: Table, node: Node, returning: str) -> str:
    """pgrst_source of a delete."""
    target = qualified(table.schema, table.name)
    limited, tables, where = _limited(table, node)
    using = f" using {tables.lstrip(', ')}" if tables else ""
    return (
        f"{limited}pgrst_source as (delete from {target}{using}{where}"
        f" returning {returning})"
    )


def _limited(table: Table, node: Node) -> tuple[str, str, str]:
    """What restricts a write: a CTE of keys if a limit is asked for (PostgREST 12
    only), the FROM item for it, and the WHERE clause."""
    target = qualified(table.schema, table.name)
    conditions = [condition_sql(target, condition) for condition in node.filters]
    if node.limit is None or not table.key:
        return "", "", f" where {' and '.join(conditions)}" if conditions else ""
    keys = [identifier(name) for name in table.key]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    order = ", ".join(
        f"{field_sql(target, term.field)} {term.direction or ''}" for term in node.order
    )
    limited = (
        f"pgrst_affected as (select {', '.join(keys)} from {target}{where}"
        f"{f' order by {order}' if order else ''}{limit_sql(node)}), "
    )
    joined = " and ".join(f"{target}.{key} = pgrst_affected.{key}" for key in keys)
    return limited, ", pgrst_affected", f" where {joined}"


def returning(table: Table, node: Node | None, *, is_new: bool) -> str:
    """The RETURNING list of a write whose answer reads `node`; None is no row at all.

    With `is_new` it ends in a column that tells new rows of an upsert from merged ones:
    PostgreSQL leaves xmax at 0 for rows that no transaction has locked or changed.
    """
    target = qualified(table.schema, table.name)
    columns = "1" if node is None else _returned_columns(target, node)
    return f"{columns}, {target}.xmax = 0 as pgrst_is_new" if is_new else columns


def _returned_columns(target: str, node: Node) -> str:
    names = {item.field.name: None for item in node.columns if isinstance(item, Column)}
    if "*" in names or node.embeds() or not names:
        return f"{target}.*"
    return ", ".join(f"{target}.{identifier(name)}" for name in names)
