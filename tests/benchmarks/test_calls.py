"""The call table, over the real stand-ins and our real server."""

from benchmarks.calls import ROWS, count_calls, expected_rows
from benchmarks.operations import COUNTED


def test_every_operation_makes_the_promised_calls_for_any_number_of_rows() -> None:
    counts = count_calls()

    assert [(c.operation.title, c.rows) for c in counts if not c.as_promised] == []
    assert len(counts) == len(COUNTED) * len(ROWS)
    assert [c for c in counts if c.answered != expected_rows(c)] == []
