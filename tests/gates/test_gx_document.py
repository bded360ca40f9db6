"""The exported document is one that Great Expectations reads, and says what it would say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.contracts import Violation
from headrace.gates import Judgement, judge
from headrace.gates.gx.results import gx_document
from tests.gates.gate_batches import conformed, contract, expect, rows, suite

ROOT = Path(__file__).parents[2]
TRIPS = rows((1, "Ulm", 12.0), (2, "Bonn", None), (3, "Ulm", 900.0), (4, "Köln", 950.5))
CHECKS = (
    expect(
        "column_values_to_be_between", column="miles", max_value=500, meta={"action": "quarantine"}
    ),
    expect("column_mean_to_be_between", column="miles", min_value=1),
    expect("table_row_count_to_equal", value=3),
    expect("column_distinct_values_to_be_in_set", column="town", value_set=["Ulm", "Bonn"]),
    expect("compound_columns_to_be_unique", column_list=["id", "town"]),
    expect("column_values_to_be_unique", column="town"),
)
BATCH = {"table": "trips", "slot": "2024-01-01", "batch": "ab12", "origin": "trips.csv"}


def document(checks=CHECKS, batch=None) -> dict:
    rules = suite(*checks, max_quarantined_share=1)
    judgement = judge(rules, contract(), batch or conformed(TRIPS))
    return gx_document(Judgement.from_json(judgement.to_json()), rules, BATCH, ["id"])


def of(found, kind):
    return next(r for r in found["results"] if r["expectation_config"]["type"] == kind)


def test_failing_values_are_told_with_their_keys():
    one = of(document(), "expect_column_values_to_be_between")
    assert not one["success"]
    assert one["expectation_config"]["kwargs"] == {
        "batch_id": "trips-2024-01-01",
        "column": "miles",
        "max_value": 500,
    }
    found = one["result"]
    assert (found["element_count"], found["missing_count"], found["unexpected_count"]) == (4, 1, 2)
    assert found["partial_unexpected_list"] == [900.0, 950.5]
    assert found["partial_unexpected_index_list"] == [
        {"id": 3, "miles": 900.0},
        {"id": 4, "miles": 950.5},
    ]
    assert found["unexpected_percent"] == pytest.approx(100 * 2 / 3)
    assert found["unexpected_percent_total"] == 50


def test_a_blocked_batch_is_no_success_whatever_blocked_it():
    broken = conformed(None, violations=(Violation("id", 3, "integer", "x"),))
    found = document(batch=broken)
    assert found["meta"]["headrace"]["verdict"] == "BLOCK"
    assert found["success"] is False
    (one,) = found["results"]
    assert one["expectation_config"]["type"] == "headrace_contract_violation"
    assert one["result"]["unexpected_count"] == 1


def test_a_crash_is_an_exception_not_a_failure_of_the_data():
    crashing = expect("column_values_to_be_between", column="nowhere", max_value=1)
    one = of(document(checks=(crashing,)), "expect_column_values_to_be_between")
    assert one["exception_info"]["raised_exception"]
    assert one["result"] == {}


def test_under_another_suite_the_words_remain():
    rules = suite(*CHECKS, max_quarantined_share=1)
    judgement = judge(rules, contract(), conformed(TRIPS))
    found = gx_document(judgement, suite(CHECKS[0]), BATCH, ["id"])
    one = of(found, "expect_column_values_to_be_between")
    assert one["expectation_config"]["kwargs"] == {
        "batch_id": "trips-2024-01-01",
        "column": "miles",
    }
    assert "500" in one["expectation_config"]["meta"]["kwargs"]


def test_great_expectations_reads_it(tmp_path):
    """In a process of its own: the library takes seconds to import, and changes warnings."""
    file = tmp_path / "validation.json"
    file.write_text(json.dumps(document(), allow_nan=False))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("gx_reads.py")), str(file)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    back = json.loads(done.stdout)
    ours = document()
    assert {k: back[k] for k in ("success", "suite_name", "statistics")} == {
        k: ours[k] for k in ("success", "suite_name", "statistics")
    }
    assert [r["result"] for r in back["results"]] == [r["result"] for r in ours["results"]]
