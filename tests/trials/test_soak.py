"""A quarter of a minute of use, one fault at a time."""

from trials_harness import run_trial


def test_a_short_soak_crosses_and_loses_nothing() -> None:
    """Tried with one Flux token for all people: 8 crossed within these 15 s."""
    found = run_trial("soak", "--minutes", "0.25", "--seed", "7", "--rate", "12")
    assert found["operations"] > 60
    assert found["faults"] >= 2
    assert (found["crossed"], found["lost"], found["ghosts"]) == (0, 0, 0)
    assert (found["duplicates"], found["unexplained"], found["silent"]) == (0, 0, 0)
