"""Very many connections, some of them hostile."""

from trials_harness import run_trial


def test_many_connections_are_served_and_hostile_ones_cut_off() -> None:
    found = run_trial(
        *("connections", "--idle", "400", "--active", "60", "--hostile", "5"),
        *("--seconds", "3", "--time-out", "2"),
    )
    assert found["answered"] >= 60
    assert found["failed"] == 0
    assert found["told"]["a byte of head a second"] == ["408"]
    assert found["told"]["a byte of body a second"] == ["408"]
