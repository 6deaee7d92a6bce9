"""The answers that are errors, in the words that all versions of PostgREST share.

Raised anywhere below `rest.py`, which turns them into a response. Codes that start
with `PGRST` are PostgREST's; all others are PostgreSQL's own SQLSTATE, with the text,
details and hint that PostgreSQL gave. What differs by version is in `dialect.py`. Flux
contract: flux.md §6.
"""

import json
from collections.abc import Mapping

import asyncpg

_STATUS_BY_CODE = {
    "21000": 500,
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "53400": 500,
    "57P01": 503,
    "P0001": 400,
}
_STATUS_BY_CLASS = {
    "08": 503,
    "53": 503,
    **dict.fromkeys(("0L", "0P", "28"), 403),
    **dict.fromkeys(
        ("09", "25", "2D", "38", "39", "3B", "40", "54", "55", "57", "58"), 500
    ),
    **dict.fromkeys(("F0", "HV", "P0", "XX"), 500),
}


class FluxError(Exception):
    """An error with PostgREST's four-key body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The JSON that the caller sees: always all four keys."""
        return json.dumps(
            {
                "code": self.code,
                "details": self.details,
                "hint": self.hint,
                "message": self.message,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()


class NotInSchemaCacheError(FluxError):
    """PostgREST 12 answers 404 `{}` for bad paths and writes to unknown tables."""

    def __init__(self) -> None:
        super().__init__(404, "", "")

    def body(self) -> bytes:
        """An object without a word."""
        return b"{}"


class UndecodableQueryError(Exception):
    """PostgREST answers 500 in plain text when a query is not UTF-8."""


def from_postgres(
    error: asyncpg.PostgresError, *, anonymous: bool, unknown_role_status: int
) -> FluxError:
    """PostgreSQL's error as PostgREST passes it on."""
    code = str(error.sqlstate)
    headers: dict[str, str] = {}
    status = _status(code)
    if code == "22023" and str(error.message).startswith('role "'):
        status = unknown_role_status
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
    if code == "42501":
        status = 401 if anonymous else 403
        if anonymous:
            headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = "0"
    return FluxError(
        status,
        code,
        str(error.message),
        details=error.detail,
        hint=error.hint,
        headers=headers,
    )


def _status(code: str) -> int:
    if code.startswith("PT") and code[2:].isdigit():  # the function chose it
        return int(code[2:])
    return _STATUS_BY_CODE.get(code) or _STATUS_BY_CLASS.get(code[:2], 400)


def bad_syntax(what: str, shown: str, column: int, details: str) -> FluxError:
    """PGRST100: a parameter that the grammar refuses, with the place of the fault."""
    message = f'"failed to parse {what} ({shown})" (line 1, column {column})'
    return FluxError(400, "PGRST100", message, details=details)


def invalid_body(message: str = "Empty or invalid json") -> FluxError:
    """PGRST102: the body is not what its type says, or its rows do not agree."""
    return FluxError(400, "PGRST102", message)


def bad_range(details: str) -> FluxError:
    """PGRST103."""
    return FluxError(
        416, "PGRST103", "Requested range not satisfiable", details=details
    )


def no_relationship(
    parent: str, child: str, schema: str, hint: str | None
) -> FluxError:
    """PGRST200: nothing to embed by that name."""
    return FluxError(
        400,
        "PGRST200",
        f"Could not find a relationship between '{parent}' and '{child}'"
        " in the schema cache",
        details="Searched for a foreign key relationship between"
        f" '{parent}' and '{child}' in the schema '{schema}', but no matches were"
        " found.",
        hint=hint,
    )


def not_embedded(name: str) -> FluxError:
    """PGRST108: a parameter speaks of an embed that `select` does not have."""
    return FluxError(
        400,
        "PGRST108",
        f"'{name}' is not an embedded resource in this request",
        hint=f"Verify that '{name}' is included in the 'select' query parameter.",
    )


def no_such_column(table: str, column: str) -> FluxError:
    """PGRST204: a key of the body is not a column."""
    return FluxError(
        400,
        "PGRST204",
        f"Could not find the '{column}' column of '{table}' in the schema cache",
    )


def bad_token(
    message: str, *, code: str = "PGRST301", details: str | None = None
) -> FluxError:
    """A token that is refused, with the challenge that says so."""
    quoted = message.replace('"', '\\"')
    challenge = f'Bearer error="invalid_token", error_description="{quoted}"'
    headers = {"WWW-Authenticate": challenge}
    return FluxError(401, code, message, details=details, headers=headers)


def database_unreachable() -> FluxError:
    """PGRST002."""
    return FluxError(
        503,
        "PGRST002",
        "Could not query the database for the schema cache. Retrying.",
        headers={"Retry-After": "0"},
    )


def pool_exhausted() -> FluxError:
    """PGRST003."""
    return FluxError(
        504, "PGRST003", "Timed out acquiring connection from connection pool."
    )
