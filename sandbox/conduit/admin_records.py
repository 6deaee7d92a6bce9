"""How the Admin API stores, lists and stamps what it is given.

Used by `admin_schemas.py` and `admin_endpoints.py`. Relies on recordings/admin.json.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from .database import DEFAULT_LIMIT
from .declarations import Json
from .failures import BadParametersError
from .parameters import QueryValue
from .values import timestamp_text

Query = Mapping[str, QueryValue]


class Records:
    """JSON records by id, in the order of a heap: a changed one moves to the end."""

    def __init__(self, clock: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._new_id = new_id
        self._by_id: dict[str, Json] = {}

    def add(self, record: Json) -> Json:
        """Stamp and keep a new one."""
        now = timestamp_text(self._clock())
        stamps = {"createdAt": now, "updatedAt": now, "_id": self._new_id()}
        self._by_id[stamps["_id"]] = {**record, **stamps}
        return self._by_id[stamps["_id"]]

    def change(self, id: str, changes: Json) -> Json:
        """Set some of its keys."""
        now = timestamp_text(self._clock())
        self._by_id[id] = {**self._by_id.pop(id), **changes, "updatedAt": now}
        return self._by_id[id]

    def remove(self, id: str) -> None:
        """Forget one."""
        del self._by_id[id]

    def get(self, id: str) -> Json | None:
        """The one with an id."""
        return self._by_id.get(id)

    def named(self, name: str) -> Json | None:
        """The one with a name."""
        return next((each for each in self if each["name"] == name), None)

    def __iter__(self) -> Iterator[Json]:
        return iter(self._by_id.values())


def page(records: Iterable[Json], query: Query) -> tuple[Sequence[Json], int]:
    """By `search`, `sort`, `skip` and `limit`; with the number that matched.

    Raises: BadParametersError.
    """
    search = str(query.get("search", "")).lower()
    found = [each for each in records if search in each["name"].lower()]
    if isinstance(sort := query.get("sort"), str):
        key = sort.removeprefix("-")
        found.sort(key=lambda each: str(each.get(key)), reverse=sort.startswith("-"))
    skip, limit = _number(query, "skip", 0), _number(query, "limit", DEFAULT_LIMIT)
    return found[skip : skip + limit], len(found)


def required(body: Json, name: str, kind: type) -> Json:
    """A field of a body. Raises: BadParametersError."""
    if not isinstance(value := body.get(name), kind):
        raise BadParametersError
    return value


def _number(query: Query, name: str, default: int) -> int:
    try:
        return int(str(query.get(name, default)))
    except ValueError:
        raise BadParametersError from None
