"""How a test asks: a document against stub clients, in a context of its own."""

from dataclasses import dataclass
from functools import cache

from schema import build_schema, schema
from tests.resolvers.stubs import make_context


@dataclass
class Answer:
    data: dict | None
    errors: list

    @property
    def codes(self):
        return [error["extensions"]["code"] for error in self.errors]

    @property
    def paths(self):
        return [error.get("path") for error in self.errors]


@cache
def compiled():
    """The schema whose operations are executed by plans."""
    return build_schema(engine="compiled")


async def ask(
    world, query, *, context=None, operation_name=None, graph=schema, **variables
):
    """The answer to a document, as the transport would write it."""
    result = await graph.execute(
        query,
        variable_values=variables,
        context_value=context or make_context(world),
        operation_name=operation_name,
    )
    return Answer(result.data, [error.formatted for error in result.errors or []])
