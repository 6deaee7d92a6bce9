"""Nothing is left running when a null propagates or a request is cancelled."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLSchema, build_schema, parse

from engine import BATCH, Engine

SDL = """
type Query { item: Item  items: [Item!]  slow: String }
type Mutation { first: Int  second: Int!  third: Int }
type Item { id: Int  must: String!  slow: String  batch: String  child: Item }
"""


class Schema:
    """A schema whose slow fields tell whether they began, ended, were cancelled."""

    def __init__(self) -> None:
        self.schema: GraphQLSchema = build_schema(SDL)
        self.events: list[str] = []
        item = self.schema.type_map["Item"].fields  # type: ignore[attr-defined]
        item["must"].resolve = self.fail
        item["slow"].resolve = self.forever
        item["batch"].extensions = {BATCH: self.batch}
        assert self.schema.query_type
        self.schema.query_type.fields["slow"].resolve = self.forever

    async def fail(self, source: Any, _info: Any) -> str:
        await asyncio.sleep(0)
        if source["id"] == 2:
            raise ValueError("no value")
        return "value"

    async def forever(self, source: Any, _info: Any) -> str:
        name = source.get("id", "root")
        self.events.append(f"begin {name}")
        try:
            if name in (2, "root"):
                await asyncio.sleep(3600)
            return "slow"
        except asyncio.CancelledError:
            self.events.append(f"cancelled {name}")
            raise

    async def batch(self, parents: list[Any], _info: Any) -> list[Any]:
        await asyncio.sleep(0)
        return [f"b{parent['id']}" for parent in parents]

    def execute(self, text: str, root: Any) -> Any:
        return Engine(self.schema).execute(parse(text), root)


@pytest.fixture(autouse=True)
def nothing_unawaited() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(w.message) for w in caught if "await" in str(w.message)] == []


@pytest.mark.parametrize("fields", ["must slow batch", "slow batch must"])
async def test_cancels_the_siblings_of_an_object_that_turns_null(fields: str) -> None:
    schema = Schema()
    text = f"{{ item {{ {fields} }} }}"
    result = await schema.execute(text, {"item": {"id": 2}})
    assert result.data == {"item": None}
    assert [e.message for e in result.errors] == ["no value"]
    assert schema.events == ["begin 2", "cancelled 2"]


async def test_an_item_that_fails_takes_its_list_with_it_but_nothing_else() -> None:
    schema = Schema()
    root = {"items": [{"id": 1}, {"id": 2}], "item": {"id": 3}}
    text = "{ items { must slow } item { slow batch } }"
    result = await schema.execute(text, root)
    assert result.data == {"items": None, "item": {"slow": "slow", "batch": "b3"}}
    assert "cancelled 2" in schema.events


async def test_an_item_that_comes_late_and_fails_takes_what_waits_beside_it() -> None:
    """Tried without a look at `slots`: the request ends with what it cancelled."""

    async def late() -> None:
        await asyncio.sleep(0)
        raise ValueError("no item")

    schema = Schema()
    root = {"items": [{"id": 2}, late()]}
    result = await schema.execute("{ items { slow } }", root)
    assert result.data == {"items": None}
    assert [e.message for e in result.errors] == ["no item"]
    assert schema.events == ["begin 2", "cancelled 2"]


async def test_a_batch_goes_on_for_the_objects_that_are_left() -> None:
    schema = Schema()
    items = [{"id": 1, "child": {"id": 5}}, {"id": 1, "child": {"id": 2}}]
    result = await schema.execute(
        "{ items { child { must batch } } }", {"items": items}
    )
    assert result.data == {
        "items": [{"child": {"must": "value", "batch": "b5"}}, {"child": None}]
    }


async def test_a_cancelled_request_leaves_no_task_behind() -> None:
    schema = Schema()
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(
        schema.execute("{ slow item { slow } }", {"item": {"id": 2}})
    )
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    assert schema.events.count("cancelled root") == 1
    assert schema.events.count("cancelled 2") == 1


async def test_mutations_run_one_after_the_other_and_stop_at_null() -> None:
    schema = Schema()
    events: list[str] = []

    def field(name: str, answer: Any) -> Any:
        async def resolve(_source: Any, _info: Any) -> Any:
            events.append(f"begin {name}")
            await asyncio.sleep(0)
            events.append(f"end {name}")
            return answer

        return resolve

    assert schema.schema.mutation_type
    fields = schema.schema.mutation_type.fields
    for name, answer in (("first", 1), ("second", None), ("third", 3)):
        fields[name].resolve = field(name, answer)
    result = await schema.execute("mutation { first second third }", None)
    assert result.data is None
    assert events == ["begin first", "end first", "begin second", "end second"]


async def test_objects_that_share_a_future_do_not_lose_it_with_one_of_them() -> None:
    schema = Schema()
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    item = schema.schema.type_map["Item"].fields  # type: ignore[attr-defined]
    item["slow"].resolve = lambda _source, _info: shared
    task = asyncio.ensure_future(
        schema.execute(
            "{ item { must slow } items { slow } }",
            {"item": {"id": 2}, "items": [{"id": 1}]},
        )
    )
    await asyncio.sleep(0.01)
    shared.set_result("shared")
    result = await task
    assert result.data == {"item": None, "items": [{"slow": "shared"}]}


async def test_what_waits_for_its_turn_keeps_a_future_that_another_lets_go() -> None:
    schema = Schema()
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def found(_source: Any, _info: Any) -> Any:
        return {"id": 2}

    def fail(_source: Any, _info: Any) -> str:
        raise ValueError("no value")

    item: Any = schema.schema.type_map["Item"]
    item.fields["slow"].resolve = lambda _source, _info: shared
    item.fields["must"].resolve = fail
    query: Any = schema.schema.query_type
    query.fields["slow"].resolve = lambda _source, _info: shared
    query.fields["item"].resolve = found
    task = asyncio.ensure_future(schema.execute("{ slow item { slow must } }", None))
    await asyncio.sleep(0.01)
    shared.set_result("shared")
    result = await task
    assert result.data == {"slow": "shared", "item": None}
