"""What is made in one go is what the general way, and strawberry, would have made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import pytest
import strawberry
from graphql import DocumentNode, ExecutionResult, execute, parse
from graphql.pyutils import is_awaitable

from engine import Answers, Engine, Plan, attribute, batched, objects_of
from engine.plan import Field


@dataclass(slots=True)
class Person:
    key: str
    name: str | None = "n"


@dataclass(slots=True)
class Book:
    key: Any
    title: Any = "t"
    pages: Any = 1
    author_ref: Any = None
    others: Any = field(default_factory=list)


@dataclass
class Double:
    """No person, although it looks like one."""

    key: str
    name: str


class Computed:
    """A shelf of which nobody knows what reading it twice does."""

    def __init__(self) -> None:
        self.reads = 0

    @property
    def books(self) -> list[Any]:
        self.reads += 1
        return [Book(None)]


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
@objects_of(Person)
class User(Node):
    id: strawberry.ID = attribute("key", convert=lambda key: f"user:{key}")
    name: str | None = attribute("name")


@strawberry.type
@objects_of(Book)
class Post(Node):
    id: strawberry.ID = attribute("key")
    title: str = attribute("title")
    pages: int | None = attribute("pages")
    others: list[Post | None] | None = attribute("others")

    @batched(held="author_ref")
    @staticmethod
    def author(
        posts: list[Book], info: strawberry.Info
    ) -> Answers[Annotated[User, strawberry.lazy("tests.engine.test_whole")] | None]:
        info.context.called += 1
        return [
            Person(ref) if isinstance(ref, str) else ref
            for ref in (post.author_ref for post in posts)
        ]


@strawberry.type
class Shelf:
    books: list[Post]


@strawberry.type
class Query:
    @strawberry.field
    async def shelf(self, info: strawberry.Info) -> Shelf | None:
        books = info.context.books
        if isinstance(books[0], Computed):
            return cast("Shelf", books[0])
        return Shelf(books=cast("list[Post]", books))

    @strawberry.field
    def nodes(self, info: strawberry.Info) -> list[Node | None]:
        return cast("list[Node | None]", info.context.books)


@dataclass(slots=True)
class Song:
    title: str | None
    key: str = "k"
    seconds: int = 1


@strawberry.type
@objects_of(Song, checked=True)
class Track:
    id: strawberry.ID = attribute("key", convert=lambda key: f"track:{key}")
    title: str = attribute("title")
    name: str | None = attribute("title")
    seconds: int = attribute("seconds")


@strawberry.type
class Player:
    @strawberry.field
    def tracks(self, info: strawberry.Info) -> list[Track | None]:
        return cast("list[Track | None]", info.context)


SCHEMA = strawberry.Schema(Query, types=[Post, User])
DOCUMENT = parse(
    """{ shelf { books { __typename id title pages author { id name }
         others { title author { n: name } } } } }"""
)
NODES = parse(
    """{ nodes { __typename id ... on Post { title author { name } }
         ... on User { name } } }"""
)


@dataclass
class Context:
    books: Any
    called: int = 0


async def finish(answer: Any) -> ExecutionResult:
    return await answer if is_awaitable(answer) else answer


async def told(
    engine: Engine, *books: Any, document: DocumentNode = DOCUMENT
) -> tuple[Any, list[str], int]:
    context = Context(list(books))
    result = await finish(engine.execute(document, context_value=context))
    return result.data, sorted(map(str, result.errors or [])), context.called


async def told_by_strawberry(
    *books: Any, document: DocumentNode = DOCUMENT
) -> tuple[Any, list[str]]:
    answer = execute(
        SCHEMA._schema,
        document,
        context_value=Context(list(books)),
        executor_class=SCHEMA.execution_context_class,
    )
    result = await finish(answer)
    return result.data, sorted(map(str, result.errors or []))


def usual() -> Book:
    other = Book("2", author_ref=Person("q"))
    return Book("1", author_ref=Person("p"), others=[other])


def shelf_of(engine: Engine) -> Field:
    plan = engine.prepare(DOCUMENT)
    assert isinstance(plan, Plan)
    return plan.root.resolved[0]


async def test_what_came_along_is_asked_for_once_and_then_made_with_all_else() -> None:
    engine = Engine(SCHEMA._schema)
    expected = await told_by_strawberry(usual())
    first, second = await told(engine, usual()), await told(engine, usual())
    assert (first[:2], second[:2]) == (expected, expected)
    assert (first[2] > 0, second[2]) == (True, 0)
    assert list(first[0]["shelf"]["books"][0]) == list(second[0]["shelf"]["books"][0])
    assert shelf_of(engine).whole is not None
    nulls = Book("1", pages=None, others=[None, Book("2")])
    assert (await told(engine, nulls))[2] == 0


async def late() -> str:
    return "late"


class Awaited:
    def __await__(self) -> Any:
        return late().__await__()

    def __repr__(self) -> str:
        return "Awaited()"


@pytest.mark.parametrize(
    "book",
    [
        Book("1", author_ref="a reference"),
        Book("1", author_ref=Person("p", None)),
        Book("1", author_ref=ValueError("no author")),
        Book("1", author_ref=Book("no person")),
        Book("1", author_ref=Double("no", "person")),
        Book(5),
        Book("1", title=None),
        Book("1", title=5),
        Book("1", title=ValueError("no title")),
        Book("1", title=Awaited()),
        Book("1", pages=2**31),
        Book("1", pages=True),
        Book("1", pages=None),
        Book("1", others=None),
        Book("1", others=7),
        Book("1", others=(Book("2"),)),
        Book("1", others=[Book("2", title=None), Book("3")]),
        Book("1", others=[Book("2", author_ref="a reference"), None]),
        None,
        ValueError("no book"),
        Person("no book"),
    ],
    ids=repr,
)
async def test_the_unusual_is_answered_as_strawberry_does(book: Any) -> None:
    engine = Engine(SCHEMA._schema)
    for _ in range(2):
        await told(engine, usual())
    expected = await told_by_strawberry(usual(), book, usual())
    for _ in range(2):
        assert (await told(engine, usual(), book, usual()))[:2] == expected


async def test_objects_of_several_types_are_made_each_by_its_class() -> None:
    engine = Engine(SCHEMA._schema)
    some = [usual(), Person("p"), Book("2")]
    expected = await told_by_strawberry(*some, document=NODES)
    first = await told(engine, *some, document=NODES)
    second = await told(engine, *some, document=NODES)
    assert (first[:2], second[:2]) == (expected, expected)
    assert (first[2], second[2]) == (1, 0)


@pytest.mark.parametrize(
    "node",
    [
        None,
        ValueError("no node"),
        Double("no", "node"),
        Book("1", title=None),
        Book("1", author_ref="a reference"),
        Awaited(),
    ],
    ids=repr,
)
async def test_of_several_types_the_unusual_is_answered_so_too(node: Any) -> None:
    engine = Engine(SCHEMA._schema)
    for _ in range(2):
        await told(engine, usual(), Person("p"), document=NODES)
    some = [Person("q"), node, usual()]
    expected = await told_by_strawberry(*some, document=NODES)
    for _ in range(2):
        assert (await told(engine, *some, document=NODES))[:2] == expected


async def test_the_word_of_a_checked_record_is_taken_and_null_is_still_seen() -> None:
    engine = Engine(strawberry.Schema(Player)._schema)
    document = parse("{ tracks { id title name seconds } }")

    async def told(song: Song) -> Any:
        result = await finish(engine.execute(document, context_value=[song]))
        (track,) = cast("Any", result.data)["tracks"]
        return track, len(result.errors or [])

    usual = {"id": "track:k", "title": "t", "name": "t", "seconds": 1}
    assert [await told(Song("t")) for _ in range(2)] == [(usual, 0)] * 2
    assert await told(Song(None)) == (None, 1)
    assert await told(Song("t", seconds=2**31)) == (None, 1)
    vouched = Song(cast("str", 5))  # by whoever made it: nobody looks again
    assert await told(vouched) == ({**usual, "title": 5, "name": 5}, 0)


async def test_attributes_that_are_computed_are_read_once() -> None:
    engine, shelf = Engine(SCHEMA._schema), Computed()
    await told(engine, usual())
    for _ in range(3):
        await told(engine, shelf)
    assert shelf.reads == 3
