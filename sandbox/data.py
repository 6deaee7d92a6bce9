"""The demo data: two people, their posts with covers, their notes, some files.

Called by `sandbox/__main__.py`, which writes it into the stand-ins. Pure and the
same at every start: ids are derived from names, times from one fixed day, so a
link copied from one run opens in the next. Nothing here knows how a stand-in
stores what it is given.
"""

import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

PASSWORD = "mainstem-demo"
POSTS = 60
NOTES = 200

_NAMESPACE = uuid.UUID("6d61696e-7374-656d-8000-000000000000")
_START = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)

_SUBJECTS = (
    "Watersheds",
    "The ferry timetable",
    "A bridge in three parts",
    "Mills and weirs",
    "Where the tide turns",
    "Lock keepers",
    "High water marks",
    "The delta from above",
    "Ice on the upper reach",
    "Maps that lie",
    "Cargo by night",
    "The pilot's notebook",
)
_ANGLES = (
    "a first look",
    "what the records say",
    "five years on",
    "a walk along it",
    "questions and answers",
)
_THOUGHTS = (
    "Check the dates in the second paragraph.",
    "Good picture for the newsletter.",
    "Ask Ines about the 1954 survey.",
    "This contradicts last week's post.",
    "Quote the opening sentence.",
    "Missing a source for the flow figures.",
    "Send to the harbour office.",
)


@dataclass(frozen=True, slots=True)
class DemoUser:
    id: str
    email: str
    username: str


@dataclass(frozen=True, slots=True)
class DemoFile:
    id: str
    owner_id: str
    name: str
    mime_type: str
    is_public: bool
    content: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DemoPost:
    id: str
    author_id: str
    cover_file_id: str | None
    title: str
    body: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DemoNote:
    id: str
    owner_id: str
    post_id: str | None
    body: str
    created_at: datetime


def users() -> list[DemoUser]:
    return [
        DemoUser(_id("user", name), f"{name}@example.com", name)
        for name in ("first", "second")
    ]


def files() -> list[DemoFile]:
    """One PNG cover for each post, then one file of each further kind."""
    return [*_covers(), *_attachments()]


def posts() -> list[DemoPost]:
    """60 posts by both people in turn; every tenth has no cover."""
    authors = users()
    return [
        DemoPost(
            id=_id("post", str(number)),
            author_id=authors[number % 2].id,
            cover_file_id=None if number % 10 == 9 else _id("cover", str(number)),
            title=_title(number),
            body=f"{_title(number)}.\n\nPart {number + 1} of {POSTS} on the river.",
            created_at=_START + timedelta(hours=5 * number),
        )
        for number in range(POSTS)
    ]


def notes() -> list[DemoNote]:
    """200 notes, 100 of each person; one in seven is about no post."""
    owners = users()
    return [
        DemoNote(
            id=_id("note", str(number)),
            # The shift gives both people notes about every post.
            owner_id=owners[(number + number // POSTS) % 2].id,
            post_id=None if number % 7 == 2 else _id("post", str(number % POSTS)),
            body=_THOUGHTS[number % len(_THOUGHTS)],
            created_at=_START + timedelta(minutes=90 * number, microseconds=number),
        )
        for number in range(NOTES)
    ]


def _id(kind: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{name}"))


def _title(number: int) -> str:
    subject = _SUBJECTS[number % len(_SUBJECTS)]
    return f"{subject}: {_ANGLES[number // len(_SUBJECTS) % len(_ANGLES)]}"


def _covers() -> Iterator[DemoFile]:
    authors = users()
    for number in range(POSTS):
        yield DemoFile(
            id=_id("cover", str(number)),
            owner_id=authors[number % 2].id,
            name=f"cover-{number + 1:02}.png",
            mime_type="image/png",
            is_public=number % 3 == 0,
            content=_png(number),
            created_at=_START + timedelta(hours=5 * number, minutes=-10),
        )


def _attachments() -> Iterator[DemoFile]:
    kinds = (
        ("survey.txt", "text/plain", b"Station 1: 2.14 m\nStation 2: 1.98 m\n"),
        ("gauges.csv", "text/csv", b"station,level_m\n1,2.14\n2,1.98\n"),
        ("timetable.json", "application/json", b'{"ferries": ["07:10", "08:40"]}\n'),
        ("page.html", "text/html", b"<!doctype html><title>Mills</title><p>Mills.\n"),
        (
            "reach.svg",
            "image/svg+xml",
            b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 20">'
            b'<path d="M0 10q20-18 40 0t40 0" fill="none" stroke="teal"/></svg>\n',
        ),
        ("chart.bin", "application/octet-stream", bytes(range(256)) * 64),
    )
    for number, (name, mime_type, content) in enumerate(kinds):
        yield DemoFile(
            id=_id("file", name),
            owner_id=users()[number % 2].id,
            name=name,
            mime_type=mime_type,
            is_public=False,
            content=content,
            created_at=_START - timedelta(days=1, minutes=-number),
        )


def _png(number: int) -> bytes:
    """A picture of 160 x 90 pixels: waves in a colour of its own."""
    width, height = 160, 90
    red, green, blue = 40 + number * 37 % 150, 90 + number * 53 % 120, 140
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            crest = abs((x + number * 11 + (y // 9) * 17) % 60 - 30)
            light = 2 * crest + y // 2
            rows += bytes(min(255, c + light) for c in (red, green, blue))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(bytes(rows), 9)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
