"""How the router reads parameters: the rules of section 1 of conduit.md.

Query values are split at commas and coerced, body values are neither, unknown names
are dropped, and whatever does not fit is a 400 without detail. Used by `router.py`
and `graphql.py`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from .declarations import Input
from .failures import BadParametersError
from .values import as_date

BODY, QUERY, URL = 0, 1, 2

QueryValue = str | list[str]


def parse_query(text: str) -> dict[str, QueryValue]:
    """A query string as the router sees it: lists by comma, repetition or `[]`."""
    values: dict[str, list[str]] = {}
    lists = set()
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name.endswith("[]"):
            name = name.removesuffix("[]")
            lists.add(name)
        values.setdefault(name, []).append(value)
    return {name: _split(found, name in lists) for name, found in values.items()}


def _split(found: list[str], is_list: bool) -> QueryValue:
    if len(found) > 1:
        return found
    if "," in found[0]:
        return found[0].split(",")
    return found if is_list else found[0]


def read(
    inputs: Sequence[Input],
    *,
    query: Mapping[str, QueryValue],
    body: object,
    url: Mapping[str, str],
) -> dict[str, Any]:
    """The declared inputs that were sent. Raises: BadParametersError."""
    fields = body if isinstance(body, dict) else {}
    sources: dict[int, Mapping[str, object]] = {BODY: fields, QUERY: query, URL: url}
    found: dict[str, Any] = {}
    for each in inputs:
        source = sources[each.location]
        if each.name not in source:
            if not each.optional:
                raise BadParametersError
            continue
        checks = _TYPED if each.location == BODY else _COERCED
        found[each.name] = _value(each, source[each.name], checks)
    return found


def read_typed(inputs: Sequence[Input], values: Mapping[str, Any]) -> dict[str, Any]:
    """The same for values that have types already. Raises: BadParametersError."""
    everywhere = [
        Input(each.name, each.type, BODY, each.array, each.optional) for each in inputs
    ]
    return read(everywhere, query={}, body=dict(values), url={})


def _value(
    each: Input, value: object, checks: Mapping[str, Callable[[object], Any]]
) -> Any:
    check = checks.get(each.type, checks["String"])
    if not each.array:
        return check(value)
    if isinstance(value, list):
        return [check(item) for item in value]
    if each.location == BODY:
        raise BadParametersError
    return [check(value)]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadParametersError
    return value


def _date(value: object) -> str:
    if (moment := as_date(value)) is None:
        raise BadParametersError
    return moment


def _number(value: object) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadParametersError
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadParametersError
    return value


def _json(value: object) -> object:
    if not isinstance(value, dict | list):
        raise BadParametersError
    return value


def _number_from_text(value: object) -> float | int:
    """JavaScript's `Number(text)`: an empty text is 0."""
    text = _text(value).strip()
    try:
        number = float(text) if text else 0.0
    except ValueError:
        raise BadParametersError from None
    if not math.isfinite(number):
        raise BadParametersError
    return int(number) if number.is_integer() else number


def _flag_from_text(value: object) -> bool:
    """JavaScript's truth: only the empty text is false."""
    return _text(value) != ""


_TYPED: Mapping[str, Callable[[object], Any]] = {
    "String": _text,
    "Number": _number,
    "Boolean": _flag,
    "Date": _date,
    "JSON": _json,
}
_COERCED: Mapping[str, Callable[[object], Any]] = {
    "String": _text,
    "Number": _number_from_text,
    "Boolean": _flag_from_text,
    "Date": _date,
}
