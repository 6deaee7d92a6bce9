"""Medians and ratios: within a round, and of undisturbed windows where there are."""

from dataclasses import replace

from benchmarks.agreement import bare, difference
from benchmarks.cost import unequal_calls
from benchmarks.figures import CostReport, Window
from benchmarks.report import cost_tables, noise, ratios

WINDOW = Window(
    query="Q2",
    server="ours",
    round=0,
    per_second=100.0,
    p50_ms=1.0,
    p99_ms=2.0,
    cpu_us=500.0,
    upstream_calls=2.0,
    rss_mb=50.0,
    core_share=1.0,
    others=0.0,
)


def cpu_us(window: Window) -> float:
    return window.cpu_us


def windows(server: str, *costs: float, others: float = 0.0) -> list[Window]:
    return [
        replace(WINDOW, server=server, round=number, cpu_us=cost, others=others)
        for number, cost in enumerate(costs)
    ]


def test_ratio_is_the_median_over_rounds_not_the_ratio_of_medians() -> None:
    # A machine that is slow in turn: each round tells 1:2, the medians tell 1:1.
    report = CostReport(windows("ours", 10, 40, 20) + windows("stock", 20, 80, 40))

    assert report.ratio("Q2", "stock", cpu_us) == 0.5


def test_disturbed_windows_are_left_out_while_there_are_others() -> None:
    report = CostReport(
        windows("ours", 10, 20) + windows("stock", 20, 20) + windows("other", 7)
    )
    report.windows[1] = replace(report.windows[1], others=0.5)

    assert report.median("Q2", "ours", cpu_us) == 10
    assert report.ratio("Q2", "stock", cpu_us) == 0.5


def test_disturbed_windows_count_when_there_are_no_others_and_it_is_told() -> None:
    report = CostReport(windows("ours", 10, others=0.5) + windows("stock", 20))

    assert report.ratio("Q2", "stock", cpu_us) == 0.5
    assert noise(report) == {"disturbed_cells": 1, "starved_cells": 0}
    assert "50%!" in cost_tables(report, {"Q2": "title"}, "stock")


def test_a_server_that_waited_for_load_is_told() -> None:
    report = CostReport([replace(WINDOW, core_share=0.6), replace(WINDOW, round=1)])

    assert noise(report) == {"disturbed_cells": 0, "starved_cells": 1}
    assert "60%~" in cost_tables(report, {"Q2": "title"}, "stock")


def test_json_names_cpu_and_rate_of_q2_against_every_other() -> None:
    report = CostReport(
        windows("ours", 30) + windows("stock", 90) + windows("handwritten", 20)
    )
    report.windows.append(
        replace(WINDOW, server="tailcall", cpu_us=60.0, per_second=50.0)
    )

    assert ratios(report) == {
        "q2_cpu_vs_stock": 0.3333,
        "q2_cpu_vs_handwritten": 1.5,
        "q2_cpu_vs_tailcall": 0.5,
        "q2_rps_vs_stock": 1.0,
        "q2_rps_vs_handwritten": 1.0,
        "q2_rps_vs_tailcall": 2.0,
    }


def test_json_names_the_cpu_of_every_query_measured() -> None:
    report = CostReport(windows("ours", 30) + windows("stock", 90))
    report.windows += [replace(each, query="Q4") for each in report.windows]

    assert ratios(report)["q4_cpu_vs_stock"] == 0.3333
    assert "q4_rps_vs_stock" not in ratios(report)


def test_json_says_null_where_a_server_is_missing() -> None:
    assert ratios(CostReport(windows("ours", 30))) == {
        "q2_cpu_vs_stock": None,
        "q2_cpu_vs_handwritten": None,
        "q2_rps_vs_stock": None,
        "q2_rps_vs_handwritten": None,
    }


def test_a_server_that_makes_other_upstream_calls_is_told() -> None:
    report = CostReport(windows("ours", 30) + windows("stock", 90))
    report.windows.append(replace(WINDOW, server="tailcall", upstream_calls=0.34))

    (note,) = unequal_calls(report)
    assert note.startswith("Q2: tailcall made 0.34 upstream calls a request where ours")


def test_answers_of_another_dialect_compare_by_rows_not_by_shape() -> None:
    ours = {"notes": {"nodes": [{"id": "Tm90ZTphYi0x", "body": "Tm90ZTphYi0x"}]}}

    assert bare(ours) == {"notes": [{"id": "ab-1", "body": "Tm90ZTphYi0x"}]}
    assert bare(bare(ours)) == bare(ours)
    assert bare({"id": "1ffa307f-f1a5-52cf-83ab-c4a8c243ba2d"}) == {
        "id": "1ffa307f-f1a5-52cf-83ab-c4a8c243ba2d"
    }


def test_table_shows_each_figure_and_its_ratio_to_the_base() -> None:
    report = CostReport(windows("ours", 250) + windows("stock", 1000))

    text = cost_tables(report, {"Q2": "the graph"}, "stock")

    ours, stock = text.splitlines()[2:]
    assert "Q2: the graph" in text
    assert "250 (0.25)" in ours
    assert "1,000" in stock
    assert "(" not in stock


def test_the_first_difference_of_two_answers_is_named() -> None:
    expected = {"posts": [{"id": 1, "title": "a"}]}

    assert "data.posts[0].title is 'b'" in difference(
        expected, {"posts": [{"id": 1, "title": "b"}]}
    )
    assert "data.posts has 0 items instead of 1" in difference(expected, {"posts": []})
    assert "data.posts[0].title is only in one" in difference(
        expected, {"posts": [{"id": 1}]}
    )
