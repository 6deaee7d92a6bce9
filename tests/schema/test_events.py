"""A subscription keeps nothing of the events that it has told."""

import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import SimpleNamespace

import pytest
from graphql.execution.collect_fields import CollectedFields

from clients.flux.records import FluxNote
from resolvers import changes
from resolvers.change_feed import ChangeKind
from resolvers.changes import Changed
from resolvers.context import RequestContext
from schema import build_schema
from schema.build import EngineName

EVENTS = 200
QUERY = "subscription { noteChanged { kind id note { id body } } }"


async def events() -> AsyncGenerator[Changed[FluxNote], None]:
    for number in range(EVENTS):
        note = FluxNote(id=str(number), body="text")
        yield Changed(ChangeKind.UPDATED, note.id, note)


def alive() -> int:
    """The selections that somebody still holds."""
    gc.collect()
    return sum(isinstance(one, CollectedFields) for one in gc.get_objects())


@pytest.mark.parametrize("engine", ["compiled", "reference"])
async def test_a_long_subscription_does_not_grow_with_its_events(
    monkeypatch: pytest.MonkeyPatch, engine: EngineName
) -> None:
    """Tried without the executor of our own: two more selections for each event."""

    async def note_changes(
        context: RequestContext, *, post_id: str | None
    ) -> AsyncGenerator[Changed[FluxNote], None]:
        return events()

    monkeypatch.setattr(changes, "note_changes", note_changes)
    graph = build_schema(engine=engine)
    context = SimpleNamespace(
        scope=SimpleNamespace(request_id="test"), trusted_document=False, charge=None
    )
    told, held = 0, []
    stream = await graph.subscribe(QUERY, context_value=context)
    async with aclosing(stream):
        async for event in stream:
            told += 1
            assert event.errors is None
            assert event.data is not None
            assert event.data["noteChanged"]["note"]["body"] == "text"
            if told in (EVENTS // 4, EVENTS - 1):
                held.append(alive())
    assert told == EVENTS
    assert held[1] <= held[0]
