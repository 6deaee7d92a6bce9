"""The named queries: their documents (`queries/*.graphql`) and their variables.

`COUNTED` are the operations whose upstream calls we promise (`calls.py`), `MEASURED`
those whose cost is compared (`cost.py`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "queries"
_SDL = Path(__file__).parent.parent / "schema" / "schema.graphql"

# What `nodes` takes at most, in thirds.
MOST_OF_EACH_KIND = 33

Variables = Mapping[str, object]


def document(name: str) -> str:
    return (_FOLDER / f"{name}.graphql").read_text()


def request_body(name: str, variables: Variables) -> bytes:
    """The JSON that a client posts."""
    return json.dumps({"query": document(name), "variables": variables}).encode()


@dataclass(frozen=True, slots=True)
class KnownIds:
    """Global ids of rows that exist, as `ids_of_three_kinds` finds them."""

    posts: list[str]
    notes: list[str]
    files: list[str]

    @classmethod
    def of(cls, data: Mapping[str, Mapping[str, list[Variables]]]) -> "KnownIds":
        """Out of `data` of that query's answer."""
        posts, notes = data["posts"]["nodes"], data["notes"]["nodes"]
        covers = [post["coverFile"] for post in posts]
        return cls(
            posts=[str(post["id"]) for post in posts],
            notes=[str(note["id"]) for note in notes],
            files=[str(cover["id"]) for cover in covers if isinstance(cover, dict)],
        )

    def mixed(self, of_each: int) -> list[str]:
        """As many of each kind, kinds in turn."""
        columns = (self.posts, self.notes, self.files)
        return [id_ for row in zip(*columns, strict=False) for id_ in row][
            : of_each * len(columns)
        ]


# For operations that take none.
NO_IDS = KnownIds([], [], [])


def _rows(rows: int, _: KnownIds) -> Variables:
    return {"rows": rows}


def _mixed_ids(rows: int, ids: KnownIds) -> Variables:
    return {"ids": ids.mixed(min(rows, MOST_OF_EACH_KIND))}


def _one_note(_: int, ids: KnownIds) -> Variables:
    return {"id": ids.notes[0], "body": "The gauge was read twice."}


@dataclass(frozen=True, slots=True)
class Counted:
    """An operation and the number of upstream calls that it may cost."""

    title: str
    document: str
    promised: int
    variables: Callable[[int, KnownIds], Variables] = _rows


@dataclass(frozen=True, slots=True)
class Measured:
    """An operation whose cost is compared; `needs` is a field it cannot do without."""

    name: str
    title: str
    document: str
    rows: int
    variables: Callable[[int, KnownIds], Variables] = _rows
    needs: str | None = None

    @property
    def is_offered(self) -> bool:
        """Whether our schema has the field that this operation needs."""
        return self.needs is None or f"{self.needs}(" in _SDL.read_text()

    def body(self, ids: KnownIds, dialect: str | None = None) -> bytes:
        """What a client posts: our document, or that of another dialect."""
        variables = self.variables(self.rows, ids)
        if dialect is None:
            return request_body(self.document, variables)
        return json.dumps({"query": dialect, "variables": variables}).encode()


COUNTED = (
    Counted("posts with author and cover + notes", "posts_and_notes", 2),
    Counted("the same with the viewer", "posts_and_notes_with_viewer", 3),
    Counted(
        "posts with author, cover and 5 newest notes each", "posts_with_their_notes", 2
    ),
    Counted(
        "nodes: as many posts, notes and files", "nodes_of_three_kinds", 3, _mixed_ids
    ),
    Counted("notes with their posts and authors", "notes_with_their_posts", 2),
)

MEASURED = (
    Measured("Q1", "20 posts, 3 fields", "posts", 20),
    Measured("Q2", "20 posts with author and cover + 20 notes", "posts_and_notes", 20),
    Measured(
        "Q3", "100 posts with author, cover, 5 notes", "posts_with_their_notes", 100
    ),
    Measured(
        "Q4",
        "nodes: 20 posts, 20 notes, 20 files",
        "nodes_of_three_kinds",
        20,
        _mixed_ids,
    ),
    Measured(
        "Q5",
        "update a note, read back its post",
        "update_note",
        1,
        _one_note,
        needs="updateNote",
    ),
    Measured(
        "Q6",
        "Q2, and the notes' posts by their ids with author and cover",
        "posts_and_notes_with_their_posts",
        20,
    ),
)
