"""The command as it is called: exit code, last line, saved file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import calls, page, results
from benchmarks.calls import Count
from benchmarks.operations import COUNTED
from benchmarks.report import call_table
from benchmarks.servers import AnswerError


def counts(total: int) -> list[Count]:
    return [
        Count(operation, rows, rows, flux=1, conduit=total - 1, vault_reads=1)
        for operation in COUNTED[:1]
        for rows in (1, 20)
    ]


def last_line(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.splitlines()[-1])
    return found


def test_last_line_is_json_and_the_exit_is_zero_when_all_went_well() -> None:
    arguments = ["--only", "cost", "session", "--servers", "ours", "handwritten"]
    arguments += ["--queries", "Q2", "--seconds", "0.2", "--rounds", "1"]

    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    figures = last_line(run.stdout)
    assert isinstance(figures["q2_cpu_vs_handwritten"], float)
    assert isinstance(figures["session_us"], float)
    assert figures["q2_cpu_vs_stock"] is None
    assert figures["failures"] == 0


def test_more_calls_than_promised_fail_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calls, "count_calls", lambda: counts(total=3))

    assert command.main(["--only", "calls"]) == 1

    printed = capsys.readouterr().out
    assert "FAILED: posts with author and cover + notes, 20 rows: 3 upstream" in printed
    assert last_line(printed) == {"calls_as_promised": False, "failures": 2}


def test_a_server_that_fails_is_told_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> list[Count]:
        raise AnswerError("status 500")

    monkeypatch.setattr(calls, "count_calls", fail)

    assert command.main(["--only", "calls"]) == 1
    assert "FAILED: call table: status 500" in capsys.readouterr().out


def test_saved_file_holds_the_figures_and_what_they_depend_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(calls, "count_calls", lambda: counts(total=2))
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    shown = tmp_path / "performance.md"
    shown.write_text(f"{page.BEGIN}{page.END}")
    monkeypatch.setattr(page, "PAGE", shown)

    assert command.main(["--only", "calls", "--save"]) == 0

    (file,) = (tmp_path / "results").iterdir()
    assert "Measured on" in shown.read_text()
    saved = json.loads(file.read_text())
    assert file.name == f"{saved['date']}.json"
    assert saved["calls_as_promised"] is True
    assert saved["calls"][1]["rows"] == 20
    assert saved["packages"]["strawberry-graphql"]
    assert saved["python"].startswith(sys.version.split()[0])


def test_call_table_shows_each_upstream_and_marks_what_was_not_promised() -> None:
    (line,) = call_table(counts(total=3)).splitlines()[1:2]

    assert line.split("  ")[0] == "posts with author and cover + notes"
    assert line.count("1 + 2 = 3 !") == 2
    assert line.endswith("2")
