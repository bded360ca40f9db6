"""Peers on the gate's bank, tiny: deliveries are typed, scored, tuned and counted."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.gate_bank_peers.batches import EVENT_TIME, typed_batch
from bench.gate_bank_peers.figures import Figure
from bench.gate_bank_peers.measure import PEERS, attach_soda, attach_tfdv, measured
from bench.gate_bank_peers.report import page
from bench.gate_bank_peers.run import Delivery, TableRun, renewed
from bench.gate_bank_peers.scores import MOST, deviations, deviations_with_own, ranges
from bench.gate_bank_peers.settings import equal_alarms, results
from bench.gate_bank_peers.tuning import alarm, factor_for, margins_by_kind, scaled, single_margin
from headrace.verification.gate_bank.run import PLANTED_FROM, WARM_UP
from headrace.verification.gate_bank.tables import BANK, csv_bytes
from tests.semantic.call_centre import calls


@pytest.fixture(scope="module")
def table():
    table = next(t for t in BANK if t.name == "calls")
    return replace(table, read=lambda: calls(PLANTED_FROM + 4))


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    measured([table], 1, folder, environments=())
    return folder


@pytest.fixture
def run(folder):
    return TableRun.of(json.loads((folder / "calls.run.json").read_text()))


def test_times_are_hours_of_the_day(table):
    contract = table.contract
    days = table.rows_by_day()
    hours = [
        typed_batch(contract, day, csv_bytes(days[day])).columns[EVENT_TIME].to_pylist()
        for day in list(days)[:2]
    ]
    assert hours[0] == hours[1]


def test_a_cell_that_does_not_parse_and_a_missing_column_break_the_batch(table):
    rows = calls(1)
    contract = table.contract
    assert typed_batch(contract, "2003-03-01", csv_bytes([{**rows[0], "Calls": "x"}])).broken
    missing = typed_batch(contract, "2003-03-01", csv_bytes([{"DateTime": rows[0]["DateTime"]}]))
    assert missing.absent == ("Calls",)
    assert not typed_batch(contract, "2003-03-01", csv_bytes(rows)).broken


def test_a_range_is_left_by_multiples_of_its_width():
    window = np.array([[10.0, 0.0]] * 5 + [[20.0, 0.0]] * 5)
    figures = [Figure("max", "a", "number"), Figure("null_percent", "a", "number")]
    scores = ranges(figures, window, np.array([25.0, 0.1]))
    assert scores == pytest.approx([5 / 10.2, 0.1 / 0.01])
    assert not ranges(figures, window, np.array([15.0, 0.0])).any()
    constant = np.zeros((10, 1))
    assert ranges([Figure("min", "a", "number")], constant, np.array([1.0])) == MOST


def test_z_scores_are_those_of_elementary():
    window = np.array([[value, 3.0] for value in (1.0, 2, 3, 4, 5, 6, 7, 8)])
    figures = [Figure("average", "a", "number")] * 2
    now = np.array([20.0, 4.0])
    values = window[:, 0]
    z = (20 - values.mean()) / values.std(ddof=1)
    assert deviations(figures, window, now) == pytest.approx([z, 0.0])
    own = np.append(values, 20)
    with_own = deviations_with_own(figures, window, now)
    assert with_own[0] == pytest.approx((20 - own.mean()) / own.std(ddof=1))


def test_all_sides_judge_the_same_deliveries(run):
    assert len(run.clean) == PLANTED_FROM + 4 - WARM_UP
    faults = {delivery.fault: delivery for delivery in run.altered}
    scores = faults["measure times 1000"].scores
    assert scores["Great Expectations"]["max of number"][0] > 10
    assert scores["Great Expectations"]["max of number"][1] == ("Calls",)
    assert scores["Elementary and dbt"]["max of number"][0] > 10
    assert faults["measure times 1000"].ours == "stopped"
    assert faults["words in place of numbers"].broken == ("Calls",)
    late = faults["times an hour late"].scores["Great Expectations"]
    assert late["min of time"] == (MOST, ("DateTime",)) or late["min of time"][0] > 1


def delivery(score, *, kind="max of number", fault="", columns=("a",)):
    return Delivery("2020-01-01", fault, "batch", scores={"peer": {kind: (score, columns)}})


def test_margins_allow_few_false_alarms_and_stop_most_faults():
    clean = [delivery(float(score)) for score in range(100)]
    altered = [delivery(score, fault="f") for score in (50.0, 97.5, 200.0)]
    margins = margins_by_kind(clean, altered, "peer", 0.02)
    assert sum(alarm(day, "peer", margins) is not None for day in clean) <= 2
    assert [alarm(fault, "peer", margins) is not None for fault in altered] == [False, True, True]
    assert single_margin(clean, "peer", 0.02) == 97.0


def test_a_kind_that_only_raises_false_alarms_is_off():
    clean = [
        replace(delivery(0.1), scores={"peer": {"max": (0.1, ("a",)), "sum": (at, ("b",))}})
        for at in range(50)
    ]
    altered = [delivery(5.0, kind="max", fault="f")] * 3
    margins = margins_by_kind(clean, altered, "peer", 0.02)
    assert margins == {"max": 0.1, "sum": np.inf}


def test_the_loudest_check_is_the_headline():
    both = Delivery("2020-01-01", scores={"peer": {"max": (4.0, ("a",)), "min": (3.0, ("b",))}})
    assert alarm(both, "peer", {"max": 2.0, "min": 1.0}) == ("b",)
    assert alarm(both, "peer", {"max": 9.0, "min": 9.0}) is None


def test_answers_of_other_environments_become_scores(run, folder):
    planted = next(d for d in run.altered if d.fault == "measure times 1000")
    day = next(d for d in run.clean if d.day == planted.day)
    answers = {
        str(d.unit): {"JENSEN_SHANNON_DIVERGENCE": {"Calls": 0.1}, "range": {}} for d in run.clean
    }
    answers[str(planted.unit)] = {
        "JENSEN_SHANNON_DIVERGENCE": {"Calls": 0.6},
        "range": {"Calls": 8},
    }
    (folder / "calls.tfdv.json").write_text(json.dumps(answers))
    history = json.loads((folder / "calls.json").read_text())["histories"][planted.day]
    limits = [[0.0, 1000.0] for _ in history["figures"]]
    (folder / "calls.soda_anomaly.json").write_text(json.dumps({planted.day: limits}))
    attach_tfdv(run, folder)
    attach_soda(run, folder)
    assert planted.scores["TFDV"]["range of number"] == (8.0, ("Calls",))
    relative = planted.scores["TFDV"]["relative jensen_shannon of number"]
    assert relative == (pytest.approx(50.0), ("Calls",))
    assert "relative jensen_shannon of number" not in day.scores["TFDV"]
    assert planted.scores["Soda"]["max of number"][0] > 1 >= day.scores["Soda"]["max of number"][0]


def alarms(deliveries, margins):
    return sum(alarm(d, "peer", margins) is not None for d in deliveries)


def test_margins_are_scaled_until_as_many_clean_days_alarm():
    clean = [delivery(float(score)) for score in range(100)]
    margins = {"max of number": 7.0, "off": np.inf}
    for wanted in (0, 1, 5, 40):
        factor = factor_for(clean, "peer", margins, wanted)
        assert alarms(clean, scaled(margins, factor)) == wanted
    assert scaled(margins, 3.0) == {"max of number": 21.0, "off": np.inf}


def test_days_with_equal_scores_alarm_together_and_broken_days_always():
    clean = [delivery(9.0), delivery(5.0), delivery(5.0), delivery(2.0)]
    margins = {"max of number": 1.0}
    assert alarms(clean, scaled(margins, factor_for(clean, "peer", margins, 2))) == 3
    broken = [*clean, Delivery("2020-01-01", broken=("a",))]
    assert alarms(broken, scaled(margins, factor_for(broken, "peer", margins, 1))) == 1
    assert alarms(broken, scaled(margins, factor_for(broken, "peer", margins, 2))) == 2


def test_peers_are_compared_at_as_many_alarms_as_ours():
    def of(left_out, ours):
        clean = [Delivery("2020-01-01", scores=gx(float(at)), ours=ours(at)) for at in range(100)]
        # Days that the peer does not judge do not count for Headrace beside it.
        clean += [Delivery("2020-01-02", ours="stopped")] * 50
        altered = [
            Delivery("2020-01-01", f"f, {scope}", scope, ("a",), scores=gx(score), ours="stopped")
            for score in (50.0, 95.5, 200.0)
            for scope in ("batch", "part")
        ]
        return TableRun(f"left out {left_out}", left_out, clean, altered)

    def gx(score):
        return {"Great Expectations": {"max of number": (score, ("a",))}}

    def ours(at):
        return "stopped" if at < 3 else "warned" if at < 6 else "passed"

    warned, blocked = equal_alarms([of(False, ours), of(True, ours)])
    assert (warned["beside"], blocked["beside"]) == ("blocked or warned", "blocked")
    assert [(p["alarmed"], p["ours"]["alarmed"]) for p in (warned, blocked)] == [(6, 6), (3, 3)]
    assert [p["scopes"]["batch"]["stopped"] for p in (warned, blocked)] == [2, 1]


def test_every_row_twice_counts_as_stopped_if_the_clean_rows_are_published(run):
    twice = next(d for d in run.altered if d.fault == "every row twice")
    assert twice.ours == "stopped"


def test_only_the_same_deliveries_are_validated_again(run, table):
    old = replace(run, altered=[replace(d, ours="passed") for d in run.altered])
    old.altered[0].unit = 7000
    present = renewed(old, table, PEERS, 1)
    assert [d.ours for d in present.altered] == [d.ours for d in run.altered]
    assert present.altered[0].unit == 7000
    shifted = [replace(d, scores={"Great Expectations": {}}) for d in run.altered]
    with pytest.raises(ValueError, match="in an empty folder"):
        renewed(replace(run, altered=shifted), table, PEERS, 1)


def test_the_page_has_a_line_for_every_side(run):
    left_out = replace(run, table="mail", left_out=True)
    runs = [run, left_out]
    document = {"planted": 1, "peers": results(runs), "equal_alarms": equal_alarms(runs)}
    text = page(document)
    for line in (
        "| Headrace | blocked | 18 |",
        "| Great Expectations | ranges of the window | 18 |",
        "| z-scores as in Elementary | sensitivity 3 | 18 |",
        "| measure times 1000 | batch | 1 |",
        "chosen on: mail. Others were not",
    ):
        assert line in text
    assert max(map(len, text.split("**At equal")[0].splitlines())) <= 100
    gx = next(p for p in document["peers"] if p["setting"] == "ranges of the window")
    assert gx["faults"]["words in place of numbers"] == {
        "scope": "batch", "injected": 1, "stopped": 1,
    }  # fmt: skip
    assert len(document["equal_alarms"]) == 4  # two peers, beside two lines of Headrace
