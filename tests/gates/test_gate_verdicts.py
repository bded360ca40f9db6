"""What the gate answers: one table of batches and verdicts, then what holds for all of them."""

import math

import pyarrow as pa
import pytest
from gate_batches import conformed, contract, expect, rows, suite
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from headrace.contracts import Invariant, RowProblem, Violation
from headrace.gates import Judgement, Verdict, judge
from tests.examples import examples

GOOD = [(number, "Ulm", 10.0 + number) for number in range(100)]
FAR = [*GOOD[:99], (99, "Ulm", 5000.0)]
ALL_FAR = [(number, "Ulm", 5000.0) for number in range(100)]

MILES = {"column": "miles", "min_value": 0, "max_value": 1000}
BLOCKING = expect("column_values_to_be_between", meta={"id": "miles"}, **MILES)
WARNING = expect("column_values_to_be_between", "warning", {"id": "miles"}, **MILES)
QUARANTINING = expect(
    "column_values_to_be_between", meta={"id": "miles", "action": "quarantine"}, **MILES
)
FULL = expect("table_row_count_to_be_between", meta={"id": "full"}, min_value=50)
SLOW = Invariant("near", "miles < 1000", "A trip ends on the same day.")
BROKEN = Invariant("broken", "CAST(town AS BIGINT) > 0", "Crashes on every town.")
UNPLANNED = Invariant("unplanned", "no_such_column > 0", "Cannot even be planned.")
MISSING = expect("column_values_to_not_be_null", meta={"id": "gone"}, column="no_such_column")
OUTSIDE = "1 of 100 values of miles are not between 0 and 1000"


@pytest.mark.parametrize(
    ("trips", "checks", "invariants", "verdict", "reason", "split"),
    [
        (GOOD, [BLOCKING, FULL], (), "PASS", "", (100, 0)),
        (GOOD, [], (), "PASS", "", (100, 0)),
        ([], [BLOCKING], (), "PASS", "", (0, 0)),
        ([], [], (SLOW,), "PASS", "", (0, 0)),
        (FAR, [BLOCKING, FULL], (), "BLOCK", OUTSIDE, (100, 0)),
        (FAR, [WARNING, FULL], (), "WARN", OUTSIDE, (100, 0)),
        (FAR, [QUARANTINING, FULL], (), "QUARANTINE", OUTSIDE, (99, 1)),
        (ALL_FAR, [QUARANTINING], (), "BLOCK", "100 of 100 rows are quarantined", (0, 100)),
        (GOOD[:17], [FULL], (), "BLOCK", "row count 17 is below 50", (17, 0)),
        (FAR, [FULL], (SLOW,), "QUARANTINE", "1 of 100 rows break near", (99, 1)),
        ([(1, "Ulm", None)], [], (SLOW,), "PASS", "", (1, 0)),
        (GOOD, [MISSING], (), "ERROR", "there is no column 'no_such_column'", (100, 0)),
        # a row that an invariant fails on is quarantined like a row that breaks it
        (GOOD, [FULL], (BROKEN,), "BLOCK", "100 of 100 rows are quarantined", (0, 100)),
        (GOOD, [FULL], (UNPLANNED,), "ERROR", "the check crashed: Binder", (100, 0)),
        # an error outweighs a block, and the other checks are judged all the same
        (GOOD[:17], [FULL], (UNPLANNED,), "ERROR", "the check crashed: Binder", (17, 0)),
        (FAR, [QUARANTINING], (UNPLANNED,), "ERROR", "the check crashed: Binder", (99, 1)),
        (FAR, [QUARANTINING, MISSING], (), "ERROR", "there is no column", (99, 1)),
    ],
)
def test_verdicts(trips, checks, invariants, verdict, reason, split) -> None:
    judgement = judge(suite(*checks), contract(*invariants), conformed(rows(*trips)))
    assert judgement.verdict == verdict
    assert (judgement.passing.num_rows, judgement.quarantined.num_rows) == split
    assert judgement.verdict.publishes is (verdict in {"PASS", "WARN", "QUARANTINE"})
    if reason:
        assert reason in judgement.failed[0].reason
    else:
        assert judgement.failed == ()


def test_a_crashed_check_leaves_the_others_alone() -> None:
    judgement = judge(suite(QUARANTINING, FULL), contract(UNPLANNED, SLOW), conformed(rows(*FAR)))
    status = {result.id: result.status for result in judgement.results}
    assert status == {
        "invariant:unplanned": "error",
        "invariant:near": "fail",
        "miles": "fail",
        "full": "pass",
    }
    assert judgement.quarantined["_reasons"].to_pylist() == [["invariant:near", "miles"]]


def test_a_broken_contract_blocks_and_nothing_else_is_judged() -> None:
    violations = (
        Violation("miles", 7, "a decimal number (mile)", "'12,5'"),
        Violation("miles", 9, "a decimal number (mile)", "'13,5'"),
        Violation("", 12, "4 fields", "3 fields"),
    )
    judgement = judge(suite(FULL, MISSING), contract(), conformed(None, violations=violations))
    assert judgement.verdict is Verdict.BLOCK
    assert [result.id for result in judgement.results] == ["contract:miles", "contract:rows"]
    first = judgement.results[0]
    assert first.reason == (
        "field 'miles', line 7: expected a decimal number (mile), got '12,5', and 1 more"
    )
    assert first.sample[1] == {
        "line": 9,
        "field": "miles",
        "expected": "a decimal number (mile)",
        "got": "'13,5'",
    }
    assert judgement.violation_count == 3
    assert judgement.passing.schema.names == contract().arrow_schema().names
    assert judgement.passing.num_rows == judgement.quarantined.num_rows == 0


def test_rows_that_the_contract_rejects_are_quarantined_with_its_rule() -> None:
    bad = (
        RowProblem(4, "max_abs", "miles is 1e9, more than 12500", "miles"),
        RowProblem(4, "required", "town is null", "town"),
        RowProblem(6, "required", "town is null", "town"),
    )
    batch = conformed(rows(*GOOD), bad_rows=bad)
    judgement = judge(suite(max_quarantined_share=0.05), contract(), batch)
    assert judgement.verdict is Verdict.QUARANTINE
    assert judgement.quarantined.select(["_line", "_reasons"]).to_pylist() == [
        {"_line": 4, "_reasons": ["contract:max_abs", "contract:required"]},
        {"_line": 6, "_reasons": ["contract:required"]},
    ]
    assert judgement.results[1].reason == "line 4: town is null, and 1 more"
    assert judgement.results[1].sample[0]["key"] == {"id": 2}


def test_a_warning_of_the_contract_warns() -> None:
    batch = conformed(rows(*GOOD), warnings=("3 rows are known before they happen",))
    judgement = judge(suite(FULL), contract(), batch)
    assert judgement.verdict is Verdict.WARN
    assert "3 rows are known before they happen" in judgement.summary()


def test_samples_show_the_key_and_the_values_of_failing_rows() -> None:
    trips = [*GOOD[:99], (99, "Ulm", math.inf)]
    result = judge(suite(BLOCKING), contract(), conformed(rows(*trips))).failed[0]
    assert result.sample == ({"line": 101, "key": {"id": 99}, "values": {"miles": "inf"}},)
    many = judge(suite(BLOCKING), contract(), conformed(rows(*ALL_FAR))).failed[0]
    assert (len(many.sample), many.unexpected_count) == (20, 100)


def test_what_is_no_number_is_within_no_limits() -> None:
    """Of infinite values there is no standard deviation: that passes no check."""
    batch = conformed(rows((1, "Ulm", math.inf), (2, "Ulm", 1.0)))
    deviation = expect("column_stdev_to_be_between", column="miles", max_value=1)
    judgement = judge(suite(deviation), contract(), batch)
    assert judgement.verdict is Verdict.BLOCK
    assert "is not a number: there are infinite values" in judgement.summary()


def test_a_quarantined_share_names_the_checks_that_quarantined_most_rows() -> None:
    checks = [
        expect("column_values_to_be_between", meta={"id": name, "action": "quarantine"},
               column="miles", max_value=limit)
        for name, limit in (("under_90", 90), ("under_40", 40), ("under_60", 60), ("under_80", 80))
    ]  # fmt: skip
    batch = conformed(rows(*((n, "Ulm", float(n)) for n in range(100))))
    reason = judge(suite(*checks), contract(), batch).summary()
    assert ": 59 by check under_40 (column miles); 39 by check under_60 (column miles);" in reason
    assert "; others by 1 more check" in reason


def test_a_judgement_reads_back_from_json() -> None:
    batch = conformed(rows(*FAR), bad_rows=(RowProblem(4, "required", "town is null", "town"),))
    infinite = rows((1, "Ulm", math.inf))
    mean = expect("column_mean_to_be_between", column="miles", max_value=1)
    for judgement in (
        judge(suite(mean, BLOCKING), contract(), conformed(infinite)),
        judge(suite(QUARANTINING, FULL, MISSING), contract(SLOW, BROKEN), batch),
        judge(suite(), contract(), conformed(None, violations=(Violation("id", None, "a", "b"),))),
    ):
        text = judgement.to_json()
        assert Judgement.from_json(text) == judgement
        assert Judgement.from_json(text).to_json() == text


def test_what_a_person_reads() -> None:
    judgement = judge(suite(QUARANTINING, FULL), contract(), conformed(rows(*FAR[50:])))
    assert judgement.summary() == (
        "BLOCK: 1 of 50 rows are quarantined, more than a share of 0.01:"
        " 1 by check miles (column miles) (and 1 more of 3 checks on 50 rows)"
    )
    assert judgement.markdown().splitlines() == [
        "**BLOCK** 50 rows, 1 quarantined",
        "",
        "| check | result | why |",
        "|---|---|---|",
        (
            "| quarantined_share | BLOCK | 1 of 50 rows are quarantined, more than a share of 0.01:"
            " 1 by check miles (column miles) |"
        ),
        "| miles | QUARANTINE | 1 of 50 values of miles are not between 0 and 1000 |",
        "",
        "1 of 3 checks passed.",
    ]
    assert judge(suite(FULL), contract(), conformed(rows(*GOOD))).summary() == (
        "PASS: 1 check on 100 rows passed"
    )


def _quarantine(name: str) -> dict[str, str]:
    return {"id": name, "action": "quarantine"}


trips = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.sampled_from(["Ulm", "Köln", "", None]),
        st.none() | st.floats(-10, 2000) | st.just(math.nan),
    ),
    max_size=40,
)
checks = st.lists(
    st.sampled_from(
        [
            QUARANTINING,
            expect(
                "column_values_to_not_be_null",
                meta={"id": "town", "action": "quarantine"},
                column="town",
            ),
            expect(
                "column_values_to_be_unique",
                meta={"id": "one", "action": "quarantine"},
                column="id",
            ),
            expect(
                "column_values_to_be_in_set",
                meta={"id": "near", "action": "quarantine"},
                column="town",
                value_set=["Ulm"],
                mostly=0.5,
            ),
            FULL,
            MISSING,
        ]
    ),
    unique_by=lambda e: e["meta"]["id"],
)
problems = st.sets(st.integers(2, 41), max_size=3)
invariants = st.lists(st.sampled_from([SLOW, BROKEN]), unique=True)


@settings(max_examples=examples(150), deadline=None)
@for_all(trips, checks, problems, invariants, st.sampled_from([0.0, 0.2, 1.0]))
def test_no_row_is_lost_or_doubled(trips, checks, lines, invariants, share) -> None:
    table = rows(*trips)
    there = [line for line in sorted(lines) if line < 2 + len(trips)]
    bad = tuple(RowProblem(line, "required", "town is null", "town") for line in there)
    judgement = judge(
        suite(*checks, max_quarantined_share=share),
        contract(*invariants),
        conformed(table, bad_rows=bad),
    )
    passing, quarantined = judgement.passing, judgement.quarantined
    lines_out = passing["_line"].to_pylist() + quarantined["_line"].to_pylist()
    assert sorted(lines_out) == table["_line"].to_pylist()
    assert passing["_line"].to_pylist() == sorted(passing["_line"].to_pylist())
    whole = pa.concat_tables([passing, quarantined.drop_columns("_reasons")])
    assert str(whole.sort_by("_line").to_pylist()) == str(table.to_pylist())
    assert all(quarantined["_reasons"].to_pylist())
    counted = {r.id: r.unexpected_count for r in judgement.results if r.status == "fail"}
    for reason in {r for reasons in quarantined["_reasons"].to_pylist() for r in reasons}:
        held = sum(reason in reasons for reasons in quarantined["_reasons"].to_pylist())
        assert held == counted[reason]
    if quarantined.num_rows > share * table.num_rows:
        assert not judgement.verdict.publishes
    if any(result.status == "error" for result in judgement.results):
        assert judgement.verdict is Verdict.ERROR
