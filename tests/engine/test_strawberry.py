"""Plans over strawberry schemas: same answers as strawberry's own executor."""

from __future__ import annotations

import asyncio
import enum
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast

import pytest
import strawberry
from graphql import ExecutionResult, execute, parse, validate
from graphql.pyutils import is_awaitable
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

from engine import (
    Answers,
    Engine,
    Plan,
    attribute,
    batched,
    compiled_executor,
    objects_of,
)


@strawberry.enum
class Case(enum.Enum):
    UPPER = "upper"
    LOWER = "lower"


class Upper(FieldExtension):
    def resolve(self, next_: Any, source: Any, info: Any, **kwargs: Any) -> Any:
        return next_(source, info, **kwargs).upper()


class Denied(BasePermission):
    message = "not for you"

    def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        return bool(source.id == "1")


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.input
class Shape:
    suffix: str = "!"
    parts: list[str] = strawberry.field(default_factory=list)


@strawberry.type
class User(Node):
    name: str


@strawberry.type
class Post(Node):
    title: str
    some_tags: list[str]
    author_id: strawberry.Private[int]

    @strawberry.field
    def shout(self, letter_case: Case = Case.UPPER, times: int = 1) -> str:
        text = self.title.upper() if letter_case is Case.UPPER else self.title.lower()
        return text * times

    @strawberry.field
    async def where(self, info: strawberry.Info) -> str:
        await asyncio.sleep(0)
        names = sorted(f.name for f in info.selected_fields)
        return f"{info.path.as_list()} {info.field_name} {names} {info.variable_values}"

    @strawberry.field(extensions=[Upper()])
    def loud(self, shape: Shape) -> str:
        shape.parts.append(self.title)  # each call must have an input of its own
        return "".join(shape.parts) + shape.suffix

    @strawberry.field(permission_classes=[Denied])
    def secret(self) -> str | None:
        return "s"

    @batched
    async def author(
        posts: list[Post],
        info: strawberry.Info,
        letter_case: Case = Case.LOWER,
    ) -> list[User | None]:
        info.context.append([post.id for post in posts])
        await asyncio.sleep(0)
        found: list[Any] = [
            User(id=strawberry.ID(f"u{post.author_id}"), name=letter_case.value)
            if post.author_id
            else None
            for post in posts
        ]
        return [
            ValueError("bad") if p.author_id == 2 else u
            for p, u in zip(posts, found, strict=True)
        ]

    @batched(permission_classes=[Denied])
    def guarded(posts: list[Post]) -> list[str | None]:
        return [post.title for post in posts]


@dataclass(slots=True)
class Row:
    """A record of another layer."""

    key: str
    tags: list[str]
    size: float = 1.5


@strawberry.type
@objects_of(Row)
class File(Node):
    id: strawberry.ID = attribute("key", convert=lambda key: f"file:{key}")
    tags: list[str] = attribute("tags")
    size: float = attribute("size")
    kind: str = attribute("key.__class__.__name__")

    @strawberry.field
    @staticmethod
    def loudly(row: strawberry.Parent[Row], times: int = 1) -> str:
        return row.key.upper() * times

    @batched
    @staticmethod
    def neighbours(rows: list[Row]) -> Answers[str | None]:
        return [row.key if row.key == "a" else None for row in rows]


def make(n: int) -> list[Post]:
    return [
        Post(id=strawberry.ID(str(i)), title=f"t{i}", some_tags=["x"], author_id=i)
        for i in range(n)
    ]


@strawberry.type
class Query:
    @strawberry.field
    async def posts(self, first: int = 4) -> list[Post]:
        return make(first)

    @strawberry.field
    def nodes(self) -> list[Node]:
        return [*make(2), User(id=strawberry.ID("u"), name="n")]

    @strawberry.field
    def files(self) -> list[File]:
        return cast("list[File]", ROWS)

    @strawberry.field
    def mixed(self) -> list[Node]:
        return cast("list[Node]", [*make(1), *ROWS])

    @strawberry.field
    def cast_away(self) -> list[Node]:
        return [make(1)[0], strawberry.cast(User, make(1)[0])]

    @strawberry.field
    def counted(self, info: strawberry.Info, rows: int, names: list[str]) -> str:
        shown = f"{rows} {type(rows).__name__} {names} {info.variable_values}"
        info.variable_values["s"].append("changed")  # nobody else may see it
        return shown

    @strawberry.field
    def either(self) -> list[Post | User]:
        return [*make(1), User(id=strawberry.ID("u"), name="n")]


ROWS = [Row("a", ["x"]), Row("b", [])]
SCHEMA = strawberry.Schema(Query, types=[File])
DOCUMENTS = [
    "{ posts { id title someTags __typename } }",
    "{ posts { a: shout b: shout(letterCase: LOWER, times: 2) } }",
    "query ($c: Case!, $n: Int = 3) { posts(first: $n) { shout(letterCase: $c) } }",
    "query ($n: Int) { posts(first: 2) { where } x: posts(first: $n) { where } }",
    '{ posts { loud(shape: {parts: ["p"]}) } }',
    "query ($s: Shape!) { posts { loud(shape: $s) } }",
    "{ posts { id secret guarded } }",
    "{ posts { author { id name } other: author(letterCase: UPPER) { name } } }",
    "{ nodes { id ... on Post { title author { name } } ... on User { name } } }",
    "{ either { __typename ... on Post { title } ... on Node { id } } }",
    "{ files { __typename id tags size kind loudly(times: 2) neighbours } }",
    "{ mixed { __typename id ... on File { tags neighbours } ... on Post { title } } }",
    "{ castAway { __typename id } }",
    "query ($n: Int!, $s: [String!]!) { counted(rows: $n, names: $s) }",
    "query ($y: Boolean!) { posts { id @skip(if: $y) title @include(if: $y) } }",
]
VARIABLES = {"c": "LOWER", "n": 3, "s": {"suffix": "?"}, "y": True}
LISTED = {**VARIABLES, "s": ["p", "q"]}


async def finish(answer: Any) -> ExecutionResult:
    return await answer if is_awaitable(answer) else answer


def variables(text: str) -> dict[str, Any]:
    return LISTED if "[String!]!" in text else VARIABLES


async def reference(text: str, context: list[Any]) -> ExecutionResult:
    answer = execute(
        SCHEMA._schema,
        parse(text),
        context_value=context,
        variable_values=variables(text),
        executor_class=SCHEMA.execution_context_class,
    )
    return await finish(answer)


@pytest.mark.parametrize("text", DOCUMENTS)
async def test_answers_as_strawberry_does(text: str) -> None:
    assert validate(SCHEMA._schema, parse(text)) == []
    engine = Engine(SCHEMA._schema)
    expected = await reference(text, [])
    document = parse(text)
    for _ in range(3):  # what a plan has learnt of the first changes no answer
        actual = await finish(
            engine.execute(document, context_value=[], variable_values=variables(text))
        )
        assert actual.data == expected.data
        assert sorted(map(str, actual.errors or [])) == sorted(
            map(str, expected.errors or [])
        )
    assert engine.counts.compiled == 3


# One document and one engine: what they kept of one case could spoil the next.
COUNTING = parse("query ($n: Int!, $s: [String!]!) { counted(rows: $n, names: $s) }")
REMEMBERING = Engine(SCHEMA._schema)
SEEN = {"n": 1, "s": ["a", "b"]}


@pytest.mark.parametrize(
    "given",
    [
        {"n": 1, "s": ["a", "b"]},
        {"n": True, "s": ["a", "b"]},  # equal to 1, and not an Int
        {"n": 1.0, "s": ["a", "b"]},  # an Int that came as a float
        {"n": 1, "s": ["ab"]},
        {"n": 1},
        {},
    ],
)
async def test_variables_that_were_seen_before_change_no_answer(given: Any) -> None:
    await finish(REMEMBERING.execute(COUNTING, variable_values=SEEN))
    for _ in range(2):
        expected = await finish(
            execute(
                SCHEMA._schema,
                COUNTING,
                variable_values=given,
                executor_class=SCHEMA.execution_context_class,
            )
        )
        actual = await finish(REMEMBERING.execute(COUNTING, variable_values=given))
        assert actual.data == expected.data
        assert [e.message for e in actual.errors or []] == [
            e.message for e in expected.errors or []
        ]


async def test_a_batched_field_is_called_once_for_a_level_by_both_executors() -> None:
    ours: list[Any] = []
    theirs: list[Any] = []
    text = "{ posts { author { name } } }"
    await finish(Engine(SCHEMA._schema).execute(parse(text), context_value=ours))
    await reference(text, theirs)
    assert ours == theirs == [["0", "1", "2", "3"]]


async def test_serves_as_the_execution_context_class_of_a_schema() -> None:
    executor = compiled_executor()
    schema = strawberry.Schema(Query, execution_context_class=executor)
    result = await schema.execute("{ posts { title } }")
    assert result.data == {"posts": [{"title": f"t{i}"} for i in range(4)]}
    assert [e.counts.compiled for e in executor.engines.values()] == [1]


async def test_hands_introspection_to_graphql_core_and_counts_it() -> None:
    engine = Engine(SCHEMA._schema)
    result = await finish(engine.execute(parse("{ __schema { queryType { name } } }")))
    assert result.data == {"__schema": {"queryType": {"name": "Query"}}}
    assert engine.counts.fallbacks == {"introspection": 1}


def test_keeps_no_more_plans_than_it_may() -> None:
    engine = Engine(SCHEMA._schema, max_plans=2)
    documents = [parse(f"{{ posts(first: {n}) {{ id }} }}") for n in range(3)]
    plans = [engine.prepare(document) for document in documents]
    assert engine.prepare(documents[2]) is plans[2]
    assert engine.prepare(documents[0]) is not plans[0]
    assert len(engine.known) == 2


def test_plans_are_kept_by_their_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.engine.MAX_KEPT_SIZE", 100)
    engine = Engine(SCHEMA._schema)
    many = " ".join(f"a{n}: id" for n in range(39))
    documents = [parse(f"{{ posts(first: {n}) {{ {many} }} }}") for n in range(3)]
    for document in documents:
        engine.prepare(document)
    assert len(engine.known) == 2  # of 40 selections each
    choice = parse(f"query ($v: Boolean!) {{ posts {{ {many} id @include(if: $v) }} }}")
    for v in (True, False):
        engine.prepare(choice, conditions={"v": v})
    assert len(engine.known) == 1  # two plans of 41


def test_refuses_fragments_that_write_out_to_millions_of_fields() -> None:
    fragments = "".join(
        f"fragment F{n} on Post {{ a{n}: title ...F{n + 1} ...F{n + 1} }} "
        for n in range(40)
    )
    document = parse(
        f"{{ posts {{ ...F0 }} }} {fragments} fragment F40 on Post {{ id }}"
    )
    answer = Engine(SCHEMA._schema).prepare(document)
    assert not isinstance(answer, Plan)
    assert answer.reason == "too large"


def test_the_code_of_a_plan_holds_no_text_of_the_document() -> None:
    text = '{ posts { loud(shape: {suffix: "#x"}) } }'
    plan = Engine(SCHEMA._schema).prepare(parse(text))
    assert isinstance(plan, Plan)
    assert "#x" not in plan.root.source


def test_a_cast_object_is_asked_about_although_its_class_was_met_before() -> None:
    @strawberry.type
    class Held:
        @strawberry.field
        def nodes(self, info: strawberry.Info) -> list[Node]:
            return cast("list[Node]", info.context)

    schema = strawberry.Schema(Held, types=[Post, User])
    engine, document = Engine(schema._schema), parse("{ nodes { __typename } }")

    def told(*nodes: Any) -> list[str]:
        result: Any = engine.execute(document, context_value=list(nodes))
        return [node["__typename"] for node in result.data["nodes"]]

    post = make(1)[0]
    assert told(post) == told(post) == ["Post"]
    assert told(strawberry.cast(User, make(1)[0])) == ["User"]


def test_an_info_class_of_the_schemas_own_is_made_as_it_wants() -> None:
    class Named(strawberry.Info):
        def __init__(self, _raw_info: Any, _field: Any) -> None:
            super().__init__(_raw_info, _field)
            self.name = f"{_field.python_name} for {_raw_info.context}"

    @strawberry.type
    class Root:
        @strawberry.field
        def told(self, info: strawberry.Info) -> str:
            return cast("Named", info).name

    config = StrawberryConfig(info_class=Named)
    engine = Engine(strawberry.Schema(Root, config=config)._schema)
    result: Any = engine.execute(parse("{ told }"), context_value="Ann")
    assert result.data == {"told": "told for Ann"}
    assert engine.counts.compiled == 1


def by_name(method: Callable[..., str]) -> Callable[..., str]:
    """As decorators do: what is wrapped gets by name what came by name."""

    @wraps(method)
    def inner(self: Any, **given: Any) -> str:
        return method(self, **given)

    return inner


def by_name_signed(method: Callable[..., str]) -> Callable[..., str]:
    """As other decorators do, which also say that they take what it takes."""
    inner: Any = by_name(method)
    inner.__signature__ = inspect.signature(method)
    return cast(Callable[..., str], inner)


@strawberry.type
class Asks:
    @strawberry.field
    @by_name
    def wrapped(self, info: strawberry.Info, a: str) -> str:
        return f"{a} {info.field_name}"

    @strawberry.field
    @by_name_signed
    def signed(self, info: strawberry.Info, a: str) -> str:
        return f"{a} {info.field_name}"

    @strawberry.field
    def named(self, *, info: strawberry.Info, a: str) -> str:
        return f"{a} {info.field_name}"

    @strawberry.field
    def last(self, a: str, info: strawberry.Info) -> str:
        return f"{a} {info.field_name}"

    @strawberry.field
    def second(self, info: strawberry.Info, a: str) -> str:
        return f"{a} {info.field_name}"


@pytest.mark.parametrize("name", ["wrapped", "signed", "named", "last", "second"])
def test_a_method_gets_its_info_wherever_it_takes_it(name: str) -> None:
    engine = Engine(strawberry.Schema(Asks)._schema)
    document = parse(f'{{ {name}(a: "an") }}')
    answer: Any = engine.execute(document, Asks())
    assert answer == ExecutionResult({name: f"an {name}"}, None)
