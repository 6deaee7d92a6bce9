"""The engine answers like graphql-core: generated schemas, documents and data.

Equal means: the same data, key order included, and the same errors (path, message,
locations) at every position that survives. Where a null propagates, an executor may
stop anywhere below the position that turns null, and which error it met first depends
on timing; so below such a position both must report at least one, and only errors that
an execution without propagation meets as well.

ENGINE_CASES sets the number of cases, ENGINE_SEED the first seed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLSchema,
    OperationDefinitionNode,
    execute,
    parse,
    print_schema,
    validate,
)
from graphql.pyutils import is_awaitable

from engine import Engine
from engine.engine import Operation
from engine.plan import Field
from tests.engine.generate import DocumentMaker, SchemaMaker

CASES = int(os.environ.get("ENGINE_CASES", "1000"))
SEED = int(os.environ.get("ENGINE_SEED", "1"))
NO_PROPAGATION = parse(
    "query @experimental_disableErrorPropagation { __typename }"
).definitions[0]


@dataclass
class Case:
    engine: Engine
    schema: GraphQLSchema
    document: DocumentNode
    text: str
    variables: dict[str, Any]
    seed: int

    def root(self) -> Any:
        return {"seed": self.seed, "type": "root"}


def cases(count: int, first: int) -> Iterator[Case]:
    seed = first
    while count > 0:
        seed += 1
        trouble = [0.0, 0.02, 0.05, 0.15][seed % 4]
        schema = SchemaMaker(seed, trouble).make()
        engine = Engine(schema)
        for n in range(6):
            text, variables = DocumentMaker(schema, seed * 100 + n).make()
            document = parse(text)
            if validate(schema, document):
                continue
            for data in range(4):
                yield Case(engine, schema, document, text, variables, data)
                count -= 1


async def run(answer: Any) -> ExecutionResult:
    return await answer if is_awaitable(answer) else answer


async def reference(case: Case, document: DocumentNode, log: Any) -> ExecutionResult:
    return await run(execute(case.schema, document, case.root(), log, case.variables))


async def ours(case: Case, log: Any = None) -> ExecutionResult:
    return await run(
        case.engine.execute(case.document, case.root(), log, case.variables)
    )


def without_propagation(document: DocumentNode) -> DocumentNode:
    definitions = tuple(
        OperationDefinitionNode(
            **{k: getattr(d, k) for k in d.keys if k != "directives"},
            directives=NO_PROPAGATION.directives,
        )
        if isinstance(d, OperationDefinitionNode)
        else d
        for d in document.definitions
    )
    return DocumentNode(definitions=definitions)


def entries(result: ExecutionResult) -> list[tuple[tuple[Any, ...], str, str]]:
    found = [
        (tuple(e.path or ()), e.message, str(e.locations)) for e in result.errors or []
    ]
    return sorted(found, key=repr)


def nulled_at(data: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The part of a path that leads to the first null."""
    for n, key in enumerate(path):
        if data is None:
            return path[:n]
        data = data[key]
    return path


async def check(case: Case) -> None:
    expected_log: list[Any] = []
    actual_log: list[Any] = []
    expected = await reference(case, case.document, expected_log)
    actual = await ours(case, actual_log)
    assert json.dumps(expected.data) == json.dumps(actual.data), (
        expected,
        actual,
    )
    theirs, mine = entries(expected), entries(actual)
    if theirs != mine:
        every = set(
            entries(await reference(case, without_propagation(case.document), None))
        )
        assert set(mine) <= every, set(mine) - every
        data = actual.data
        for mark in {nulled_at(data, e[0]) for e in (*theirs, *mine)}:
            at_theirs = [e for e in theirs if nulled_at(data, e[0]) == mark]
            at_mine = [e for e in mine if nulled_at(data, e[0]) == mark]
            if any(e[0] == mark for e in (*at_theirs, *at_mine)):
                assert at_theirs == at_mine
            assert bool(at_theirs) == bool(at_mine)
    if case.text.startswith("mutation") and not theirs:
        roots = [p[0] for p in actual_log if len(p) == 1]
        assert roots == [p[0] for p in expected_log if len(p) == 1]


async def check_cancelled(case: Case, turns: int) -> None:
    """Cancelled after some turns of the loop, nothing is left behind."""
    task = asyncio.ensure_future(ours(case))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None
    left = asyncio.all_tasks() - {asyncio.current_task()}
    # graphql-core's own helper for asynchronous `is_type_of` does not wait for those
    # it cancels, and leaves some to themselves when an operation has ended
    if task.cancelled():
        assert all(other.cancelling() for other in left), left
    if left:
        await asyncio.wait(left)


async def check_all(count: int, seed: int) -> int:
    """Check so many cases; how many of them ran by a plan."""
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: problems.append(context)
    )
    rng = Random(seed)  # noqa: S311 (no secret)
    compiled = whole = 0
    for case in cases(count, seed):
        try:
            await check(case)
            while left := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(left)  # graphql-core's, each may leave another
            if rng.random() < 0.2:
                await check_cancelled(case, rng.randint(0, 6))
            assert problems == []
        except BaseException:
            print(print_schema(case.schema), case.text, case.variables, case.seed)
            raise
        compiled += case.engine.counts.compiled
        whole += wholly_made(case.engine)
        assert case.engine.counts.fallbacks == {}
    assert whole > count // 100  # or the generated data is not what `whole.py` is for
    return compiled


def wholly_made(engine: Engine) -> int:
    """How many fields of its plans have been made with everything below them."""
    selections = [
        plan.root
        for _, operation in engine.known.values()
        if isinstance(operation, Operation)
        for plan in operation.variants.values()
    ]
    found = 0
    while selections:
        for entry in selections.pop().entries:
            if isinstance(entry, Field):
                found += entry.whole is not None
                selections += entry.selections.values()
    return found


# graphql-core, too, leaves coroutines in values that it drops; what ours must not
# leave behind is in test_cancellation.py
@pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
def test_answers_like_graphql_core() -> None:
    # a loop of its own: the test looks at all of its tasks
    assert asyncio.run(check_all(CASES, SEED)) >= CASES
    gc.collect()  # now, or what was left behind is another test's failure


if __name__ == "__main__":
    test_answers_like_graphql_core()
