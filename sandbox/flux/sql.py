"""SQL text: names, values, conditions, and the one statement of a request.

`select.py` and `mutation.py` build on it; `reads.py`, `writes.py` and `calls.py` wrap
what those give in `answer_statement`. Such a statement gives one row with the columns
`total` (when counted), `page` (rows in the answer), `body` (the answer's text, made by
PostgreSQL itself) and `inserted` (new rows of an upsert).

Values stand in the text as untyped literals, not as parameters: so PostgreSQL decides
their type from the column and refuses them in its own words, as it does for PostgREST.
"""

# ruff: noqa: S608 - building SQL is the work of this file: every name in it passes
# `identifier`, every value `literal`.

import re
from collections.abc import Sequence
from typing import Literal

from .tree import Field, Filter, Logic, Node

BodyFormat = Literal["array", "object", "scalar", "scalars", "csv", "none"]

_COMPARISONS = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
    "isdistinct": "is distinct from",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
_TEXT_SEARCHES = {
    "fts": "to_tsquery",
    "plfts": "plainto_tsquery",
    "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}


def identifier(name: str) -> str:
    """A quoted name."""
    return '"' + name.partition("\0")[0].replace('"', '""') + '"'


def search_path(schema: str) -> str:
    """A schema as the value of search_path: quoted only if it must be."""
    return schema if re.fullmatch(r"[a-z_][a-z0-9_]*", schema) else identifier(schema)


def literal(value: str) -> str:
    """A quoted value without a type; it ends at a NUL, as libpq would cut it."""
    return "'" + value.partition("\0")[0].replace("'", "''") + "'"


def qualified(schema: str, name: str) -> str:
    """A name in a schema."""
    return f"{identifier(schema)}.{identifier(name)}"


def _array(values: Sequence[str]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return literal("{" + ",".join(f'"{value}"' for value in escaped) + "}")


def field_sql(source: str, target: Field) -> str:
    if target.name == "*":
        return f"{source}.*"
    steps = "".join(
        f"{arrow}{key if key.lstrip('-').isdigit() else literal(key)}"
        for arrow, key in target.path
    )
    return f"{source}.{identifier(target.name)}{steps}"


def condition_sql(source: str, condition: Filter | Logic) -> str:
    if isinstance(condition, Filter):
        text = _filter(source, condition)
    else:
        members = (condition_sql(source, member) for member in condition.members)
        text = "(" + f" {condition.operator} ".join(members) + ")"
    return f"not ({text})" if condition.negated else text


def _filter(source: str, condition: Filter) -> str:
    left = field_sql(source, condition.field)
    operator, value = condition.operator, condition.value
    if isinstance(value, tuple):
        return f"{left} = any ({_array(value)})"
    if operator == "is":
        return f"{left} is {value}"
    if operator in _TEXT_SEARCHES:
        language = f"{literal(condition.quantifier)}, " if condition.quantifier else ""
        return f"{left} @@ {_TEXT_SEARCHES[operator]}({language}{literal(value)})"
    if operator in ("like", "ilike"):
        value = value.replace("*", "%")
    right = literal(value)
    if condition.quantifier:
        right = f"{condition.quantifier} ({right})"
    return f"{left} {_COMPARISONS[operator]} {right}"


def limit_sql(node: Node) -> str:
    limit = "" if node.limit is None else f" limit {literal(str(node.limit))}"
    return f"{limit} offset {literal(str(node.offset))}" if node.offset else limit


def _body(format_: BodyFormat, *, strip_nulls: bool) -> str:
    if format_ == "none":
        return "null::text"
    if format_ == "csv":
        return _CSV_BODY
    rows = "json_agg(t.value)" if format_.startswith("scalar") else "json_agg(t)"
    if strip_nulls:
        rows = f"json_strip_nulls({rows})"
    if format_ in ("object", "scalar"):
        return f"coalesce({rows} -> 0, 'null')::text"
    return f"coalesce({rows}, '[]')::text"


# A row's own text form is CSV between its parentheses.
_CSV_BODY = """(
    select coalesce(string_agg(name, ','), '')
    from (select json_object_keys(r) as name
        from (select row_to_json(s) as r from pgrst_source s limit 1) as first) as names
) || e'\\n' || coalesce(
    string_agg(substring(t::text, 2, length(t::text) - 2), e'\\n'), '')"""


def answer_statement(
    source: str,
    rows: str,
    *,
    format_: BodyFormat,
    strip_nulls: bool = False,
    total: str | None = None,
    inserted: bool = False,
) -> str:
    """The whole statement. `source` makes pgrst_source, `rows` reads the answer's rows;
    `total` is a SELECT with a row for each row to count; `inserted` counts new rows."""
    counted = f"(select count(*) from ({total}) as c)" if total else "null::bigint"
    new = "null::bigint"
    if inserted:
        new = "(select count(*) from pgrst_source where pgrst_is_new)"
    return (
        f"with {source} select {counted} as total, count(t) as page,"
        f" {_body(format_, strip_nulls=strip_nulls)} as body, {new} as inserted"
        f" from ({rows}) as t"
    )
