"""What each person wrote, and what they were told became of it.

Filled by `writes.py`, asked by `reads.py` while the trial runs and by `audit.py` at its
end. Every text that is written begins with a marker that nobody else uses, and a
person's markers begin with their name: so whatever is read tells whose it is.
"""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["note", "post", "file"]
# None: it does not exist.
Content = str | None

MOST: Final[dict[Kind, int]] = {"note": 60, "post": 25, "file": 15}


@dataclass(slots=True, eq=False)
class Thing:
    """One note, post or file. `possible` is what a reader may find in the end.

    `open`: a write's outcome was not told, or the thing is gone; it is written no more.
    """

    kind: Kind
    owner: str
    marker: str
    key: str | None = None
    id: str | None = None
    preview: str = ""
    told: str = ""
    possible: set[Content] = field(default_factory=lambda: {None})
    attempted: set[str] = field(default_factory=set)
    busy: bool = False
    open: bool = False

    def next_content(self) -> str:
        """A content that it never had."""
        content = f"{self.marker} v{len(self.attempted)}"
        self.attempted.add(content)
        return content

    def became(self, content: Content) -> None:
        """The write was reported as a success."""
        self.possible = {content}
        self.open = content is None

    def left_open(self, content: Content) -> None:
        """Nobody can tell whether the write was done, or is still to be."""
        self.possible.add(content)
        self.open = True


@dataclass(slots=True)
class Model:
    """Everything that was written, and every contradiction that was seen."""

    things: dict[str, Thing] = field(default_factory=dict)
    live: dict[tuple[str, Kind], list[Thing]] = field(
        default_factory=lambda: defaultdict(list)
    )
    user_ids: dict[str, str] = field(default_factory=dict)
    crossed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)

    def new(self, kind: Kind, owner: str, key: str | None) -> Thing:
        """A thing that is about to be made."""
        marker = f"{owner}-{kind}-{len(self.things)}"
        thing = self.things[marker] = Thing(kind, owner, marker, key)
        return thing

    def made(self, thing: Thing, content: str, id: str) -> None:
        """It exists."""
        thing.became(content)
        thing.id = id
        self.live[thing.owner, thing.kind].append(thing)

    def pick(self, kind: Kind, owner: str, rng: random.Random) -> Thing | None:
        """One that can be written, or None."""
        live = self.live[owner, kind]
        live[:] = [thing for thing in live if not thing.open]
        idle = [thing for thing in live if not thing.busy]
        return rng.choice(idle) if idle else None

    def is_full(self, kind: Kind, owner: str) -> bool:
        """Whether to delete rather: the stand-ins hold everything in memory."""
        return len(self.live[owner, kind]) >= MOST[kind]

    def foreign_id(self, kind: Kind, owner: str, rng: random.Random) -> str | None:
        """The id of something that is another person's."""
        others = [
            thing
            for (name, its_kind), live in self.live.items()
            if its_kind == kind and name != owner
            for thing in live
        ]
        return rng.choice(others).id if others else None

    def see_note(self, reader: str, body: str) -> None:
        """Notes are shown to their owner only, as they were written."""
        thing = self.things.get(marker_of(body))
        if thing is None or thing.owner != reader:
            self.crossed.append(f"{reader} was shown the note {body!r}")
        elif body not in thing.attempted:
            self.crossed.append(f"the note {body!r} was never written")

    def see_post(self, title: str, author_id: str | None) -> None:
        """Posts are shown to all, under the name of who wrote them."""
        thing = self.things.get(marker_of(title))
        if thing is None:
            return  # one of the demo's
        wrong_author = author_id not in (None, self.user_ids[thing.owner])
        if wrong_author or title not in thing.attempted:
            self.crossed.append(f"the post {title!r} is shown as {author_id}'s")


def marker_of(text: str) -> str:
    return text.split(" ", 1)[0]
