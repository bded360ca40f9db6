"""The decision ledger: every decision once, in order, for good.

SQLite with write-ahead log and full sync: a decision that `append` returned from survives a power
cut. Its triggers refuse changes and deletions. The cursor only grows, in commit order, so a reader
that remembers the last cursor it handled misses nothing and sees nothing twice.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import StateError
from headrace.files import canonical_json
from headrace.home import Home
from headrace.monitoring.decide import Decision
from headrace.monitoring.evidence import Evidence, Window, evidence_hash

FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    window_first INTEGER NOT NULL,
    window_end INTEGER NOT NULL,
    evidence_hash TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('none', 'watch', 'retrain', 'investigate')),
    trigger_id TEXT UNIQUE,
    reasons TEXT NOT NULL,
    evidence TEXT NOT NULL,
    policy_hash TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    UNIQUE (pipeline, window_end, evidence_hash)
);
CREATE TRIGGER IF NOT EXISTS decisions_stay BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER IF NOT EXISTS decisions_remain BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
-- INSERT OR REPLACE deletes without the trigger above; here the second copy is simply not written
CREATE TRIGGER IF NOT EXISTS decisions_once BEFORE INSERT ON decisions
WHEN EXISTS (
    SELECT 1 FROM decisions d WHERE d.cursor = NEW.cursor OR d.trigger_id = NEW.trigger_id OR (
        d.pipeline = NEW.pipeline AND d.window_end = NEW.window_end
        AND d.evidence_hash = NEW.evidence_hash
    )
)
BEGIN SELECT RAISE(IGNORE); END;
"""
_COLUMNS = (
    "pipeline, window_first, window_end, evidence_hash, action, trigger_id, reasons, evidence, "
    "policy_hash, recorded_at"
)


@dataclass(frozen=True)
class Entry:
    """One decision and what it rests on. `cursor` is 0 until the ledger has given it one."""

    pipeline: str
    window: Window
    decision: Decision
    evidence: tuple[Evidence, ...]
    policy_hash: str
    recorded_at: int
    cursor: int = 0

    @property
    def evidence_hash(self) -> str:
        return evidence_hash(self.evidence)

    def to_json(self) -> dict[str, Any]:
        return {
            "cursor": self.cursor,
            "pipeline": self.pipeline,
            "window": [self.window.first, self.window.end],
            "window_text": self.window.text,
            **self.decision.to_json(),
            "evidence_hash": self.evidence_hash,
            "evidence": [one.to_json() for one in self.evidence],
            "policy_hash": self.policy_hash,
            "recorded_at": self.recorded_at,
        }


class DecisionLedger:
    """The decisions of one home, of all its pipelines. Any number of processes may use it."""

    def __init__(self, home: Home) -> None:
        self.path: Path = home.root / "decisions.sqlite"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._connect() as db:
            found = int(db.execute("PRAGMA user_version").fetchone()[0])
            if found > FORMAT:
                raise StateError(
                    f"decision ledger of format {found}, this Headrace reads up to {FORMAT}",
                    where=str(self.path),
                    fix="upgrade headrace",
                )
            if found == 0:
                db.executescript(_SCHEMA)
                db.execute(f"PRAGMA user_version = {FORMAT}")

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        # autocommit: transactions are begun where they are needed, by name
        with closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            yield db

    def append(self, entries: Sequence[Entry]) -> int:
        """Record what is new, all or nothing; what is there stays. Returns how many were new."""
        if not entries:
            return 0
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            before = db.total_changes
            marks = ", ".join("?" * len(_COLUMNS.split(", ")))
            statement = f"INSERT INTO decisions ({_COLUMNS}) VALUES ({marks})"  # noqa: S608
            db.executemany(statement, [_row(entry) for entry in entries])
            written = db.total_changes - before
            db.execute("COMMIT")
        return written

    def rows_after(
        self, cursor: int = 0, pipeline: str | None = None, limit: int = 1000
    ) -> list[Entry]:
        """Entries with a greater cursor, oldest first; a sensor keeps the last one it forwarded."""
        with self._connect() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS}, cursor FROM decisions"  # noqa: S608
                " WHERE cursor > ? AND pipeline = coalesce(?, pipeline) ORDER BY cursor LIMIT ?",
                (cursor, pipeline, limit),
            ).fetchall()
        return [_entry(row) for row in rows]

    def entries(self, pipeline: str) -> list[Entry]:
        """All entries of a pipeline, in the order they were recorded."""
        return self.rows_after(0, pipeline, limit=-1)


def _row(entry: Entry) -> tuple[object, ...]:
    return (
        entry.pipeline,
        entry.window.first,
        entry.window.end,
        entry.evidence_hash,
        entry.decision.action,
        entry.decision.trigger_id,
        canonical_json(list(entry.decision.reasons)).decode(),
        canonical_json([one.to_json() for one in entry.evidence]).decode(),
        entry.policy_hash,
        entry.recorded_at,
    )


def _entry(row: Sequence[Any]) -> Entry:
    pipeline, first, end, _, action, trigger, reasons, evidence, policy, recorded, cursor = row
    return Entry(
        pipeline,
        Window(first, end),
        Decision(action, tuple(json.loads(reasons)), trigger),
        tuple(Evidence.from_json(one) for one in json.loads(evidence)),
        policy,
        recorded,
        cursor,
    )
