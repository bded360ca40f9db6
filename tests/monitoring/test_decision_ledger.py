"""Every decision once, in order, for good, whatever kills the writer."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pytest

from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.monitoring import (
    Acceptance,
    Ack,
    Decision,
    DecisionLedger,
    Entry,
    Evidence,
    Step,
    Window,
)
from headrace.monitoring.decisions.ledger import newest_entries


def entry(n, action="retrain", pipeline="p"):
    window = Window(n * 7, n * 7 + 7)
    evidence = (Evidence("concept", window, "ranking", n + 0.5, 0.1, "alarm", "Moved."),)
    return Entry(
        pipeline, window, Decision(action, ("Why.",), f"{pipeline}-{n}"), evidence, "ph", n
    )


@pytest.fixture
def ledger(tmp_path):
    return DecisionLedger(Home(tmp_path / "home"))


def test_entries_read_back_as_they_were_written(ledger):
    first = entry(1)
    quiet = replace(entry(2), decision=Decision("none", ("Nothing.",)))
    assert ledger.append([first, quiet]) == 2
    assert ledger.entries("p") == [replace(first, cursor=1), replace(quiet, cursor=2)]


def test_reading_what_is_not_there_makes_no_file(ledger):
    assert (ledger.entries("p"), ledger.steps("p"), ledger.acks("p")) == ([], [], [])
    assert (ledger.acceptances("p"), ledger.entry_of("t")) == ([], None)
    assert not ledger.path.exists()
    other = DecisionLedger(Home(ledger.path.parent))
    other.append([entry(1)])
    assert len(ledger.entries("p")) == 1  # made meanwhile, by another


def test_the_same_decision_twice_is_one(ledger):
    ledger.append([entry(1)])
    other = replace(entry(1), decision=Decision("watch", ("Changed its mind.",)), recorded_at=9)
    assert ledger.append([entry(1), other, entry(2)]) == 1
    assert [one.cursor for one in ledger.entries("p")] == [1, 2]
    assert ledger.entries("p")[0].decision.action == "retrain"


def test_new_evidence_about_a_window_is_a_new_entry(ledger):
    later = replace(entry(1), evidence=(), decision=Decision("none", ("Repaired.",)))
    assert ledger.append([entry(1), later]) == 2


def test_evidence_that_comes_again_stands_again(ledger):
    """A correction mends a window, and is recalled: what stands is the fault of before."""
    repaired = replace(entry(1), evidence=(), decision=Decision("none", ("Repaired.",)))
    for given, new in ((entry(1), 1), (repaired, 1), (entry(1), 0), (entry(1), 0)):
        assert ledger.append([given, entry(2)]) == new + (given == entry(1) and new)
        assert newest_entries(ledger.entries("p"))[14].evidence == given.evidence
    assert [one.cursor for one in ledger.entries("p")] == [1, 2, 3]
    assert list(newest_entries(ledger.entries("p"))) == [14, 21]


def test_rows_after_a_cursor_of_one_pipeline_or_all(ledger):
    ledger.append([entry(n, pipeline="pq"[n % 2]) for n in range(6)])
    assert [one.cursor for one in ledger.rows_after(2)] == [3, 4, 5, 6]
    assert [one.cursor for one in ledger.rows_after(2, "q")] == [4, 6]
    assert [one.cursor for one in ledger.rows_after(2, limit=1)] == [3]
    assert ledger.rows_after(6) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET action = 'none'",
        "DELETE FROM decisions",
        "DELETE FROM decisions WHERE cursor = 1",
    ],
)
def test_nothing_can_be_changed_or_deleted(ledger, statement):
    ledger.append([entry(1)])
    with (
        sqlite3.connect(ledger.path) as db,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        db.execute(statement)
    db.close()


def test_nothing_can_be_replaced(ledger):
    ledger.append([entry(1), entry(2)])
    before = ledger.entries("p")
    copy = (
        "INSERT OR REPLACE INTO decisions SELECT {cursor}, pipeline, window_first, window_end, "
        "{hash}, 'none', {trigger}, reasons, evidence, policy_hash, 0, NULL FROM decisions "
        "WHERE cursor = 1"
    )
    same_key = copy.format(cursor="NULL", hash="evidence_hash", trigger="NULL")
    same_cursor = copy.format(cursor="2", hash="'x'", trigger="NULL")
    same_trigger = copy.format(cursor="NULL", hash="'y'", trigger="trigger_id")
    with sqlite3.connect(ledger.path) as db:
        for statement in (same_key, same_cursor, same_trigger):
            db.execute(statement)
    db.close()
    assert ledger.entries("p") == before


def test_a_ledger_of_a_newer_format_is_refused(ledger, tmp_path):
    with sqlite3.connect(ledger.path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(StateError, match="format 9"):
        DecisionLedger(Home(tmp_path / "home"))


FORMAT_1 = """
CREATE TABLE decisions (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT, pipeline TEXT NOT NULL,
    window_first INTEGER NOT NULL, window_end INTEGER NOT NULL, evidence_hash TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('none', 'watch', 'retrain', 'investigate')),
    trigger_id TEXT UNIQUE, reasons TEXT NOT NULL, evidence TEXT NOT NULL,
    policy_hash TEXT NOT NULL, recorded_at INTEGER NOT NULL,
    UNIQUE (pipeline, window_end, evidence_hash)
);
CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_remain BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_once BEFORE INSERT ON decisions
WHEN EXISTS (
    SELECT 1 FROM decisions d WHERE d.cursor = NEW.cursor OR d.trigger_id = NEW.trigger_id OR (
        d.pipeline = NEW.pipeline AND d.window_end = NEW.window_end
        AND d.evidence_hash = NEW.evidence_hash
    )
)
BEGIN SELECT RAISE(IGNORE); END;
INSERT INTO decisions VALUES (1, 'p', 7, 14, 'x', 'retrain', 'p-1', '["Why."]',
  '[{"kind":"concept","window":[7,14],"subject":"ranking","statistic":1.5,"threshold":0.1,'
  || '"severity":"alarm","sentence":"Moved."}]', 'ph', 1);
PRAGMA user_version = 1;
"""


def test_a_ledger_of_format_1_is_brought_up_to_date(tmp_path):
    home = Home(tmp_path)
    with closing(sqlite3.connect(tmp_path / "decisions.sqlite")) as db:
        db.executescript(FORMAT_1)
    ledger = DecisionLedger(home)
    assert ledger.entries("p") == [replace(entry(1), cursor=1)]
    assert ledger.entries("p")[0].attribution is None
    later = replace(entry(2), attribution={"cause": "concept", "columns": ["x"]})
    assert ledger.append([entry(1), later]) == 1
    assert ledger.record_step("p", "p-1", "started", {}, 5)
    assert DecisionLedger(home).entries("p")[-1] == replace(later, cursor=2)
    assert ledger.entries("p")[0].stood == 1
    assert DecisionLedger(home).steps("p") == [Step("p", "p-1", "started", {}, 5, 1)]


def test_each_step_of_a_retraining_is_on_record_once(ledger):
    assert ledger.record_step("p", "a", "started", {"why": "concept"}, 5)
    assert not ledger.record_step("p", "a", "started", {"why": "another"}, 9)
    assert ledger.record_step("p", "a", "released", {"dataset": "d@1.1.0"}, 6)
    assert ledger.record_step("p", "b", "started", {}, 7)
    assert ledger.record_step("q", "c", "started", {}, 8)
    assert [(one.step, one.detail) for one in ledger.steps("p", "a")] == [
        ("started", {"why": "concept"}),
        ("released", {"dataset": "d@1.1.0"}),
    ]
    assert [one.trigger_id for one in ledger.steps("p")] == ["a", "a", "b"]
    with pytest.raises(ValueError, match="unknown step"):
        ledger.record_step("p", "a", "finished", {}, 9)


def test_the_decision_of_a_trigger_is_found(ledger):
    ledger.append([entry(1), entry(2)])
    assert ledger.entry_of("p-2") == replace(entry(2), cursor=2)
    assert ledger.entry_of("by-hand") is None


def test_attempts_are_counted_for_each_trigger(ledger):
    assert [ledger.begin_attempt("p", "a", n) for n in range(3)] == [1, 2, 3]
    assert ledger.begin_attempt("p", "b", 4) == 1


def test_an_acknowledgement_is_on_record_once(ledger):
    assert ledger.acknowledge("p", 14, "ana", "known strike", 5)
    assert not ledger.acknowledge("p", 14, "ana", "known strike", 6)
    assert ledger.acknowledge("p", 14, "ben", "known strike", 7)
    assert ledger.acks("p") == [
        Ack("p", 14, "ana", "known strike", 5, 1),
        Ack("p", 14, "ben", "known strike", 7, 2),
    ]


@pytest.mark.parametrize("table", ["steps", "attempts", "acks", "stood", "acceptances"])
def test_what_was_done_can_neither_be_changed_nor_deleted(ledger, table):
    ledger.append([entry(1)])
    ledger.record_step("p", "a", "started", {}, 5)
    ledger.begin_attempt("p", "a", 5)
    ledger.acknowledge("p", 14, "ana", "known strike", 5)
    ledger.accept(Acceptance("p", 14, "ana", "meant so", ("data_fault:x",), 5))
    for statement in (f"UPDATE {table} SET recorded_at = 0", f"DELETE FROM {table}"):
        with (
            closing(sqlite3.connect(ledger.path)) as db,
            pytest.raises(sqlite3.IntegrityError, match="append-only"),
        ):
            db.execute(statement)


WRITER = """
import sys
from pathlib import Path
from headrace.core.home import Home
from headrace.monitoring import DecisionLedger
from tests.monitoring.test_decision_ledger import entry
ledger = DecisionLedger(Home(Path(sys.argv[1])))
print("ready", flush=True)
for n in range(int(sys.argv[2])):
    ledger.append([entry(n)])
    print(n, flush=True)
"""


def test_exactly_once_under_sigkill(tmp_path):
    """Writers are killed at any moment and begin anew; a reader forwards what it finds between."""
    count, home = 120, tmp_path / "home"
    ledger = DecisionLedger(Home(home))
    forwarded, cursor, said = [], 0, set()
    for attempt in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(home), str(count)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert writer.stdout is not None
        writer.stdout.readline()
        if attempt < 11:
            time.sleep(0.01 * attempt)
            writer.send_signal(signal.SIGKILL)
        said |= {int(line) for line in writer.stdout.read().split("\n") if line.isdigit()}
        writer.stdout.close()
        writer.wait()
        for one in ledger.rows_after(cursor):
            forwarded.append(one.decision.trigger_id)
            cursor = one.cursor
        # what the writer was told is written, is
        assert {f"p-{n}" for n in said} <= set(forwarded)
    assert sorted(forwarded) == sorted(f"p-{n}" for n in range(count))
