"""The threat model of docs/sessions.md names tests that are there."""

import re

from harness import ROOT

PAGE = (ROOT / "docs/sessions.md").read_text()


def test_every_threat_has_a_test_that_is_there() -> None:
    table = PAGE.partition("### Threats")[2].partition("### Properties")[0]
    rows = re.findall(
        r"^\| (?!Threat \|)([^|-][^|]*) \|.*\| (.*) \|$", table, re.MULTILINE
    )
    assert len(rows) >= 15
    for threat, shown_by in rows:
        tests = re.findall(r"`([\w/]+\.py)`", shown_by)
        assert tests, threat
        assert all((ROOT / "tests" / test).exists() for test in tests), threat


def test_every_command_names_a_test_that_is_there() -> None:
    table = PAGE.partition("### Properties")[2]
    named = re.findall(r"tests/[\w/]+\.py", table)
    assert len(named) >= 6
    assert [test for test in named if not (ROOT / test).exists()] == []
