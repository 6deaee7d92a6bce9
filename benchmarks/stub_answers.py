"""What the stub upstream answers: just enough of both upstreams' dialects.

Called by `stub.py` once per distinct request; the answer is kept there as bytes. A
request outside these few routes is answered 404, so that a benchmark fails instead of
measuring an error path. Shapes: conduit.md §2 to §4, flux.md §10, §11.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from . import upstream_data as data
from .upstream_data import Row

CONDUIT_DEFAULT_LIMIT = 25
# Far in the future: no server may have to renew while it is measured.
ACCESS_TOKEN_EXPIRY = 4_000_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class StubAnswers:
    """The data set, with its rows found by id."""

    def __init__(self) -> None:
        posts = [data.post(number) for number in data.newest_first(data.POSTS)]
        total = data.POSTS * data.NOTES_PER_POST
        notes = [data.note(number) for number in data.newest_first(total)]
        self._posts = {str(row["_id"]): row for row in posts}
        self._users = {
            str(row["_id"]): row for row in map(data.user, range(data.USERS))
        }
        self._files = {
            str(row["_id"]): row for row in map(data.file, range(data.POSTS))
        }
        self._notes = {str(row["id"]): row for row in notes}
        self._routes: dict[tuple[str, str], Callable[[_Request], Answer]] = {
            ("POST", "/authentication/local"): self._sign_in,
            ("GET", "/authentication/user"): self._viewer,
            ("GET", "/database/Post"): self._post_list,
            ("GET", "/database/function/GetPostsByIds"): self._posts_by_ids,
            ("GET", "/database/function/GetUsersByIds"): self._users_by_ids,
            ("GET", "/database/function/GetFilesByIds"): self._files_by_ids,
            ("GET", "/notes"): self._note_list,
            ("PATCH", "/notes"): self._update_note,
            ("POST", "/rpc/notes_by_post"): self._notes_by_post,
        }

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """The answer to one request; 404 with the reason for an unknown one."""
        parts = urlsplit(target)
        route = self._routes.get((method, parts.path))
        if route is None:
            return _json({"error": f"the stub has no {method} {parts.path}"}, 404)
        query = parse_qs(parts.query, keep_blank_values=True)
        return route(_Request(query, body))

    def _sign_in(self, request: "_Request") -> Answer:
        """Lets in whoever says person3@example.com, as that person."""
        number = re.search(r"\d+", str(request.json().get("email")))
        person = data.user(int(number[0]) if number else 0)
        return _json({"accessToken": _access_token(person), "refreshToken": "r" * 88})

    def _viewer(self, _: "_Request") -> Answer:
        return _json(data.user(0))

    def _post_list(self, request: "_Request") -> Answer:
        skip = int(request.one("skip", "0"))
        limit = int(request.one("limit", str(CONDUIT_DEFAULT_LIMIT)))
        rows = list(self._posts.values())[skip : skip + limit]
        documents = self._populated(rows, request)
        return _json({"documents": documents, "count": len(self._posts)})

    def _posts_by_ids(self, request: "_Request") -> Answer:
        rows = _found(self._posts, request.many("ids"))
        return _json(self._populated(rows, request))

    def _users_by_ids(self, request: "_Request") -> Answer:
        return _json(_found(self._users, request.many("ids")))

    def _files_by_ids(self, request: "_Request") -> Answer:
        return _json(_found(self._files, request.many("ids")))

    def _populated(self, rows: Iterable[Row], request: "_Request") -> list[Row]:
        """Relations replaced by the whole related document, where asked."""
        populate = request.many("populate")
        tables = {"author": self._users, "coverFile": self._files}
        return [
            {
                name: tables[name][str(value)] if name in populate else value
                for name, value in row.items()
            }
            for row in rows
        ]

    def _note_list(self, request: "_Request") -> Answer:
        asked = request.one("id", "")
        rows = list(self._notes.values())
        if asked:
            ids = asked.removeprefix("in.").strip("()").replace('"', "").split(",")
            rows = _found(self._notes, ids)
        limit = request.one("limit", "")
        return _rows(rows[: int(limit)] if limit else rows, request)

    def _update_note(self, request: "_Request") -> Answer:
        """The row as it would be; nothing is kept, so that answers stay the same."""
        row = self._notes[request.one("id", "").removeprefix("eq.")]
        updated = {**row, **request.json(), "updated_at": row["created_at"]}
        return _rows([updated], request)

    def _notes_by_post(self, request: "_Request") -> Answer:
        arguments = request.json()
        ids, per_post = arguments["post_ids"], arguments["per_post"]
        if not isinstance(ids, list) or not isinstance(per_post, int):
            return _json({"error": "post_ids and per_post are needed"}, 400)
        newest: dict[object, list[Row]] = {id_: [] for id_ in ids}
        for row in self._notes.values():
            group = newest.get(row["post_id"])
            if group is not None and len(group) < per_post:
                group.append(row)
        return _rows([row for group in newest.values() for row in group], request)


@dataclass(frozen=True, slots=True)
class _Request:
    query: Mapping[str, Sequence[str]]
    body: bytes

    def one(self, name: str, default: str) -> str:
        return self.query.get(name, (default,))[0]

    def many(self, name: str) -> list[str]:
        """A list as Conduit reads it: commas or repetition (conduit.md §1)."""
        values = self.query.get(name, self.query.get(f"{name}[]", ()))
        return [item for value in values for item in value.split(",")]

    def json(self) -> dict[str, object]:
        found: object = json.loads(self.body)
        return found if isinstance(found, dict) else {}


def _by_key(rows: Iterable[Row], key: str) -> dict[str, Row]:
    return {str(row[key]): row for row in rows}


def _found(table: Mapping[str, Row], ids: Iterable[str]) -> list[Row]:
    return [table[id_] for id_ in ids if id_ in table]


def _rows(rows: list[Row], request: _Request) -> Answer:
    """Rows as PostgREST sends them: the selected columns and a Content-Range."""
    columns = request.one("select", "*").split(",")
    if columns != ["*"]:
        rows = [{name: row[name] for name in columns} for row in rows]
    span = f"0-{len(rows) - 1}/*" if rows else "*/*"
    return _json(rows, headers={"Content-Range": span})


def _json(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, body, headers or {})


def _access_token(owner: Row) -> str:
    """A JWT with Conduit's claims; nobody here checks its signature."""
    claims = {
        "id": owner["_id"],
        "authorized": True,
        "sudo": True,
        "iat": ACCESS_TOKEN_EXPIRY - 3600,
        "exp": ACCESS_TOKEN_EXPIRY,
    }
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    encoded = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in parts
    ]
    return ".".join([*encoded, "c2lnbmF0dXJl"])
