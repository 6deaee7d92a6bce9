"""The trials' own arithmetic: what they would say of a server that does wrong."""

import random

import orjson
import pytest

from trials.audit import compare
from trials.client import Client, Person, Problem, Reply
from trials.faults import FAULTS, FaultKind
from trials.journal import Entry, Journal, Window, quantile
from trials.model import Model, Thing
from trials.place import Sample
from trials.reads import CONDUIT, FLUX, Actor
from trials.report import life_of
from trials.writes import outcome_of

Found = list[tuple[str, str]]


def kind(target: str, name: str) -> FaultKind:
    (found,) = [each for each in FAULTS if (each.target, each.name) == (target, name)]
    return found


def actor(model: Model) -> Actor:
    client = Client("http://127.0.0.1:9")
    rng = random.Random(1)  # noqa: S311
    return Actor(Person("ada"), client, model, rng)


def note(model: Model) -> Thing:
    """One that was reported as written, and then as changed."""
    thing = model.new("note", "ada", None)
    model.made(thing, thing.next_content(), "id")
    thing.became(thing.next_content())
    return thing


@pytest.mark.parametrize(
    ("found", "lost", "duplicates"),
    [
        ([("id", "ada-note-0 v1")], 0, 0),
        ([("id", "ada-note-0 v0")], 1, 0),
        ([], 1, 0),
        ([("id", "ada-note-0 v1"), ("other", "ada-note-0 v1")], 0, 1),
    ],
)
async def test_what_was_reported_as_written_must_be_there_once(
    found: Found, lost: int, duplicates: int
) -> None:
    model = Model()
    await compare(actor(model), note(model), found)
    assert (len(model.lost), len(model.duplicates)) == (lost, duplicates)


async def test_what_failed_must_not_be_there_and_what_is_open_may() -> None:
    model = Model()
    failed, left_open = model.new("note", "ada", None), model.new("note", "ada", None)
    left_open.left_open(left_open.next_content())
    await compare(actor(model), failed, [("id", "ada-note-0 v0")])
    await compare(actor(model), left_open, [("id", "ada-note-1 v0")])
    await compare(actor(model), left_open, [])
    assert (len(model.ghosts), len(model.lost)) == (1, 0)


def test_another_persons_row_is_noticed_and_so_is_a_text_that_nobody_wrote() -> None:
    model = Model()
    note(model)
    model.user_ids["ada"] = "1"
    post = model.new("post", "ada", None)
    title = post.next_content()
    model.see_note("ada", "ada-note-0 v1")
    model.see_post(title, "1")
    model.see_post("Of the demo", "2")
    assert model.crossed == []
    model.see_note("ben", "ada-note-0 v1")
    model.see_note("ada", "ada-note-0 v7")
    model.see_post(title, "2")
    assert len(model.crossed) == 3


@pytest.mark.parametrize(
    ("problem", "at", "unexplained"),
    [
        (Problem("UPSTREAM_UNAVAILABLE", "flux"), 5.0, 0),
        (Problem("UPSTREAM_UNAVAILABLE", "flux"), 14.0, 0),
        (Problem("UPSTREAM_UNAVAILABLE", "flux"), 16.0, 1),
        (Problem("UPSTREAM_UNAVAILABLE", "conduit"), 5.0, 1),
        (Problem("INTERNAL_SERVER_ERROR"), 5.0, 1),
        (Problem("UNAUTHENTICATED"), 5.0, 1),
        (Problem("result:NotFound"), 5.0, 1),
        (Problem("SILENT", open=True), 5.0, 1),
    ],
)
def test_an_error_is_explained_by_a_fault_of_its_service_near_it(
    problem: Problem, at: float, unexplained: int
) -> None:
    journal = Journal()
    journal.windows = [Window(kind("flux", "resets"), 0.0, 10.0)]
    journal.entries = [Entry("notes", FLUX, at - 0.1, at, (problem,))]
    assert journal.unexplained().total() == unexplained


def test_latency_beside_a_fault_counts_what_does_not_need_its_target() -> None:
    journal = Journal()
    beside = [101 + n / 10 for n in range(50)]
    journal.windows = [Window(kind("flux", "resets"), 100.0, 110.0)]
    journal.entries = [
        *(Entry("posts", CONDUIT, n, n + 0.01, ()) for n in range(50)),
        *(Entry("posts", CONDUIT, at, at + 0.03, ()) for at in beside),
        *(Entry("notes", FLUX, at, at + 8, ()) for at in beside),
    ]
    latency = journal.latency(50)
    assert (latency.quiet, latency.beside) == (50, 50)
    assert latency.ratio == pytest.approx(3.0)
    assert journal.latency(51).ratio is None


def test_a_quantile_counts_weights() -> None:
    assert quantile([(1.0, 98.0), (5.0, 2.0)], 0.99) == 5.0
    assert quantile([(1.0, 99.5), (5.0, 0.5)], 0.99) == 1.0


def test_growth_is_told_of_the_worker_that_lives_longest() -> None:
    steady = [Sample(n, 7, 100 << 20, 40) for n in range(100)]
    growing = [Sample(n, 7, (100 + n) << 20, 40 + n) for n in range(100)]
    young = [Sample(n, 8, (900 + n) << 20, 900) for n in range(100)]
    assert not life_of(steady + young).grew
    assert not life_of(steady + young).leaks
    life = life_of(growing + young)
    assert life.grew
    assert life.leaks


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"data": {"createNote": {"__typename": "CreateNoteSuccess"}}}, "done"),
        ({"data": {"createNote": {"__typename": "Forbidden"}}}, "refused"),
        (
            {"data": None, "errors": [{"extensions": {"code": "RATE_LIMITED"}}]},
            "refused",
        ),
    ],
)
def test_an_answer_tells_what_became_of_a_write(body: object, outcome: str) -> None:
    reply = Reply(200, orjson.dumps(body), ())
    assert outcome_of(actor(Model()), reply, "createNote").kind == outcome


def test_no_answer_and_an_unknown_outcome_leave_it_open() -> None:
    for problem in (
        Problem("CUT", open=True),
        Problem("UPSTREAM_TIMEOUT", "flux", open=True),
    ):
        reply = Reply(None, problems=(problem,))
        assert outcome_of(actor(Model()), reply, "createNote").kind == "open"
