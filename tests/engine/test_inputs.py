"""Input objects, exception handlers and unions: as strawberry's own executor has it."""

from __future__ import annotations

import asyncio
import enum
from typing import Annotated, Any

import pytest
import strawberry
from graphql import ExecutionResult, execute, parse, validate
from graphql.pyutils import is_awaitable

from engine import Engine, Plan


@strawberry.enum
class Case(enum.Enum):
    UPPER = "upper"
    LOWER = "lower"


@strawberry.input
class Inner:
    word: str
    case: Case = Case.LOWER


@strawberry.input
class Given:
    id: strawberry.ID
    note: str | None
    size: int = 3
    text: str | None = strawberry.UNSET
    case: Case | None = None
    inner: Inner | None = None
    renamed: str | None = strawberry.field(default=None, name="otherName")


@strawberry.input
class Loop:
    word: str
    next: Loop | None = None


@strawberry.input
class Listed:
    words: list[str] = strawberry.field(default_factory=list)


@strawberry.input
class Strict:
    word: str

    def __post_init__(self) -> None:
        if self.word == "bad":
            raise RefusedError("bad word")


class RefusedError(Exception):
    """Becomes a `Refused`, unless its text says otherwise."""


@strawberry.type
class Done:
    shown: str


@strawberry.type
class Refused:
    message: str


class Handler(strawberry.ExceptionHandler[RefusedError, Refused]):
    def handle(self, exception: RefusedError, *, field: Any, info: Any) -> Any:
        text = (
            f"{exception} {field.python_name} {info.field_name} {info.path.as_list()}"
        )
        if "declined" in text:
            return None
        return later(Refused(message=text)) if "late" in text else Refused(message=text)


async def later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


Result = Annotated[Done | Refused, strawberry.union("Result")]


@strawberry.type
class Query:
    @strawberry.field
    def shown(self, info: strawberry.Info, given: Given, n: int | None = 1) -> str:
        return f"{given!r} {n} {info.variable_values}"

    @strawberry.field
    async def looped(self, loop: Loop) -> str:
        return repr(loop)

    @strawberry.field
    def many(self) -> list[Result]:
        return [Done(shown="a"), Refused(message="b"), Done(shown="c")]

    @strawberry.field
    def strange(self) -> list[Result | None]:
        return [Done(shown="a"), 7, strawberry.cast(Refused, Plain())]  # type: ignore[list-item]


class Plain:
    message = "of a class that is no type"


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def write(self, info: strawberry.Info, given: Given) -> Result:
        await asyncio.sleep(0)
        if given.note and given.note.startswith("refused"):
            raise RefusedError(given.note)
        if given.note == "broken":
            raise LookupError(given.note)
        return Done(shown=repr(given))

    @strawberry.mutation
    def at_once(self, given: Given) -> Result:
        raise RefusedError(given.note)

    @strawberry.mutation
    async def listed(self, given: Listed) -> Result:
        given.words.append("changed")  # nobody else may see it
        return Done(shown=repr(given))

    @strawberry.mutation
    async def strictly(self, given: Strict) -> Result:
        return Done(shown=given.word)


SCHEMA = strawberry.Schema(Query, Mutation, exception_handlers=[Handler()])
SHOWN = "{ __typename ... on Done { shown } ... on Refused { message } }"
ID_AND_NOTE = "($id: ID!, $note: String)"
CASES: list[tuple[str, dict[str, Any]]] = [
    ('{ shown(given: {id: "1"}) }', {}),
    ('{ shown(given: {id: 1, size: 5, case: UPPER, otherName: "x"}, n: null) }', {}),
    ('{ shown(given: {id: "1", inner: {word: "w", case: UPPER}}) }', {}),
    (f"query {ID_AND_NOTE} {{ shown(given: {{id: $id, note: $note}}) }}", {"id": "1"}),
    (
        f"query {ID_AND_NOTE} {{ shown(given: {{id: $id, note: $note}}) }}",
        {"id": "1", "note": "n"},
    ),
    (
        f"query {ID_AND_NOTE} {{ shown(given: {{id: $id, note: $note}}) }}",
        {"id": "1", "note": None},
    ),
    ("query ($g: Given!) { shown(given: $g) }", {"g": {"id": 1, "text": "t"}}),
    ("query ($g: Given!) { shown(given: $g) }", {"g": {"id": 1, "inner": None}}),
    (
        "query ($g: Given!, $n: Int) { shown(given: $g, n: $n) b: shown(given: $g) }",
        {"g": {"id": 1, "inner": {"word": "w"}, "case": "LOWER"}, "n": 2},
    ),
    (
        'query ($i: Inner, $n: Int) { shown(given: {id: "1", inner: $i}, n: $n) }',
        {"i": {"word": "w"}},
    ),
    (
        'query ($s: Int = null) { shown(given: {id: "1", size: $s}) }',
        {},
    ),
    (
        'query ($s: Int = 4) { shown(given: {id: "1", size: $s}) }',
        {"s": None},
    ),
    ('query ($w: String!) { shown(given: {id: "1", inner: {word: $w}}) }', {"w": "v"}),
    ('{ looped(loop: {word: "a", next: {word: "b"}}) }', {}),
    (f"{{ many {SHOWN} }}", {}),
    (f"{{ strange {SHOWN} }}", {}),
    (f'mutation {{ write(given: {{id: "1"}}) {SHOWN} }}', {}),
    *[
        (
            f"mutation {ID_AND_NOTE} "
            f"{{ write(given: {{id: $id, note: $note}}) {SHOWN} }}",
            {"id": "1", "note": note},
        )
        for note in ("n", "refused", "refused late", "refused, declined", "broken")
    ],
    (f'mutation {{ atOnce(given: {{id: "1", note: "n"}}) {SHOWN} }}', {}),
    (
        f'mutation {{ a: listed(given: {{words: ["x"]}}) {SHOWN}'
        f" b: listed(given: {{}}) {SHOWN} }}",
        {},
    ),
    (f'mutation {{ strictly(given: {{word: "bad"}}) {SHOWN} }}', {}),
]


async def finish(answer: Any) -> ExecutionResult:
    return await answer if is_awaitable(answer) else answer


@pytest.mark.parametrize(("text", "given"), CASES)
async def test_answers_as_strawberry_does(text: str, given: dict[str, Any]) -> None:
    document = parse(text)
    assert validate(SCHEMA._schema, document) == []
    expected = await finish(
        execute(
            SCHEMA._schema,
            document,
            variable_values=given,
            executor_class=SCHEMA.execution_context_class,
        )
    )
    engine = Engine(SCHEMA._schema)
    for _ in range(3):  # what a plan has learnt of the first changes no answer
        actual = await finish(engine.execute(document, variable_values=given))
        assert actual.data == expected.data
        assert [(e.message, e.path) for e in actual.errors or []] == [
            (e.message, e.path) for e in expected.errors or []
        ]
    assert engine.counts.compiled == 3


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ('mutation ($n: Int!) { write(given: {id: "1", size: $n}) %s }', {"n": 2**40}),
        ("mutation ($g: Given!) { write(given: $g) %s }", {"g": {"note": "n"}}),
        (
            'mutation ($n: Int = 1) { write(given: {id: "1", size: $n}) %s }',
            {"n": None},
        ),
    ],
)
async def test_refuses_what_graphql_core_refuses(text: str, given: Any) -> None:
    document = parse(text % SHOWN)
    expected = await finish(execute(SCHEMA._schema, document, variable_values=given))
    actual = await finish(Engine(SCHEMA._schema).execute(document, None, None, given))
    assert actual.data == expected.data
    assert expected.errors
    assert [e.message for e in actual.errors or []] == [
        e.message for e in expected.errors
    ]


@pytest.mark.parametrize(
    ("field", "is_called_directly"),
    [
        ("write(given: {id: 1})", True),
        ("atOnce(given: {id: 1})", False),
        ("listed(given: {})", False),
        ('strictly(given: {word: "w"})', False),
    ],
)
def test_what_it_cannot_do_itself_strawberry_does(
    field: str, is_called_directly: bool
) -> None:
    plan = Engine(SCHEMA._schema).prepare(parse(f"mutation {{ {field} {SHOWN} }}"))
    assert isinstance(plan, Plan)
    (root,) = plan.serial
    name = getattr(root.call, "__qualname__", "call_resolver")
    assert ("StrawberryFields" in name) is is_called_directly


async def test_an_input_object_is_made_anew_for_each_call() -> None:
    seen: list[Any] = []

    @strawberry.type
    class Keeping:
        @strawberry.field
        async def keep(self, given: Given) -> int:
            seen.append(given)
            return len(seen)

    engine = Engine(strawberry.Schema(Keeping)._schema)
    document = parse(
        'query ($i: ID!) { a: keep(given: {id: $i}) b: keep(given: {id: "1"}) }'
    )
    for _ in range(2):
        await finish(engine.execute(document, variable_values={"i": "1"}))
    assert len(set(map(id, seen))) == 4


def test_the_class_of_a_member_tells_which_it_is() -> None:
    plan = Engine(SCHEMA._schema).prepare(parse(f"{{ many {SHOWN} }}"))
    assert isinstance(plan, Plan)
    (many,) = plan.root.resolved
    members = SCHEMA._schema.get_type("Done"), SCHEMA._schema.get_type("Refused")
    assert (many.type_of_class(Done), many.type_of_class(Refused)) == members
    assert (many.type_of_class(Plain), many.type_of_class(Query)) == (None, None)
