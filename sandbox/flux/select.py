"""SELECTs over tables and what is embedded in them.

`reads.py`, `calls.py` and `writes.py` use `SelectBuilder`; recording 11 holds embeds.
"""

# ruff: noqa: S608 - building SQL is the work of this file: every name in it passes
# `identifier`, every value `literal`.

from collections.abc import Sequence
from dataclasses import dataclass, field

from .catalog import Catalog, Relationship
from .dialect import PostgREST12
from .errors import FluxError, not_embedded
from .sql import condition_sql, field_sql, identifier, limit_sql, qualified
from .tree import Column, Embed, Filter, Logic, Node, OrderTerm


@dataclass(slots=True)
class _Selection:
    """The parts of one SELECT over one relation, embeds included."""

    columns: list[str] = field(default_factory=list)
    joins: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    embeds: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def where(self) -> str:
        return f" where {' and '.join(self.conditions)}" if self.conditions else ""


class SelectBuilder:
    """Builds SELECTs of one request; it numbers the embeds."""

    def __init__(self, catalog: Catalog, schema: str, dialect: PostgREST12) -> None:
        self._catalog = catalog
        self._schema = schema
        self._dialect = dialect
        self._embeds = 0

    def select(self, node: Node, relation: str, source: str, table: str) -> str:
        """Rows of a relation. `source` qualifies its columns, `table` is its name in
        the schema cache. Raises: FluxError PGRST108, 119, 200, 201."""
        parts = self._parts(node, source, table)
        return (
            f"select {', '.join(parts.columns)} from {relation}"
            f"{''.join(parts.joins)}{parts.where()}"
            f"{self._order(node.order, source, parts)}{limit_sql(node)}"
        )

    def count(self, node: Node, relation: str, source: str, table: str) -> str:
        """One row for each row that matches, whatever the page."""
        parts = self._parts(node, source, table)
        joins = "".join(parts.joins) if parts.embeds else ""
        return f"select 1 from {relation}{joins}{parts.where()}"

    def _parts(self, node: Node, source: str, table: str) -> _Selection:
        parts = _Selection()
        for item in node.columns:
            if isinstance(item, Embed):
                self._add_embed(parts, item, source, table)
            else:
                parts.columns.append(_column(source, item))
        for condition in node.filters:
            parts.conditions.append(_embed_condition(parts, condition, source))
        return parts

    def _add_embed(
        self, parts: _Selection, embed: Embed, source: str, table: str
    ) -> None:
        relation = self._catalog.relationship(
            self._schema, table, embed.relation, embed.hint
        )
        spreads_list = embed.spread and not relation.to_one
        if spreads_list and not self._dialect.spreads_lists:
            raise _cannot_spread(table, embed.relation)
        self._embeds += 1
        inside = identifier(f"{relation.target}_{self._embeds}")
        outside = identifier(f"{table}_{embed.name}_{self._embeds}")
        parts.embeds[embed.name] = (outside, relation.to_one)
        rows = self._embedded_rows(embed, relation, inside, source)
        if relation.to_one:
            text, value = rows, f"row_to_json({outside}.*)"
        else:
            # Named apart: a plain `r` would find the column of an embed beside it.
            lists = _lists(embed, inside) if spreads_list else ""
            text = f"select json_agg({inside}) as r{lists} from ({rows}) as {inside}"
            value = f"coalesce({outside}.r, '[]')"
        kind, kept = ("inner" if embed.inner else "left"), "true"
        if embed.inner and not relation.to_one:
            kept = f"{outside}.r is not null"
        parts.joins.append(f" {kind} join lateral ({text}) as {outside} on {kept}")
        if embed.spread:
            parts.columns += _spread(embed, outside, lists=spreads_list)
        elif embed.node.columns:
            parts.columns.append(f"{value} as {identifier(embed.name)}")

    def _embedded_rows(
        self, embed: Embed, relation: Relationship, inside: str, source: str
    ) -> str:
        node = embed.node
        parts = self._parts(node, inside, relation.target)
        parts.conditions[:0] = [
            f"{inside}.{identifier(there)} = {source}.{identifier(here)}"
            for here, there in relation.pairs
        ]
        return (
            f"select {', '.join(parts.columns) or '1'}"
            f" from {qualified(self._schema, relation.target)} as {inside}"
            f"{''.join(parts.joins)}{parts.where()}"
            f"{self._order(node.order, inside, parts)}{limit_sql(node)}"
        )

    def _order(self, terms: Sequence[OrderTerm], source: str, parts: _Selection) -> str:
        texts: list[str] = []
        for term in terms:
            origin = source
            if term.relation is not None:
                if term.relation not in parts.embeds:
                    raise not_embedded(term.relation)
                origin = parts.embeds[term.relation][0]
            nulls = {"nullsfirst": " nulls first", "nullslast": " nulls last"}
            texts.append(
                f"{field_sql(origin, term.field)} {term.direction or ''}"
                f"{nulls.get(term.nulls or '', '')}"
            )
        return f" order by {', '.join(texts)}" if texts else ""


def _column(source: str, column: Column) -> str:
    text = field_sql(source, column.field)
    if column.cast:
        text = f"cast({text} as {column.cast})"
    name = column.alias
    if name is None and column.field.path:
        name = column.field.path[-1][1]
    return f"{text} as {identifier(name)}" if name else text


def _embed_condition(parts: _Selection, condition: Filter | Logic, source: str) -> str:
    """`entries=is.null` asks whether the embed is empty; all else is a column's."""
    if isinstance(condition, Filter) and condition.field.name in parts.embeds:
        outside, to_one = parts.embeds[condition.field.name]
        text = f"{outside} is null" if to_one else f"{outside}.r is null"
        return f"not ({text})" if condition.negated else text
    return condition_sql(source, condition)


def _spread(embed: Embed, outside: str, *, lists: bool) -> list[str]:
    columns = [f"{outside}.{name}" for name in _shown_names(embed)]
    if not lists:
        return columns
    named = zip(columns, _shown_names(embed), strict=True)
    return [f"coalesce({column}, '[]') as {name}" for column, name in named]


def _lists(embed: Embed, inside: str) -> str:
    """One list for each column of a to-many spread."""
    return "".join(
        f", json_agg({inside}.{name}) as {name}" for name in _shown_names(embed)
    )


def _shown_names(embed: Embed) -> list[str]:
    return [
        identifier(item.alias or item.field.name)
        for item in embed.node.columns
        if isinstance(item, Column)
    ]


def _cannot_spread(origin: str, target: str) -> FluxError:
    return FluxError(
        400,
        "PGRST119",
        f"A spread operation on '{target}' is not possible",
        details=f"'{origin}' and '{target}' do not form a many-to-one or one-to-one"
        " relationship",
    )
