"""Judging with a second process beside: the same rows, whatever becomes of it."""

import os
import signal
import time
from dataclasses import replace

import pytest

import headrace.lake.ingest.validator_pool as judges
from headrace.contracts import load_contract
from headrace.core.clock import days
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ingest.validator import BatchValidator, table_rule
from headrace.lake.ingest.validator_pool import Judges
from headrace.lake.ledger.batch_listing import batch_rows
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from tests.lake.kit import CONTRACT, ROWS, SLOTS, Meter, balanced

VALUES = [[1, 2, 3], [4, 5000, 6], [7, -1], [], [8, "x"]]  # passes, quarantines, blocks, broken


@pytest.fixture
def helper(monkeypatch):
    helper = judges.Helper()
    monkeypatch.setattr(judges, "WORTH_IT", 1)
    monkeypatch.setattr(judges, "_cores", lambda: 2)
    monkeypatch.setattr(judges, "_HELPER", helper)
    yield helper
    helper.stop()


@pytest.fixture
def unhurried(monkeypatch):
    """This process takes its time, so that the helper gets its share on a busy machine too."""
    judge = BatchValidator.judge

    def slowly(desk, delivery):
        time.sleep(0.05)
        return judge(desk, delivery)

    monkeypatch.setattr(BatchValidator, "judge", slowly)


@pytest.fixture
def desk(meter):
    table = meter.table
    return BatchValidator(table.contract, table.suite, table_rule(table), meter.home)


def write(work):
    work()


def deliveries(meter, days=SLOTS):
    for number, slot in enumerate(days):
        meter.drop(slot, VALUES[number % len(VALUES)])
    return [d for slot in days for d in meter.table.source.deliveries(slot)]


def judged(desk, given, expected=100):
    """Rows in the order of `given`; the helper is there before the first is judged."""
    with Judges(desk, write, expected) as crew:
        crew.wait()
        found = dict(crew.judge(given))
    assert sorted(found) == list(range(len(given)))
    return [replace(found[place].row, judged_at=0) for place in range(len(given))]


def spied(monkeypatch, helper, before=lambda: None):
    """What the helper answered."""
    answers, ask = [], helper.judge

    def judge(desk, delivery):
        before()
        answers.append(ask(desk, delivery))
        return answers[-1]

    monkeypatch.setattr(helper, "judge", judge)
    return answers


@pytest.mark.usefixtures("unhurried")
def test_rows_are_the_same_whoever_judges(meter, desk, helper, monkeypatch):
    given = deliveries(meter) * 3
    answers = spied(monkeypatch, helper)
    rows = judged(desk, given)
    assert len([answer for answer in answers if answer is not None]) > 1
    assert rows == [replace(desk.judge(delivery).row, judged_at=0) for delivery in given]
    assert {row.verdict for row in rows} == {"PASS", "QUARANTINE", "BLOCK"}


@pytest.mark.usefixtures("unhurried")
def test_what_a_killed_helper_had_in_hand_is_judged_here(meter, desk, helper, monkeypatch):
    given = deliveries(meter) * 3
    answers = spied(monkeypatch, helper, lambda: len(answers) == 2 and kill(helper))
    rows = judged(desk, given)
    assert answers[-1] is None
    assert rows == [replace(desk.judge(delivery).row, judged_at=0) for delivery in given]
    again = spied(monkeypatch, helper)  # another one is started by the next who need one
    judged(desk, given)
    assert None not in again


def kill(helper):
    os.kill(helper._process.pid, signal.SIGKILL)
    helper._process.wait()


@pytest.mark.parametrize("interpreter", ["/no/such/python", "/bin/false"])
def test_without_an_interpreter_all_is_judged_here(meter, desk, helper, monkeypatch, interpreter):
    monkeypatch.setattr(judges.sys, "executable", interpreter)
    answers = spied(monkeypatch, helper)
    assert len(judged(desk, deliveries(meter))) == len(SLOTS)
    assert answers == []


def test_few_deliveries_are_judged_here(meter, desk, helper, monkeypatch):
    monkeypatch.setattr(judges, "WORTH_IT", 64)
    answers = spied(monkeypatch, helper)
    judged(desk, deliveries(meter), expected=63)
    assert answers == []
    assert helper._process is None


def test_two_at_once_do_not_share_the_helper(meter, desk, helper):
    with Judges(desk, write, 100) as first, Judges(desk, write, 100) as second:
        assert first.wait()
        assert not second.wait()
    with Judges(desk, write, 100) as third:
        assert third.wait()


def test_a_run_with_help_publishes_every_slot(meter, helper):
    meter.drop_all()
    seen = []
    results = ingest(meter.table, SLOTS, meter.home, on_slot=seen.append)
    assert [(r.slot, r.state, r.published) for r in results] == [
        (slot, "published", ROWS) for slot in SLOTS
    ]
    assert [progress.finished for progress in seen] == list(range(1, len(SLOTS) + 1))
    assert balanced(table_status(meter.home, meter.table))
    with Ledger(meter.home) as ledger:
        assert len(ledger.judgements("meter")) == len(SLOTS)


MANY = days("2024-01-01", "2024-03-05")  # 65: enough for a second process
TWICE = MANY[:16]  # judged together, and first


def contradicted(root):
    """A meter of many days; of some a second delivery has another value on line 4."""
    meter = Meter(root)
    path = root / "meter.yaml"
    path.write_text(CONTRACT.replace("2024-01-12", MANY[-1]))
    meter.table = replace(meter.table, contract=load_contract(path))
    for number, slot in enumerate(MANY):
        for arrived, values in enumerate([[1, 2, 3], [1, 2, 30]][: 1 + (slot in TWICE)]):
            rows = [
                f"{number * 1000 + n},{value},{slot}T00:0{n}:00Z" for n, value in enumerate(values)
            ]
            file = meter.folder / f"meter_{slot}_{arrived}.csv"
            file.write_text("\n".join(["id,value,read_at", *rows, ""]))
            os.utime(file, (1_700_000_000 + arrived,) * 2)
    return meter


@pytest.mark.usefixtures("unhurried")
def test_rows_in_conflict_are_held_whoever_judged_them(meter, helper, monkeypatch):
    class Waiting(Judges):
        def judge(self, deliveries):
            self.wait()
            return super().judge(deliveries)

    monkeypatch.setattr("headrace.lake.ingest.protocol.Judges", Waiting)
    monkeypatch.setattr(judges, "WORTH_IT", 64)
    answers = spied(monkeypatch, helper)
    meter = contradicted(meter.root)
    ingest(meter.table, MANY, meter.home)
    batches = batch_rows(meter.home, meter.table)
    held = {row["batch"]: row["verdict"] for row in batches if row["conflicts"]}
    assert list(held.values()) == ["QUARANTINE"] * len(TWICE)
    assert held.keys() & {answer.row.batch_id for answer in answers if answer is not None}
    values = Lake(meter.home).scan("meter", ["value"])["value"].to_pylist()
    assert (values.count(3), values.count(30)) == (len(MANY), 0)
    assert balanced(table_status(meter.home, meter.table))
