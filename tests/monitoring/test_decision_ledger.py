"""Every decision once, in order, for good, whatever kills the writer."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from headrace.errors import StateError
from headrace.home import Home
from headrace.monitoring import Decision, DecisionLedger, Entry, Evidence, Window


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


def test_the_same_decision_twice_is_one(ledger):
    ledger.append([entry(1)])
    other = replace(entry(1), decision=Decision("watch", ("Changed its mind.",)), recorded_at=9)
    assert ledger.append([entry(1), other, entry(2)]) == 1
    assert [one.cursor for one in ledger.entries("p")] == [1, 2]
    assert ledger.entries("p")[0].decision.action == "retrain"


def test_new_evidence_about_a_window_is_a_new_entry(ledger):
    later = replace(entry(1), evidence=(), decision=Decision("none", ("Repaired.",)))
    assert ledger.append([entry(1), later]) == 2


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
        "{hash}, 'none', {trigger}, reasons, evidence, policy_hash, 0 FROM decisions "
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


WRITER = """
import sys
from pathlib import Path
from headrace.home import Home
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
