"""What the benchmarks claim rests on: the form of a line, the comparison of answers, the watch."""

import json
import threading

import pyarrow as pa
import pytest
from pyarrow import feather

from bench.answers import differences
from bench.page import renew, section, table
from bench.report import alternating, compare
from bench.watch import REST, Watch
from bench.year import Bench, judged, warnings

FORM = ["name", "ours_s", "peer", "peer_s", "ratio", "goal", "met", "answers_equal", "rss_mb"]


def line(**change):
    given = {"goal": 1 / 3, "answers_equal": True, "rss_mb": 100.4} | change
    return compare("a", [3.0, 9.0, 2.0], "polars", [1.0, 1.5, 1.2], **given)


def test_a_line_has_the_form_that_all_benchmarks_share():
    told = json.loads(line().line())
    assert list(told) == FORM
    assert told["ours_s"] == 3.0
    assert told["peer_s"] == 1.2
    assert told["ratio"] == 0.4
    assert told["met"] is True


@pytest.mark.parametrize(
    ("change", "met"),
    [
        ({}, True),
        ({"goal": 0.41}, False),
        ({"goal": None}, True),
        ({"answers_equal": False}, False),
        ({"goal": None, "answers_equal": False}, False),
    ],
)
def test_a_goal_needs_time_and_answers(change, met):
    assert line(**change).met is met


def test_sides_take_turns():
    order = []
    sides = {name: lambda name=name: order.append(name) or {"side": name} for name in "ab"}
    found = alternating(sides, 2)
    assert order == ["a", "b", "a", "b"]
    assert [len(runs) for runs in found.values()] == [2, 2]


BASE = {
    "n": pa.array([1, None, 3], pa.int64()),
    "x": pa.array([1.0, None, 3.0]),
    "s": pa.array(["a", None, "c"]),
    "t": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
}


@pytest.mark.parametrize(
    ("name", "column", "same"),
    [
        ("n", pa.array([1, None, 3], pa.int32()), True),
        ("n", pa.array([1, None, 4]), False),
        ("n", pa.array([1, 2, 3]), False),
        ("n", pa.array([1.0, None, 3.0]), False),
        ("x", pa.array([1.0, None, 3.0 + 1e-10]), True),
        ("x", pa.array([1.0, None, 3.0 + 1e-8]), False),
        ("x", pa.array([1.0, 0.0, 3.0]), False),
        ("x", pa.array([1.0, None, float("nan")]), False),
        ("s", pa.array(["a", None, "c"], pa.large_string()), True),
        ("s", pa.array(["a", "b", "c"]), False),
        ("t", pa.array([1000, 2000, None], pa.timestamp("ns", "UTC")), True),
        ("t", pa.array([1, 3, None], pa.timestamp("us", "UTC")), False),
    ],
)
def test_answers_are_equal_or_not(name, column, same):
    found = differences(pa.table(BASE), pa.table(BASE | {name: column}))
    assert found == [] if same else found[0].startswith(f"{name}: ")


def test_missing_columns_and_rows_differ():
    table = pa.table(BASE)
    assert differences(table, table.drop_columns(["s"])) == ["s: not there"]
    assert differences(table, table.slice(1)) == ["3 rows against 2"]


def test_every_second_of_the_main_thread_is_counted_once(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("bench.watch.time.perf_counter", lambda: float(next(clock)))
    watch = Watch()
    watch.wrap("bench.report", "median", "inner")
    watch.wrap("bench.report", "compare", "outer")
    watch.start()
    from bench import report

    report.compare("a", [1], "b", [1], goal=None, answers_equal=True, rss_mb=1)
    found = watch.stop()
    monkeypatch.undo()
    report.compare, report.median = report.compare.__wrapped__, report.median.__wrapped__
    assert set(found) == {"inner", "outer", REST}
    assert sum(found.values()) == 7.0
    assert watch.beside == {}


def test_other_threads_have_an_account_of_their_own(monkeypatch):
    from bench import report

    monkeypatch.setattr(report, "median", report.median)
    watch = Watch()
    watch.wrap("bench.report", "median", "beside")
    watch.start()
    thread = threading.Thread(target=report.median, args=([1],))
    thread.start()
    thread.join()
    assert set(watch.stop()) == {REST}
    assert set(watch.beside) == {"beside"}


def test_what_is_not_there_is_said(tmp_path):
    watch = Watch()
    watch.wrap("bench.report", "gone", "x")
    assert watch.unknown == ["bench.report.gone"]
    assert Bench(tmp_path, "", tmp_path).differences == {}


EQUAL = {peer: [] for peer in ("polars", "duckdb", "shortest")}


def test_the_faster_peer_counts_and_the_answers_too():
    def runs(seconds, **breakdown):
        return [{"seconds": seconds, "rss_mb": 10.0, "breakdown": breakdown}]

    given = {
        "ours": runs(10.0, monitors=1.0, training=4.0),
        "polars": runs(5.0, training=4.0),
        "duckdb": runs(6.0, training=4.0),
        "shortest": runs(4.5, training=4.0),
    }
    first, monitors, training, other, shortest = judged(given, EQUAL).comparisons
    assert (first.peer, first.ours_s, first.peer_s, first.met) == ("polars", 9.0, 5.0, True)
    assert monitors.ours_s == 10.0
    assert (training.ours_s, training.peer_s) == (5.0, 1.0)
    assert (other.peer, other.goal, shortest.goal) == ("duckdb", None, None)
    assert not judged(given, EQUAL | {"polars": ["x: 1 rows differ"]}).comparisons[0].met
    assert not judged(given, {}).comparisons[0].answers_equal  # not compared is not equal


def test_every_round_is_compared_with_its_models(tmp_path):
    def answer(values):
        path = tmp_path / "answer.arrow"
        feather.write_feather(pa.table({"x": values}), path)
        return path

    bench = Bench(tmp_path, "", tmp_path)
    bench._compare("ours", answer([1.0, 2.0]), {"model": 0.5})
    bench._compare("polars", answer([1.0, 3.0]), {"model": 0.5})
    bench._compare("polars", answer([1.0, 2.0]), {"model": 0.4})
    bench._compare("duckdb", answer([1.0, 2.0]), {"model": 0.5})
    assert len(bench.differences["polars"]) == 2
    assert bench.differences["duckdb"] == []
    assert bench.columns == 1


@pytest.mark.parametrize(
    ("seconds", "told"), [([10.0, 10.5, 11.0], "yes"), ([10.0, 30.0, 11.0], "undecided")]
)
def test_a_machine_that_is_not_quiet_decides_nothing(seconds, told):
    ours = [{"seconds": one, "rss_mb": 1.0, "breakdown": {}} for one in seconds]
    theirs = [{"seconds": 5.0, "rss_mb": 1.0, "breakdown": {}} for _ in seconds]
    year = judged({"ours": ours} | dict.fromkeys(("polars", "duckdb", "shortest"), theirs), EQUAL)
    undecided = ["polars"] if year.disturbed("polars") else []
    assert f"| 0.333 | {told} |" in table(year.comparisons, undecided)[2]
    assert len(warnings(year)) == (told == "undecided")


def test_a_section_is_renewed_alone():
    body = section("What.", table([line()]), "", [line()])
    page = renew("", ["One", "Two"], {"Two": body, "One": "first\n"})
    assert page.index("## One\n\nfirst") < page.index("## Two\n\nWhat.")
    again = renew(page, ["One", "Two"], {"One": "second"})
    assert again == page.replace("first", "second")
    assert "## Two" not in renew(again, ["One"], {})
    assert json.loads(body.split("```json\n")[1].split("\n```")[0])["ratio"] == 0.4
