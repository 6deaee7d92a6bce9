"""What a query string asks for, as data: made by `grammar.py`, read by `sql.py`."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Field:
    """A column, perhaps with a path into its JSON: `->key`, `->>key`."""

    name: str
    path: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """`field=not.operator(quantifier).value`; a list for `in`."""

    field: Field
    operator: str
    value: str | tuple[str, ...]
    negated: bool = False
    quantifier: str | None = None  # or the language of a text search


@dataclass(frozen=True, slots=True)
class Logic:
    """`and=(…)`, `or=(…)` and their negations."""

    operator: Literal["and", "or"]
    members: tuple["Filter | Logic", ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """One part of `order`; `relation` is set for `folders(name).desc`."""

    field: Field
    relation: str | None = None
    direction: str | None = None
    nulls: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `select`."""

    field: Field
    alias: str | None = None
    cast: str | None = None


@dataclass(slots=True)
class Node:
    """What is asked of one relation: the root's, or an embed's."""

    columns: list["Column | Embed"]
    filters: list[Filter | Logic] = field(default_factory=list)
    order: tuple[OrderTerm, ...] = ()
    limit: int | None = None
    offset: int = 0

    def embeds(self) -> list["Embed"]:
        """The related relations asked for, in their order."""
        return [item for item in self.columns if isinstance(item, Embed)]


@dataclass(slots=True)
class Embed:
    """A related relation inside `select`."""

    relation: str
    node: Node
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False

    @property
    def name(self) -> str:
        """The key under which its rows appear."""
        return self.alias or self.relation
