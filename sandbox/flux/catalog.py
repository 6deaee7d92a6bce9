"""The schema cache: which tables, columns, keys and functions there are.

`database.py` loads it at the start and after `NOTIFY pgrst`; `rest.py` and `sql.py`
read it. As in PostgREST 12, reads of tables go to the database without asking here,
writes and function calls do not; from 13 on all ask.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import asyncpg

from .errors import FluxError, no_relationship

_TABLES = """
select n.nspname as schema, c.relname as name,
    pg_relation_is_updatable(c.oid, true) as commands,
    (
        select json_agg(json_build_array(
            a.attname, format_type(a.atttypid, a.atttypmod),
            pg_get_expr(d.adbin, d.adrelid)) order by a.attnum)
        from pg_attribute a
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    )::text as columns,
    (
        select json_agg(a.attname order by array_position(k.conkey, a.attnum))
        from pg_constraint k
        join pg_attribute a on a.attrelid = c.oid and a.attnum = any (k.conkey)
        where k.conrelid = c.oid and k.contype = 'p'
    )::text as key
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""
_FOREIGN_KEYS = """
select k.conname as name, n.nspname as schema, c.relname as child, p.relname as parent,
    (select array_agg(a.attname::text order by u.place)
        from unnest(k.conkey) with ordinality as u(number, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number
    ) as child_columns,
    (select array_agg(a.attname::text order by u.place)
        from unnest(k.confkey) with ordinality as u(number, place)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number
    ) as parent_columns
from pg_constraint k
join pg_class c on c.oid = k.conrelid
join pg_class p on p.oid = k.confrelid
join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'f' and n.nspname = any ($1::text[])
"""
_FUNCTIONS = """
select n.nspname as schema, p.proname as name, p.provolatile = 'v' as is_volatile,
    p.proretset as returns_set, p.pronargdefaults as defaults,
    p.prorettype = 'void'::regtype as returns_nothing,
    t.typtype = 'c' or p.prorettype = 'record'::regtype as returns_rows,
    coalesce(p.proargnames, '{}')::text[] as names,
    coalesce(p.proargmodes, '{}')::text[] as modes,
    (select array_agg(format_type(u.type, null) order by u.place)
        from unnest(p.proargtypes) with ordinality as u(type, place)) as types
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_type t on t.oid = p.prorettype
where n.nspname = any ($1::text[]) and p.prokind = 'f'
"""
_INSERT, _UPDATE, _DELETE = 8, 4, 16  # bits of pg_relation_is_updatable


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view. `columns` maps a name to type and default expression."""

    schema: str
    name: str
    columns: dict[str, tuple[str, str | None]]
    key: tuple[str, ...]
    commands: int

    def allowed_methods(self) -> str:
        """The value of `Allow`."""
        methods = ["OPTIONS", "GET", "HEAD"]
        if self.commands & _INSERT:
            methods.append("POST")
        if self.key and self.commands & _INSERT and self.commands & _UPDATE:
            methods.append("PUT")
        if self.commands & _UPDATE:
            methods.append("PATCH")
        if self.commands & _DELETE:
            methods.append("DELETE")
        return ",".join(methods)


@dataclass(frozen=True, slots=True)
class Relationship:
    """How to get from one table to another. `pairs` are (column here, column there)."""

    target: str
    to_one: bool
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function. `arguments` are (name, type); the last `defaults` may be left out."""

    schema: str
    name: str
    arguments: tuple[tuple[str, str], ...]
    defaults: int
    is_volatile: bool
    returns_set: bool
    returns_rows: bool
    returns_nothing: bool

    def takes(self, names: frozenset[str]) -> bool:
        """Whether a call with exactly these arguments is possible."""
        required = len(self.arguments) - self.defaults
        every = [name for name, _ in self.arguments]
        return names <= set(every) and set(every[:required]) <= names


@dataclass(frozen=True, slots=True)
class _ForeignKey:
    name: str
    schema: str
    child: str
    parent: str
    child_columns: tuple[str, ...]
    parent_columns: tuple[str, ...]


class Catalog:
    """What the exposed schemas hold, at one moment."""

    def __init__(
        self,
        tables: Sequence[Table],
        foreign_keys: Sequence[_ForeignKey],
        functions: Sequence[Function],
        timezones: frozenset[str],
    ) -> None:
        self._tables = {(table.schema, table.name): table for table in tables}
        self._foreign_keys = foreign_keys
        self._functions = functions
        self.timezones = timezones

    def table(self, schema: str, name: str) -> Table | None:
        """The table, or None when the cache does not know it."""
        return self._tables.get((schema, name))

    def tables_of(self, schema: str) -> list[str]:
        """The names of a schema's tables."""
        return [name for owner, name in self._tables if owner == schema]

    def relationship(
        self, schema: str, origin: str, target: str, hint: str | None
    ) -> Relationship:
        """The foreign key between two tables, from whichever side.

        Raises: FluxError PGRST200 (none) or PGRST201 (several and no hint).
        """
        found = [
            relationship
            for key in self._foreign_keys
            if key.schema == schema
            and (hint is None or hint in (key.name, *key.child_columns))
            for relationship in _directions(key, origin, target)
        ]
        if not found:
            raise no_relationship(
                origin, target, schema, self._near_relation(schema, origin, target)
            )
        if len(found) > 1:
            raise FluxError(
                300,
                "PGRST201",
                "Could not embed because more than one relationship was found for"
                f" '{origin}' and '{target}'",
            )
        return found[0]

    def _near_relation(self, schema: str, origin: str, target: str) -> str | None:
        names = {
            other
            for key in self._foreign_keys
            if key.schema == schema
            for here, other in ((key.child, key.parent), (key.parent, key.child))
            if here == origin
        }
        near = get_close_matches(target, sorted(names), n=1)
        return f"Perhaps you meant '{near[0]}' instead of '{target}'." if near else None

    def function(
        self, schema: str, name: str, arguments: frozenset[str], *, by_post: bool
    ) -> Function:
        """The function that takes these arguments. Raises: FluxError PGRST202."""
        for function in self._functions:
            if (function.schema, function.name) == (schema, name) and function.takes(
                arguments
            ):
                return function
        raise self._no_function(schema, name, arguments, by_post=by_post)

    def _no_function(
        self, schema: str, name: str, arguments: frozenset[str], *, by_post: bool
    ) -> FluxError:
        full = f"{schema}.{name}"
        given = ", ".join(sorted(arguments))
        called = f"{full}({given})" if given else f"{full} without parameters"
        plural = "s" if len(arguments) > 1 else ""
        searched = f"with parameter{plural} {given}" if given else "without parameters"
        if by_post:
            searched += " or with a single unnamed json/jsonb parameter"
        return FluxError(
            404,
            "PGRST202",
            f"Could not find the function {called} in the schema cache",
            details=f"Searched for the function {full} {searched}, but no matches"
            " were found in the schema cache.",
            hint=self._near_function(schema, name) if arguments else None,
        )

    def _near_function(self, schema: str, name: str) -> str | None:
        here = [function for function in self._functions if function.schema == schema]
        for function in here:
            if function.name == name and function.arguments:
                taken = ", ".join(argument for argument, _ in function.arguments)
                return (
                    f"Perhaps you meant to call the function {schema}.{name}({taken})"
                )
        names = sorted({function.name for function in here} - {name})
        near = get_close_matches(name, names, n=1, cutoff=0.7)
        if not near:
            return None
        return f"Perhaps you meant to call the function {schema}.{near[0]}"


def _directions(key: _ForeignKey, origin: str, target: str) -> list[Relationship]:
    found: list[Relationship] = []
    pairs = tuple(zip(key.child_columns, key.parent_columns, strict=True))
    if key.child == origin and target in (key.parent, key.name, *key.child_columns):
        found.append(Relationship(key.parent, True, pairs))
    if key.parent == origin and target in (key.child, key.name):
        turned = tuple((there, here) for here, there in pairs)
        found.append(Relationship(key.child, False, turned))
    return found


async def load_catalog(
    connection: "asyncpg.Connection[Any]", schemas: Sequence[str]
) -> Catalog:
    """Read the catalogue tables of PostgreSQL: four queries, 10 ms."""
    tables = [
        Table(
            schema=row["schema"],
            name=row["name"],
            columns={
                name: (type_, default)
                for name, type_, default in json.loads(row["columns"] or "[]")
            },
            key=tuple(json.loads(row["key"] or "[]")),
            commands=row["commands"],
        )
        for row in await connection.fetch(_TABLES, schemas)
    ]
    foreign_keys = [
        _ForeignKey(
            name=row["name"],
            schema=row["schema"],
            child=row["child"],
            parent=row["parent"],
            child_columns=tuple(row["child_columns"]),
            parent_columns=tuple(row["parent_columns"]),
        )
        for row in await connection.fetch(_FOREIGN_KEYS, schemas)
    ]
    functions = [_function(row) for row in await connection.fetch(_FUNCTIONS, schemas)]
    timezones = await connection.fetch("select name from pg_timezone_names")
    return Catalog(
        tables, foreign_keys, functions, frozenset(row["name"] for row in timezones)
    )


def _function(row: asyncpg.Record) -> Function:
    names = row["names"]
    if row["modes"]:
        names = [
            name
            for name, mode in zip(names, row["modes"], strict=True)
            if mode in ("i", "b", "v")
        ]
    types = row["types"] or []
    return Function(
        schema=row["schema"],
        name=row["name"],
        arguments=tuple(zip(names, types, strict=False)),
        defaults=row["defaults"],
        is_volatile=row["is_volatile"],
        returns_set=row["returns_set"],
        returns_rows=row["returns_rows"],
        returns_nothing=row["returns_nothing"],
    )
