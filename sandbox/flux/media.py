"""Media types: which answer the caller takes, what body the caller sent.

`rest.py` calls `negotiate` and `parse_payload`. Recordings 01, 04, 05, 13 and 20.
"""

import csv
import io
import json
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

import orjson

from .errors import FluxError, invalid_body

_OBJECT = "application/vnd.pgrst.object+json"
_ARRAY = "application/vnd.pgrst.array+json"


@dataclass(frozen=True, slots=True)
class Media:
    """The chosen form of the answer."""

    content_type: str
    singular: bool = False
    strip_nulls: bool = False
    is_csv: bool = False


@dataclass(frozen=True, slots=True)
class Payload:
    """A body: JSON text and the keys that are taken from it.

    `nothing` is what has no rows to write: `[]`, `null`, a bare number or text.
    """

    text: str
    columns: tuple[str, ...]
    kind: Literal["object", "array", "nothing"]


_MEDIA = {
    "application/json": Media("application/json"),
    "*/*": Media("application/json"),
    "text/csv": Media("text/csv", is_csv=True),
    _OBJECT: Media(_OBJECT, singular=True),
    f"{_OBJECT};nulls=stripped": Media(
        f"{_OBJECT};nulls=stripped", singular=True, strip_nulls=True
    ),
    _ARRAY: Media("application/json"),
    f"{_ARRAY};nulls=stripped": Media(f"{_ARRAY};nulls=stripped", strip_nulls=True),
}


def negotiate(accept: str | None) -> Media:
    """Choose by `Accept`. Raises: FluxError PGRST107."""
    if not accept:
        return _MEDIA["application/json"]
    wanted: list[tuple[float, str]] = []
    for part in accept.split(","):
        type_, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                quality = float(parameter[2:])
            elif parameter == "nulls=stripped":
                type_ += ";nulls=stripped"
        wanted.append((quality, type_))
    for _, type_ in sorted(wanted, key=lambda pair: -pair[0]):
        if type_ in _MEDIA:
            return _MEDIA[type_]
    names = ", ".join(_shown(type_) for _, type_ in wanted)
    raise FluxError(
        406, "PGRST107", f"None of these media types are available: {names}"
    )


def _shown(type_: str) -> str:
    if type_.startswith("application/vnd.pgrst.plan"):
        return f'{type_}; for="application/json"'
    return type_


def parse_payload(
    body: bytes, content_type: str | None, columns: tuple[str, ...] | None
) -> Payload:
    """The body of a write. Raises: FluxError PGRST102."""
    type_ = (content_type or "application/json").partition(";")[0].strip()
    if type_ == "application/json":
        return _json_payload(body, columns)
    if type_ == "application/x-www-form-urlencoded":
        row = dict(parse_qsl(body.decode(), keep_blank_values=True))
        return _json_payload(orjson.dumps(row), columns)
    if type_ == "text/csv":
        return _json_payload(_csv_rows(body), columns)
    raise invalid_body(f"Content-Type not acceptable: {type_}")


def _csv_rows(body: bytes) -> bytes:
    rows = csv.DictReader(io.StringIO(body.decode()))
    return json.dumps(
        [
            {key: None if cell == "NULL" else cell for key, cell in row.items()}
            for row in rows
        ]
    ).encode()


def _json_payload(body: bytes, columns: tuple[str, ...] | None) -> Payload:
    try:
        value = orjson.loads(body)
        text = body.decode()
    except ValueError as error:
        raise invalid_body() from error
    if isinstance(value, dict):
        return Payload(text, tuple(value) if columns is None else columns, "object")
    if not isinstance(value, list) or not value:
        return Payload(text, (), "nothing")
    return Payload(text, _common_keys(value) if columns is None else columns, "array")


def _common_keys(rows: list[object]) -> tuple[str, ...]:
    keys = [set(row) if isinstance(row, dict) else None for row in rows]
    first = rows[0]
    if not isinstance(first, dict) or any(key != keys[0] for key in keys):
        raise invalid_body("All object keys must match")
    return tuple(first)
