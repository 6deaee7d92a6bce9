"""The grammar of single parameters: `select`, `order`, filters, `and`/`or`.

`query.py` calls the `parse_` functions. Faults are PGRST100 with the words and the
column of the recordings. Flux contract: flux.md §10; recordings 01, 02, 11 and 20.
"""

import re
from collections.abc import Sequence

from .dialect import PostgREST12
from .errors import FluxError, bad_syntax
from .tree import Column, Embed, Field, Filter, Logic, Node, OrderTerm

_FIELD_NAME = "field name (* or [a..z0..9_$])"
_SELECT_ITEM = f'"...", {_FIELD_NAME}, "*" or "count()"'
_LOGIC_MEMBER = f"{_FIELD_NAME}, negation operator (not) or logic operator (and, or)"
_OPERATOR = "operator (eq, gt, ...)"

SIMPLE_OPERATORS = frozenset(
    [
        "eq",
        "neq",
        "gt",
        "gte",
        "lt",
        "lte",
        "like",
        "ilike",
        "match",
        "imatch",
        "isdistinct",
        "cs",
        "cd",
        "ov",
        "sl",
        "sr",
        "nxr",
        "nxl",
        "adj",
    ]
)
QUANTIFIED_OPERATORS = frozenset(
    ("eq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch")
)
TEXT_SEARCH_OPERATORS = frozenset(("fts", "plfts", "phfts", "wfts"))
_OPERATORS = SIMPLE_OPERATORS | TEXT_SEARCH_OPERATORS | {"in", "is"}
_AGGREGATES = frozenset(("avg", "count", "max", "min", "sum"))

_NAME = re.compile(r"(?:[\w$ ]|-(?!>))+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[,)]|$)', re.DOTALL)
_JSON_STEP = re.compile(r"(->>?)([\w $]+|-?\d+)")
_CAST = re.compile(r"::([\w ]+(?:\[\])?)")
_LOGIC_START = re.compile(r"(not\.)?(and|or)\(")
LOOKS_LIKE_FILTER = re.compile(
    rf"(?:not\.)?(?:{'|'.join(sorted(_OPERATORS))})(?:\([\w]+\))?\."
)


class _Scanner:
    """A place in a text; every fault names it as Parsec would."""

    def __init__(
        self,
        text: str,
        *,
        what: str,
        prefix: str = "",
        dialect: PostgREST12 | None = None,
    ) -> None:
        self.dialect = dialect or PostgREST12()
        self._text = prefix + text
        self._shown = text
        self._what = what
        self.position = len(prefix)

    @property
    def at_end(self) -> bool:
        return self.position >= len(self._text)

    def rest(self) -> str:
        rest, self.position = self._text[self.position :], len(self._text)
        return rest

    def take(self, text: str) -> bool:
        found = self._text.startswith(text, self.position)
        if found:
            self.position += len(text)
        return found

    def sees(self, text: str) -> bool:
        return self._text.startswith(text, self.position)

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self.position)
        if found:
            self.position = found.end()
        return found

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise self.fault(f'"{text}"')

    def skip_spaces(self) -> None:
        while self.take(" "):
            pass

    def name(self, expecting: str = _FIELD_NAME) -> str:
        if quoted := self.match(_QUOTED):
            return _unescape(quoted[1])
        found = self.match(_NAME)
        if not found or not found[0].strip():
            raise self.fault(expecting)
        return found[0].strip()

    def json_path(self) -> tuple[tuple[str, str], ...]:
        steps: list[tuple[str, str]] = []
        while step := self.match(_JSON_STEP):
            steps.append((step[1], step[2]))
        return tuple(steps)

    def fault(self, expecting: str) -> FluxError:
        seen = "end of input" if self.at_end else f'"{self._text[self.position]}"'
        return bad_syntax(
            self._what,
            self._shown,
            self.position + 1,
            f"unexpected {seen} expecting {expecting}",
        )


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def parse_select(text: str) -> Node:
    """`select`; an empty one means every column."""
    if not text:
        return Node([Column(Field("*"))])
    scanner = _Scanner(text, what="select parameter")
    node = Node(_select_items(scanner))
    if not scanner.at_end:
        raise scanner.fault('"," or end of input')
    return node


def _select_items(scanner: _Scanner) -> list[Column | Embed]:
    items = [_select_item(scanner)]
    while scanner.take(","):
        items.append(_select_item(scanner))
    return items


def _select_item(scanner: _Scanner) -> Column | Embed:
    scanner.skip_spaces()
    if scanner.take("..."):
        return _embed(scanner, scanner.name(), alias=None, spread=True)
    if scanner.take("*"):
        return Column(Field("*"))
    if scanner.take("count()"):
        raise _aggregates_are_off()
    name = scanner.name(_SELECT_ITEM)
    alias: str | None = None
    if scanner.sees(":") and not scanner.sees("::"):
        scanner.take(":")
        alias, name = name, scanner.name()
    if scanner.sees("(") or scanner.sees("!"):
        if name in _AGGREGATES and scanner.sees("()"):
            raise _aggregates_are_off()
        return _embed(scanner, name, alias=alias, spread=False)
    column = Field(name, scanner.json_path())
    cast = scanner.match(_CAST)
    if scanner.take("."):
        scanner.name()
        scanner.expect("()")
        raise _aggregates_are_off()
    return Column(column, alias, cast[1] if cast else None)


def _embed(scanner: _Scanner, name: str, *, alias: str | None, spread: bool) -> Embed:
    hint: str | None = None
    inner = False
    while scanner.take("!"):
        word = scanner.name()
        if word == "inner":
            inner = True
        elif word != "left":
            hint = word
    scanner.expect("(")
    items = [] if scanner.sees(")") else _select_items(scanner)
    scanner.expect(")")
    return Embed(name, Node(items), alias, hint, inner, spread)


def _aggregates_are_off() -> FluxError:
    return FluxError(400, "PGRST123", "Use of aggregate functions is not allowed")


def parse_order(text: str) -> tuple[OrderTerm, ...]:
    """`order`; empty means none."""
    if not text:
        return ()
    scanner = _Scanner(text, what="order")
    terms = [_order_term(scanner)]
    while scanner.take(","):
        terms.append(_order_term(scanner))
    if not scanner.at_end:
        raise scanner.fault('"," or end of input')
    return tuple(terms)


def _order_term(scanner: _Scanner) -> OrderTerm:
    scanner.skip_spaces()
    name = scanner.name()
    relation: str | None = None
    if scanner.take("("):
        relation, name = name, scanner.name()
        column = Field(name, scanner.json_path())
        scanner.expect(")")
    else:
        column = Field(name, scanner.json_path())
    direction: str | None = None
    nulls: str | None = None
    while scanner.take("."):
        if direction is None and nulls is None:
            direction = _one_of(scanner, ("asc", "desc"))
            if direction:
                continue
        nulls = _one_of(scanner, ("nullsfirst", "nullslast"))
        if nulls is None:
            raise scanner.fault(
                '"nullsfirst" or "nullslast"'
                if direction
                else '"asc", "desc", "nullsfirst" or "nullslast"'
            )
    return OrderTerm(column, relation, direction, nulls)


def _one_of(scanner: _Scanner, words: Sequence[str]) -> str | None:
    return next((word for word in words if scanner.take(word)), None)


def parse_filter(target: Field, text: str, dialect: PostgREST12) -> Filter:
    scanner = _Scanner(text, what="filter", dialect=dialect)
    condition = _operation(scanner, target, in_logic=False)
    if not scanner.at_end:
        raise scanner.fault("end of input")
    return condition


def parse_logic(operator: str, negated: bool, text: str, dialect: PostgREST12) -> Logic:
    # PostgREST puts the key before the value and parses both: columns count from there.
    prefix = f"not.{operator}" if negated else operator
    scanner = _Scanner(text, what="logic tree", prefix=prefix, dialect=dialect)
    scanner.expect("(")
    tree = _logic_members(scanner, operator, negated)
    if not scanner.at_end:
        raise scanner.fault("end of input")
    return tree


def _logic_members(scanner: _Scanner, operator: str, negated: bool) -> Logic:
    members = [_logic_member(scanner)]
    while scanner.take(","):
        members.append(_logic_member(scanner))
    scanner.skip_spaces()
    if not scanner.take(")"):
        raise scanner.fault('"," or ")"')
    return Logic("or" if operator == "or" else "and", tuple(members), negated)


def _logic_member(scanner: _Scanner) -> Filter | Logic:
    scanner.skip_spaces()
    if nested := scanner.match(_LOGIC_START):
        return _logic_members(scanner, nested[2], bool(nested[1]))
    target = Field(scanner.name(_LOGIC_MEMBER), scanner.json_path())
    scanner.expect(".")
    return _operation(scanner, target, in_logic=True)


_OPERATOR_START = re.compile(r"([a-z]+)(?:\((\w+)\))?\.")


def _operation(scanner: _Scanner, target: Field, *, in_logic: bool) -> Filter:
    negated = scanner.take("not.")
    start = scanner.position
    found = scanner.match(_OPERATOR_START)
    if not found or not _is_operator(found[1], found[2]):
        scanner.position = start
        raise scanner.fault(_OPERATOR if negated else f'"not" or {_OPERATOR}')
    operator, quantifier = found[1], found[2]
    value: str | tuple[str, ...]
    if operator == "is":
        value = _trilean(scanner)
    elif operator == "in":
        value = _list(scanner)
    elif in_logic:
        value = _logic_value(scanner)
    else:
        value = scanner.rest()
    return Filter(target, operator, value, negated, quantifier)


def _is_operator(word: str, quantifier: str | None) -> bool:
    if quantifier is None:
        return word in _OPERATORS
    if word in TEXT_SEARCH_OPERATORS:
        return True
    return word in QUANTIFIED_OPERATORS and quantifier in ("any", "all")


def _trilean(scanner: _Scanner) -> str:
    words = scanner.dialect.trileans
    if found := _one_of(scanner, words):
        return found.replace("_", " ")
    # The fault is where the text parts from every word that it began as.
    begun = (
        length
        for word in words
        for length in range(1, len(word))
        if scanner.sees(word[:length])
    )
    scanner.position += max(begun, default=0)
    raise scanner.fault(scanner.dialect.trilean_expected)


_LIST_ELEMENT = re.compile(r"[^,)]*")
_PG_ARRAY = re.compile(r"\{[^{}]*\}")


def _list(scanner: _Scanner) -> tuple[str, ...]:
    scanner.expect("(")
    if scanner.take(")"):
        return ()
    values = [_list_element(scanner)]
    while scanner.take(","):
        values.append(_list_element(scanner))
    if not scanner.take(")"):
        raise scanner.fault('"," or ")"')
    return tuple(values)


def _list_element(scanner: _Scanner) -> str:
    if quoted := scanner.match(_QUOTED_VALUE):
        return _unescape(quoted[1])
    found = scanner.match(_LIST_ELEMENT)
    return found[0] if found else ""


def _logic_value(scanner: _Scanner) -> str:
    array = scanner.match(_PG_ARRAY)
    return array[0] if array else _list_element(scanner)


def parse_filter_key(key: str) -> tuple[str, Field]:
    """`entries.meta->>i` → the embed's path, the field."""
    scanner = _Scanner(key, what="filter")
    names = [scanner.name()]
    while scanner.take("."):
        names.append(scanner.name())
    return ".".join(names[:-1]), Field(names[-1], scanner.json_path())
