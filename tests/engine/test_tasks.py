"""Of what is awaited at once the run awaits one itself, where nobody can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from graphql import GraphQLSchema, build_schema, parse

from engine import Engine

SDL = """
type Query { one: Item  two: Item }
type Item { leaf: String  more: String }
"""


class Slow:
    """Two slow root fields; `two` waits for `more` of `one` if that is asked for."""

    def __init__(self) -> None:
        self.schema: GraphQLSchema = build_schema(SDL)
        self.begun = asyncio.Event()
        fields: Any = self.schema.type_map
        fields["Query"].fields["one"].resolve = self.one
        fields["Query"].fields["two"].resolve = self.two
        fields["Item"].fields["more"].resolve = self.more
        self.waits = False

    async def one(self, _source: Any, _info: Any) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"leaf": "one"}

    async def two(self, _source: Any, _info: Any) -> dict[str, str]:
        if self.waits:
            await self.begun.wait()
        await asyncio.sleep(0)
        return {"leaf": "two"}

    async def more(self, source: Any, _info: Any) -> str:
        self.begun.set()
        return f"more of {source['leaf']}"

    async def data(self, text: str) -> Any:
        result: Any = Engine(self.schema).execute(parse(text))
        return (await asyncio.wait_for(result, 5)).data


@contextmanager
def tasks_made() -> Iterator[list[str]]:
    """The names of the coroutines that tasks were made of."""
    made: list[str] = []

    def make(loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    try:
        yield made
    finally:
        loop.set_task_factory(None)


@pytest.mark.parametrize("selection", ["leaf", "leaf __typename"])
async def test_two_fields_with_nothing_below_cost_one_task(selection: str) -> None:
    with tasks_made() as tasks:
        text = f"{{ one {{ {selection} }} two {{ {selection} }} }}"
        found = await Slow().data(text)
    assert [item["leaf"] for item in found.values()] == ["one", "two"]
    assert [name for name in tasks if name.startswith("Slow")] == ["Slow.two"]


@pytest.mark.parametrize(
    "text",
    [
        "{ one { more } two { leaf } }",
        "{ two { leaf } one { more } }",
        "{ one { more } two { more } }",
        "{ two { more } one { more } }",
    ],
)
async def test_what_is_below_one_is_begun_before_the_other_has_ended(text: str) -> None:
    slow = Slow()
    slow.waits = True
    found = await slow.data(text)
    assert found["one"] == {"more": "more of one"}


@pytest.mark.parametrize(
    "text",
    [
        "{ one { leaf } two { leaf } }",
        "{ two { leaf } one { leaf } }",
        "{ two { leaf } again: two { leaf } }",
    ],
)
async def test_a_request_that_is_cancelled_in_any_turn_leaves_no_task(
    text: str,
) -> None:
    slow = Slow()
    slow.waits = True
    before = asyncio.all_tasks()
    request = asyncio.ensure_future(slow.data(text))
    for _ in range(5):
        await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert asyncio.all_tasks() == before


async def test_a_request_that_is_closed_in_the_turn_of_a_task_leaves_none() -> None:
    slow = Slow()
    slow.waits = True
    before = asyncio.all_tasks()
    result: Any = Engine(slow.schema).execute(parse("{ one { leaf } two { leaf } }"))
    assert result.send(None) is None  # `one`, in no task
    waited_for = result.send(None)
    assert isinstance(waited_for, asyncio.Task)
    result.close()
    await asyncio.sleep(0)
    assert waited_for.cancelled()
    assert asyncio.all_tasks() == before
