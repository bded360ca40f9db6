"""What cannot be run is an ERROR with its cause: no pass, no bad data, no fault of others."""

import pickle
import re

import pytest
import yaml
from gate_batches import conformed, contract, expect, rows, suite

from headrace.core.errors import DeclarationError
from headrace.gates import Judgement, Suite, Verdict, judge, load_suite, read_suite
from headrace.gates.event_gate import row_suite
from headrace.gates.lint import lint, unread
from headrace.gates.muted_checks import Mutes

GOOD = expect("column_values_to_not_be_null", meta={"id": "town"}, column="town")
TRIPS = [(number, "Ulm", 1.0) for number in range(5)]
FAULTS = {
    "unknown type": (expect("miracles"), "unknown expectation type 'expect_miracles'"),
    "needs a database": (
        {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "SELECT 1"}},
        "unexpected_rows_expectation cannot be used in a gate",
    ),
    "unknown kwarg": (
        expect("column_values_to_not_be_null", column="town", colour="red"),
        "unknown kwarg colour",
    ),
    "missing column": (expect("column_mean_to_be_between", column="mile"), "no column 'mile'"),
    "wrong type": (expect("column_mean_to_be_between", column="town", min_value=0), "is a string"),
    "no mapping": ("nonsense", "expected a mapping, got 'nonsense'"),
    "no limits": (
        expect("column_values_to_be_between", column="miles"),
        "neither min_value nor max_value",
    ),
    "kwargs that break the builder": (
        expect("table_columns_to_match_set", column_set=7),
        "TypeError",
    ),
    "twice the same id": (GOOD, "more than one expectation is called 'town'"),
}


def write(path, *expectations, **meta):
    document = {
        "name": "yard.trips",
        "meta": {"table": "trips", **meta},
        "expectations": list(expectations),
    }
    path.write_text(yaml.safe_dump(document))
    return path


def answer(one: Suite) -> Judgement:
    return judge(one, contract(), conformed(rows(*TRIPS)))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_one_check_is_an_error_and_the_others_are_judged(tmp_path, name) -> None:
    wrong, cause = FAULTS[name]
    path = write(tmp_path / "trips.yaml", GOOD, wrong)
    for one in (load_suite(path), load_suite(path, contract())):
        judged = answer(one)
        assert judged.verdict is Verdict.ERROR
        assert [r.status for r in judged.results] == ["pass", "error"]
        assert cause in judged.results[1].reason
        assert judged.results[1].unexpected_count is None  # nothing is said of the data
        assert judged.quarantined_count == 0
        assert Judgement.from_json(judged.to_json()) == judged
        assert pickle.loads(pickle.dumps(one)) == one  # as it is for another process
    assert load_suite(path, contract()).broken
    with pytest.raises(DeclarationError, match=re.escape(cause)) as refused:
        read_suite(path, contract())
    assert str(path) in refused.value.where
    assert refused.value.fix


SUITE_FAULTS = {
    "not there": (None, "cannot read it"),
    "no YAML": ("name: [", "not valid YAML"),
    "no name": ("meta: {table: trips}", "the suite has no 'name'"),
    "unknown key": ("name: a\nmeta: {table: trips, tabel: x}", "unknown key tabel"),
    "no list": (
        "name: a\nmeta: {table: trips}\nexpectations: {a: 1}",
        "expectations is not a list",
    ),
    "another table": ("name: a\nmeta: {table: rides}", "the suite is for table 'rides'"),
    "not text": (b"\xff\xfe\x00", "not valid YAML"),
}


@pytest.mark.parametrize("name", SUITE_FAULTS)
def test_a_suite_that_cannot_be_read_lets_nothing_pass(tmp_path, name) -> None:
    content, cause = SUITE_FAULTS[name]
    path = tmp_path / "trips.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    one = load_suite(path, contract())
    judged = answer(one)
    assert judged.verdict is Verdict.ERROR
    assert cause in judged.summary()
    assert str(path) in judged.summary()
    assert one.broken
    assert row_suite(one).fault == one.fault
    with pytest.raises(DeclarationError, match=re.escape(cause)):
        read_suite(path, contract())


def test_a_broken_check_in_shadow_stops_nothing_and_is_told(tmp_path) -> None:
    wrong = {**expect("miracles"), "meta": {"id": "new", "shadow": True}}
    one = load_suite(write(tmp_path / "trips.yaml", GOOD, wrong), contract())
    judged = answer(one)
    assert judged.verdict is Verdict.PASS
    assert [(r.id, r.status) for r in judged.shadowed] == [("new", "error")]
    assert not one.broken
    assert one.faults


def test_a_mended_suite_has_the_hash_it_had_before(tmp_path) -> None:
    path = write(tmp_path / "trips.yaml", GOOD)
    before = load_suite(path, contract())
    write(path, GOOD, expect("miracles"))
    broken = load_suite(path, contract())
    write(path, GOOD)
    assert load_suite(path, contract()).hash == before.hash != broken.hash
    assert before.hash == suite(GOOD).hash


def test_lint_names_every_fault(tmp_path) -> None:
    path = write(
        tmp_path / "trips.yaml",
        {**GOOD, "meta": {"id": "by", "by": "at"}},
        {**GOOD, "meta": {"id": "shadow", "shadow": True}},
        expect("column_values_to_be_json_parseable", column="town"),
        *(wrong for wrong, _ in FAULTS.values()),
    )
    told = lint(load_suite(path), contract())
    assert (told["checks"], told["shadow"], told["asked"]) == (len(FAULTS) + 3, 1, 1)
    # The last one is not called like another here; slices by a moment are a fault.
    assert len(told["faults"]) == len(FAULTS)
    assert "'at' is a timestamp" in told["faults"][0]["what"]
    assert all(fault["where"].startswith(str(path)) for fault in told["faults"])
    (tmp_path / "stray.yaml").touch()
    assert unread(tmp_path, [load_suite(path)]) == [str(tmp_path / "stray.yaml")]


def test_a_muted_check_that_cannot_be_run_is_still_an_error(tmp_path) -> None:
    """A mute is about what a check finds; one that finds nothing lets nothing pass."""
    one = load_suite(write(tmp_path / "trips.yaml", GOOD, expect("miracles", meta={"id": "new"})))
    mutes = Mutes({"new": "muted until 2014 by ana: too loud", "town": "muted, too"})
    judged = mutes.of(answer(mutes.suite(one)))
    assert judged.verdict is Verdict.ERROR
    assert [(r.id, r.shadow) for r in judged.results] == [("town", True), ("new", False)]
