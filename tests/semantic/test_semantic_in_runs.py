"""Detection in real runs: what it says is a verdict, kept, explained, and of no hurry."""

import csv
import io
import json
import time

import pyarrow as pa
import pytest

from headrace.core.clock import parse_iso
from headrace.core.home import Home
from headrace.core.permissions import Grant, PermissionPolicy
from headrace.gates import parse_suite
from headrace.gates.verdict import Judgement
from headrace.lake.ingest import protocol as ingesting
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ingest.validator import BatchValidator
from headrace.lake.ledger.batch_listing import find_batches
from headrace.lake.ledger.conservation import table_status
from headrace.lake.overrides.audit_trail import ACTIONS
from headrace.lake.profiles import load_profile
from headrace.lake.table import Table
from headrace.operations import batch_actions
from headrace.sources.files import DropFolder
from headrace.verification.injected_faults import faults_of
from tests.semantic import rides

DAYS = 16
FAULT = "unit: miles in kilometre"
ALL = PermissionPolicy({"ann": Grant(frozenset(ACTIONS))})


def suite(**semantic: str):
    return parse_suite(
        {
            "name": "rides",
            "meta": {"table": "rides", **({"semantic": semantic} if semantic else {})},
            "expectations": [],
        }
    )


def as_csv(rows: pa.Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.column_names)
    writer.writerows(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    return text.getvalue()


@pytest.fixture
def firm(tmp_path):
    """Sixteen clean days, and one in kilometres."""
    drop = tmp_path / "drop"
    drop.mkdir()
    for day in range(DAYS):
        (drop / f"rides_{rides.slot(day)}.csv").write_text(as_csv(rides.rides(day).table))
    planted = next(f for f in faults_of(rides.contract()) if f.label == FAULT)
    rows = planted.plant(rides.day(DAYS))
    (drop / f"rides_{rides.slot(DAYS)}.csv").write_text(as_csv(rows.table))
    source = DropFolder("rides", drop, "rides_{slot}*.csv", "dispatch")
    return Home(tmp_path / "home"), Table("rides", source, rides.contract(), suite()), drop


SLOTS = [rides.slot(day) for day in range(DAYS + 1)]


def test_a_changed_unit_is_blocked_by_name_and_the_days_before_are_not(firm):
    home, table, _ = firm
    results = ingest(table, SLOTS, home)
    assert [r.verdict for r in results] == ["PASS"] * DAYS + ["BLOCK"]
    (row,) = find_batches(home, table, SLOTS[-1])
    (found,) = [r for r in row["judgement"]["results"] if r["kind"] == "semantic"]
    assert found["id"] == "semantic:unit_change:miles"
    assert found["evidence"]["to"] == "kilometre"
    assert "kilometre instead of mile" in results[-1].reasons[0]
    status = table_status(home, table)
    assert status["published"] == DAYS * rides.ROWS
    assert status["pending"] == rides.ROWS


def test_one_day_after_another_is_as_good_as_all_at_once(firm):
    home, table, _ = firm
    singly = [ingest(table, [slot], home)[0].verdict for slot in SLOTS]
    assert singly == ["PASS"] * DAYS + ["BLOCK"]


def test_a_day_that_comes_late_is_held_against_the_days_before_it(firm):
    home, table, _ = firm
    late = SLOTS.pop(3)
    try:
        ingest(table, SLOTS, home)
        assert ingest(table, [late], home)[0].verdict == "PASS"
    finally:
        SLOTS.insert(3, late)


def test_running_again_changes_nothing_and_keeps_the_profiles(firm):
    home, table, _ = firm
    first = ingest(table, SLOTS, home)
    kept = {b: load_profile(home, "rides", b) for r in first for b in r.batches}
    assert all(profile is not None for profile in kept.values())
    again = ingest(table, SLOTS, home)
    assert [r.verdict for r in again] == [r.verdict for r in first]
    assert not any(r.changed for r in again)


def test_a_run_that_dies_before_the_verdict_is_recorded_is_made_good(firm, monkeypatch):
    home, table, _ = firm

    def die(*_args, **_named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ingesting.Ledger, "judge", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(table, SLOTS, home)
    assert [r.verdict for r in ingest(table, SLOTS, home)] == ["PASS"] * DAYS + ["BLOCK"]


def test_a_corrected_file_supersedes_the_blocked_one_and_is_not_called_stale(firm):
    home, table, drop = firm
    ingest(table, SLOTS, home)
    (drop / f"rides_{SLOTS[-1]}_corrected.csv").write_text(as_csv(rides.rides(DAYS).table))
    assert ingest(table, [SLOTS[-1]], home)[0].verdict == "PASS"
    assert table_status(home, table)["pending"] == 0


def test_what_is_released_is_usual_from_then_on(firm):
    """A release says that the batch is right: later ones like it are no surprise any more."""
    home, table, drop = firm
    ingest(table, SLOTS, home)
    batch_actions.release(
        home, table, SLOTS[-1], principal="ann", reason="they moved to km", policy=ALL
    )
    planted = next(f for f in faults_of(rides.contract()) if f.label == FAULT)
    later = rides.slot(DAYS + 1)
    rows = planted.plant(rides.day(DAYS + 1)).table
    (drop / f"rides_{later}.csv").write_text(as_csv(rows))
    assert ingest(table, [later], home)[0].verdict == "PASS"


def test_a_muted_finding_is_told_and_decides_nothing(firm):
    home, table, _ = firm
    ingest(table, SLOTS[:-1], home)
    until = parse_iso("2099-01-01")
    batch_actions.mute(
        home, table, ["semantic:unit_change:miles"], principal="ann", reason="known", expires=until,
        policy=ALL,
    )  # fmt: skip
    assert ingest(table, SLOTS[-1:], home)[0].verdict == "PASS"
    (row,) = find_batches(home, table, SLOTS[-1])
    assert [r["shadow"] for r in row["judgement"]["results"]] == [True]


@pytest.mark.parametrize(
    ("action", "verdict"), [("warn", "WARN"), ("note", "PASS"), ("off", "PASS")]
)
def test_the_suite_says_what_a_kind_of_change_does(firm, action, verdict):
    home, table, _ = firm
    table = Table("rides", table.source, table.contract, suite(unit_change=action))
    assert ingest(table, SLOTS, home)[-1].verdict == verdict
    told = find_batches(home, table, SLOTS[-1])[0]["judgement"]["results"]
    assert bool(told) == (action != "off")


@pytest.mark.parametrize("part", ["examine", "glance_at"])
def test_detection_that_fails_says_so_and_holds_nothing_back(firm, monkeypatch, part):
    home, table, _ = firm

    def crash(*_args):
        raise ZeroDivisionError("no")

    monkeypatch.setattr(f"headrace.lake.ingest.validator.{part}", crash)
    result = ingest(table, SLOTS[:1], home)[0]
    assert (result.verdict, result.published) == ("PASS", rides.ROWS)
    (batch,) = find_batches(home, table, SLOTS[0])
    judged = Judgement.from_json(json.dumps(batch["judgement"]))
    assert [note.action for note in judged.notes] == ["note"]
    assert "the detection of changed meaning failed: ZeroDivisionError: no" in judged.markdown()
    assert judged.counted == ()


def test_verdicts_are_the_same_with_a_second_process(firm, monkeypatch):
    home, table, _ = firm
    monkeypatch.setattr("headrace.lake.ingest.validator_pool.WORTH_IT", 1)
    monkeypatch.setattr("headrace.lake.ingest.validator_pool._cores", lambda: 2)
    judged = BatchValidator.judge

    def slowly(desk, delivery):
        time.sleep(0.05)
        return judged(desk, delivery)

    monkeypatch.setattr(BatchValidator, "judge", slowly)
    assert [r.verdict for r in ingest(table, SLOTS, home)] == ["PASS"] * DAYS + ["BLOCK"]


def test_the_evidence_is_json(firm):
    home, table, _ = firm
    ingest(table, SLOTS, home)
    (row,) = find_batches(home, table, SLOTS[-1])
    assert json.loads(json.dumps(row["judgement"])) == row["judgement"]
