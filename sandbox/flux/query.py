"""A whole query string: which parameter means what, and which embed it is for.

`rest.py` calls `parse_query`. Flux contract: flux.md §10; recordings 02, 11 and 20.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from .dialect import PostgREST12
from .errors import UndecodableQueryError, bad_range, not_embedded
from .grammar import (
    LOOKS_LIKE_FILTER,
    parse_filter,
    parse_filter_key,
    parse_logic,
    parse_order,
    parse_select,
)
from .tree import Filter, Logic, Node

_LOGIC_KEY = re.compile(r"(?:(.+)\.)??(not\.)?(and|or)$")
_INTEGER = re.compile(r"-?\d+$")
_NO_FILTERS = frozenset(("select", "columns", "on_conflict"))
_PAGING = frozenset(("order", "limit", "offset"))

_Step = Callable[[Node], None]


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query string. `arguments` are what a function call by GET would take."""

    root: Node
    columns: tuple[str, ...] | None
    on_conflict: tuple[str, ...]
    arguments: dict[str, str]
    location: str


def parse_query(
    raw: bytes, dialect: PostgREST12, *, for_function: bool = False
) -> Query:
    """Parse a raw query string.

    Raises: FluxError (PGRST100, 103, 108, 123), UndecodableQueryError.
    """
    pairs = _decode(raw)
    first = dict(reversed(pairs))
    last = dict(pairs)
    root = parse_select(first.get("select", ""))
    arguments: dict[str, str] = {}
    # PostgREST reads all parameters before it looks for the embeds that they are for.
    steps: list[_Step] = []
    for key, value in pairs:
        name = key.rpartition(".")[2]
        if key in _NO_FILTERS:
            continue
        if name in _PAGING:
            steps.append(_paging(key, first[key] if name == "order" else last[key]))
        elif for_function and _is_argument(key, value):
            arguments[key] = value
        elif value:
            steps.append(_filtering(key, value, dialect))
    for step in steps:
        step(root)
    return Query(
        root=root,
        columns=_names(first.get("columns")),
        on_conflict=_names(first.get("on_conflict")) or (),
        arguments=arguments,
        location=_location(raw),
    )


def _is_argument(key: str, value: str) -> bool:
    is_filter = LOOKS_LIKE_FILTER.match(value) or _LOGIC_KEY.match(key)
    return bool(value) and not is_filter


def _decode(raw: bytes) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in _raw_pairs(raw):
        try:
            pairs.append((key.decode(), value.decode()))
        except UnicodeDecodeError as error:
            raise UndecodableQueryError from error
    return pairs


def _raw_pairs(raw: bytes) -> Iterable[tuple[bytes, bytes]]:
    for part in raw.split(b"&"):
        if part:
            key, _, value = part.replace(b"+", b" ").partition(b"=")
            yield unquote_to_bytes(key), unquote_to_bytes(value)


def _location(raw: bytes) -> str:
    """The query as `Content-Location` repeats it: sorted, repeated keys joined, and
    every byte beyond ASCII taken for a character and encoded once more."""
    joined: dict[str, list[str]] = {}
    for key, value in _raw_pairs(raw):
        encoded = quote(value.decode("latin-1"), safe="")
        joined.setdefault(quote(key.decode("latin-1"), safe=""), []).append(encoded)
    if not joined:
        return ""
    return "?" + "&".join(f"{key}={','.join(joined[key])}" for key in sorted(joined))


def _names(text: str | None) -> tuple[str, ...] | None:
    if not text:
        return None
    return tuple(name.strip().strip('"') for name in text.split(","))


def _node_at(root: Node, path: str) -> Node:
    node = root
    for name in path.split(".") if path else ():
        for embed in node.embeds():
            if embed.name == name:
                node = embed.node
                break
        else:
            raise not_embedded(name)
    return node


def _filtering(key: str, value: str, dialect: PostgREST12) -> _Step:
    condition: Filter | Logic
    if logic := _LOGIC_KEY.match(key):
        path = logic[1] or ""
        condition = parse_logic(logic[3], bool(logic[2]), value, dialect)
    else:
        path, target = parse_filter_key(key)
        condition = parse_filter(target, value, dialect)
    return lambda root: _node_at(root, path).filters.append(condition)


def _paging(key: str, value: str) -> _Step:
    path, _, name = key.rpartition(".")

    def apply(root: Node) -> None:
        node = _node_at(root, path)
        if name == "order":
            node.order = parse_order(value)
        elif _INTEGER.match(value):
            number = int(value)
            if number < 0:
                raise bad_range("Limit should be greater than or equal to zero.")
            if name == "limit":
                node.limit = number
            else:
                node.offset = number

    return apply
