"""The sweeps: what their bars make of figures, and one short run of each."""

import json

import pytest
import uvloop

from benchmarks.figures import Window
from benchmarks.processes import can_pin
from benchmarks.sweeps import (
    SWEEPS,
    SweepOptions,
    Swept,
    connections,
    memory,
    run,
    sweep,
    workers,
)
from benchmarks.sweeps.__main__ import main
from benchmarks.sweeps.memory import Sample
from benchmarks.sweeps.objects import Size, further_costs, growth
from benchmarks.sweeps.objects import sweep as objects_sweep
from benchmarks.sweeps.workers import Figures, busiest_share
from benchmarks.sweeps.workers import sweep as workers_sweep

WINDOW = Window("Q2", "ours", 0, 2000.0, 1.0, 2.0, 300.0, 2.0, 50.0, 1.0, 0.0)


def test_an_object_costs_what_it_adds_to_the_smallest_answer() -> None:
    sizes = [Size(20, 300.0), Size(120, 500.0), Size(1000, 2260.0)]

    assert further_costs(sizes) == [2.0, 2.0]
    assert objects_sweep(sizes).holds


def test_objects_that_grow_dearer_with_their_number_break_the_bar() -> None:
    sizes = [Size(20, 300.0), Size(120, 500.0), Size(1000, 2848.0)]

    found = objects_sweep(sizes)

    assert not found.holds
    assert found.figures == {"object_cost_growth": pytest.approx(1.3, abs=0.001)}


def test_growth_counts_only_from_small_to_large() -> None:
    assert growth([2.0, 1.0, 1.1]) == pytest.approx(1.1)
    assert growth([3.0, 2.0, 1.0]) == 1.0


def test_the_last_rate_is_held_against_the_best() -> None:
    assert connections.share_of_best([100.0, 200.0, 150.0]) == 0.75
    assert connections.share_of_best([100.0, 200.0]) == 1.0


def test_a_number_of_connections_that_only_fails_breaks_the_bar() -> None:
    found = connections.sweep("instant", {16: [WINDOW], 1024: []}, ["1024: broke"])

    assert not found.holds
    assert found.rows[1][:2] == ["1,024", "-"]
    assert found.failures == ["1024: broke"]


def samples(*megabytes: float) -> list[Sample]:
    return [Sample(number, rss) for number, rss in enumerate(megabytes, start=1)]


def test_memory_that_only_fills_its_caches_is_flat() -> None:
    filling = [80.0, 100.0, 110.0, 112.0, 112.0]

    assert memory.growth(samples(*filling, *[112.0] * 15)) == 1.0
    assert memory.sweep(samples(*filling, *[112.0] * 15)).holds


def test_memory_that_goes_on_growing_is_told() -> None:
    leaking = [100.0 + number for number in range(20)]

    assert memory.growth(samples(*leaking)) == pytest.approx(119 / 104)
    assert not memory.sweep(samples(*leaking)).holds


def test_two_workers_are_compared_within_rounds() -> None:
    one = [Figures(1000.0, 400.0, 1.0), Figures(500.0, 400.0, 1.0)]
    two = [Figures(1900.0, 410.0, 0.5), Figures(950.0, 410.0, 0.5)]

    found = workers_sweep(one, two)

    assert found.figures == {"two_workers": 1.9}
    assert found.holds
    assert not workers_sweep(one, one).holds


def test_the_busier_worker_is_the_one_with_more_cpu() -> None:
    assert busiest_share([1.0, 3.0]) == 0.75
    assert busiest_share([]) == 1.0


@pytest.fixture(scope="module")
def swept() -> Swept:
    """Every sweep, with few connections, for an instant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "CONNECTIONS", (2, 8))
        patch.setattr(workers, "CONNECTIONS", 8)
        for module in (sweep, connections):
            patch.setattr(module, "WARM_UP_S", 0.1)
        options = SweepOptions(seconds=0.2, rounds=1, requests=200)
        return uvloop.run(run(options, lambda _: None))


def test_every_sweep_runs_on_the_real_server(swept: Swept) -> None:
    names = [one.name for one in swept.sweeps]

    assert swept.failures == []
    assert names == [
        *("objects", "connections_instant", "connections_slow", "memory"),
        *(["workers"] if can_pin() else []),
    ]
    assert json.loads(json.dumps(swept.figures))["memory_requests"] == 200


def test_a_slow_upstream_is_waited_for(swept: Swept) -> None:
    (slow,) = [one for one in swept.sweeps if one.name == "connections_slow"]

    assert all(float(row[2]) >= connections.SLOW_MS for row in slow.rows)


def test_a_server_that_fails_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(*_: object) -> list[object]:
        raise OSError("connection refused")

    monkeypatch.setitem(SWEEPS, "memory", fail)  # type: ignore[arg-type]

    assert main(["--only", "memory"]) == 1
    assert "FAILED: memory: connection refused" in capsys.readouterr().out
