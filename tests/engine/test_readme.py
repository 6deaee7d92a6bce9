"""The worked example of engine/README.md is what the engine generates."""

from __future__ import annotations

import re
from pathlib import Path

import strawberry
from graphql import parse

from engine import Engine, Plan, batched

README = Path(__file__).parents[2] / "engine" / "README.md"


@strawberry.type
class User:
    name: str


@strawberry.type
class Post:
    id: strawberry.ID
    title: str | None
    views: int

    @batched
    async def author(posts: list[Post]) -> list[User | None]:
        return [None for _ in posts]


@strawberry.type
class Query:
    @strawberry.field
    async def posts(self, first: int = 20) -> list[Post]:
        return []


def test_the_readme_shows_the_code_that_is_generated() -> None:
    text = README.read_text()
    documents = re.findall(r"```graphql\n(.*?)```", text, re.S)
    plan = Engine(strawberry.Schema(Query)._schema).prepare(parse(documents[0]))
    assert isinstance(plan, Plan)
    (posts,) = plan.root.resolved
    (selection,) = posts.selections.values()
    assert selection.source.strip() in text


def test_the_readme_names_every_module() -> None:
    _, files = README.read_text().split("## Files")
    modules = {path.name for path in README.parent.glob("*.py")}
    assert set(re.findall(r"`(\w+\.py)`", files)) == modules - {"__init__.py"}
