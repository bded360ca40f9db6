"""Decision ledger: an append-only record of all decisions and of the actions that followed.

SQLite with write-ahead log and full sync: a completed call survives a power cut. Triggers refuse
changes and deletions. The cursor only grows, in commit order, so a reader that remembers the last
cursor it handled misses nothing and reads nothing twice.

The evidence of a window can change and change back, for example by a correction and then a recall
of the correction. The earlier decision then applies again. The table `stood` records the order in
which each window's evidence became current.

The ledger also records the steps of each retraining (each step once), its attempts, and the
acknowledgements, acceptances and withdrawals by people.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from headrace.core.errors import StateError
from headrace.core.files import canonical_json
from headrace.core.home import Home
from headrace.monitoring.decisions.retraining_decision import Decision
from headrace.monitoring.evidence.model import Evidence, Window, evidence_hash

# 2: the attribution of a decision, steps and attempts of retrainings, acknowledgements. 3: the
# order in which the evidence of a window applied. 4: findings that people accepted.
FORMAT = 4
_DECISIONS = (
    """CREATE TABLE decisions (
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
)""",
    """CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END""",
    """CREATE TRIGGER decisions_remain BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END""",
    # INSERT OR REPLACE would delete without firing the trigger above, so a copy is ignored
    """CREATE TRIGGER decisions_once BEFORE INSERT ON decisions
WHEN EXISTS (
    SELECT 1 FROM decisions d WHERE d.cursor = NEW.cursor OR d.trigger_id = NEW.trigger_id OR (
        d.pipeline = NEW.pipeline AND d.window_end = NEW.window_end
        AND d.evidence_hash = NEW.evidence_hash
    )
)
BEGIN SELECT RAISE(IGNORE); END""",
)


def _append_only(table: str, columns: str, once: str) -> tuple[str, ...]:
    """Return the statements that create an append-only table.

    `once` is an SQL condition: true if the stored row `d` is a copy of the new row `NEW`.
    """
    return (
        f"CREATE TABLE {table} (cursor INTEGER PRIMARY KEY AUTOINCREMENT, {columns})",
        f"""CREATE TRIGGER {table}_stay BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END""",
        f"""CREATE TRIGGER {table}_remain BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END""",
        f"""CREATE TRIGGER {table}_once BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} d WHERE d.cursor = NEW.cursor OR ({once}))
BEGIN SELECT RAISE(IGNORE); END""",  # noqa: S608 - names of this module
    )


_STEPS = _append_only(
    "steps",
    "pipeline TEXT NOT NULL, trigger_id TEXT NOT NULL, step TEXT NOT NULL, detail TEXT NOT NULL,"
    " recorded_at INTEGER NOT NULL, UNIQUE (trigger_id, step)",
    "d.trigger_id = NEW.trigger_id AND d.step = NEW.step",
)
_ATTEMPTS = _append_only(
    "attempts",
    "pipeline TEXT NOT NULL, trigger_id TEXT NOT NULL, attempt INTEGER NOT NULL,"
    " recorded_at INTEGER NOT NULL, UNIQUE (trigger_id, attempt)",
    "d.trigger_id = NEW.trigger_id AND d.attempt = NEW.attempt",
)
_ACKS = _append_only(
    "acks",
    "pipeline TEXT NOT NULL, window_end INTEGER NOT NULL, principal TEXT NOT NULL,"
    " reason TEXT NOT NULL, recorded_at INTEGER NOT NULL,"
    " UNIQUE (pipeline, window_end, principal, reason)",
    "d.pipeline = NEW.pipeline AND d.window_end = NEW.window_end"
    " AND d.principal = NEW.principal AND d.reason = NEW.reason",
)
_SIGHTINGS = (
    *_append_only(
        "stood",
        "pipeline TEXT NOT NULL, window_end INTEGER NOT NULL, evidence_hash TEXT NOT NULL,"
        " recorded_at INTEGER NOT NULL",
        "d.pipeline = NEW.pipeline AND d.window_end = NEW.window_end"
        " AND d.evidence_hash = NEW.evidence_hash AND d.cursor = (SELECT max(e.cursor) FROM stood e"
        " WHERE e.pipeline = NEW.pipeline AND e.window_end = NEW.window_end)",
    ),
    "CREATE INDEX stood_of ON stood (pipeline, window_end, evidence_hash)",
    """INSERT INTO stood (pipeline, window_end, evidence_hash, recorded_at)
SELECT pipeline, window_end, evidence_hash, recorded_at FROM decisions ORDER BY cursor""",
)
# An acceptance that is repeated after a withdrawal is a new row, and so is a withdrawal that is
# repeated after an acceptance.
_ACCEPTANCES = _append_only(
    "acceptances",
    "pipeline TEXT NOT NULL, window_end INTEGER NOT NULL, principal TEXT NOT NULL,"
    " reason TEXT NOT NULL, about TEXT NOT NULL, withdrawn INTEGER NOT NULL,"
    " recorded_at INTEGER NOT NULL",
    "d.pipeline = NEW.pipeline AND d.window_end = NEW.window_end"
    " AND d.principal = NEW.principal AND d.reason = NEW.reason AND d.about = NEW.about"
    " AND d.withdrawn = NEW.withdrawn AND NOT EXISTS (SELECT 1 FROM acceptances e"
    " WHERE e.pipeline = NEW.pipeline AND e.window_end = NEW.window_end"
    " AND e.withdrawn <> NEW.withdrawn AND e.cursor > d.cursor)",
)
# Statements that upgrade a ledger to each format from the previous format.
_TO = {
    1: _DECISIONS,
    2: ("ALTER TABLE decisions ADD COLUMN attribution TEXT", *_STEPS, *_ATTEMPTS, *_ACKS),
    3: _SIGHTINGS,
    4: _ACCEPTANCES,
}
_COLUMNS = (
    "pipeline, window_first, window_end, evidence_hash, action, trigger_id, reasons, evidence, "
    "policy_hash, recorded_at, attribution"
)
_READ = f"""SELECT {_COLUMNS}, cursor, (
    SELECT group_concat(s.cursor) FROM stood s WHERE s.pipeline = d.pipeline
    AND s.window_end = d.window_end AND s.evidence_hash = d.evidence_hash
) FROM decisions d"""  # noqa: S608 - names of this module

StepName = Literal[
    "started",
    "released",
    "trained",
    "compared",
    "promoted",
    "kept",
    "failed",
    "watching",
    "confirmed",
    "rolled_back",
]
STEPS: tuple[str, ...] = get_args(StepName)


@dataclass(frozen=True)
class Entry:
    """Decision and its evidence. `cursor` is 0 until the entry is in the ledger.

    `attribution` is the JSON of the evidence's attribution; None in rows of format 1. `stands` are
    the cursors of the table `stood` at which this evidence became the window's current evidence,
    ascending; `stood` is the last of them. The current entry of a window has the greatest `stood`.
    """

    pipeline: str
    window: Window
    decision: Decision
    evidence: tuple[Evidence, ...]
    policy_hash: str
    recorded_at: int
    cursor: int = 0
    attribution: dict[str, Any] | None = None
    stands: tuple[int, ...] = field(default=(), compare=False)

    @property
    def stood(self) -> int:
        return self.stands[-1] if self.stands else 0

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
            "evidence": [finding.to_json() for finding in self.evidence],
            "attribution": self.attribution,
            "policy_hash": self.policy_hash,
            "recorded_at": self.recorded_at,
        }


@dataclass(frozen=True)
class Step:
    """Step of a retraining, with its details as JSON values.

    `recorded_at` is microseconds UTC.
    """

    pipeline: str
    trigger_id: str
    step: StepName
    detail: dict[str, Any]
    recorded_at: int
    cursor: int = 0


@dataclass(frozen=True)
class Ack:
    """Acknowledgement, with its reason, of the window that ends before `window_end` (epoch day)."""

    pipeline: str
    window_end: int
    principal: str
    reason: str
    recorded_at: int
    cursor: int = 0


@dataclass(frozen=True)
class Acceptance:
    """Statement that the data behind findings about a window are correct.

    `about` are the topics of the findings; see `acceptance.topic`. If `withdrawn` is True, the
    statement cancels all earlier acceptances of the window.
    """

    pipeline: str
    window_end: int
    principal: str
    reason: str
    about: tuple[str, ...]
    recorded_at: int
    withdrawn: bool = False
    cursor: int = 0


class DecisionLedger:
    """Decisions of all pipelines of one home. Any number of processes may use it at once.

    The first write creates the file; before that, all reads return nothing.
    """

    def __init__(self, home: Home) -> None:
        self.path: Path = home.root / "decisions.sqlite"
        if self.path.exists():
            with self._connect():  # upgrades the ledger, or fails if a newer Headrace wrote it
                pass

    def _prepare(self, db: sqlite3.Connection) -> None:
        if self._format(db) < FORMAT:
            db.execute("BEGIN IMMEDIATE")
            # read the format again under the lock: another process may have upgraded the ledger
            for step in range(self._format(db) + 1, FORMAT + 1):
                for statement in _TO[step]:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {step}")
            db.execute("COMMIT")

    def _format(self, db: sqlite3.Connection) -> int:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > FORMAT:
            raise StateError(
                f"the decision ledger has format {version}; this Headrace reads up to {FORMAT}",
                where=str(self.path),
                fix="upgrade headrace",
            )
        return version

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # autocommit: transactions begin explicitly
        with closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            self._prepare(db)
            yield db

    def _read(self, statement: str, values: Sequence[object]) -> list[Any]:
        if not self.path.exists():
            return []
        with self._connect() as db:
            return db.execute(statement, values).fetchall()

    def append(self, entries: Sequence[Entry]) -> int:
        """Record entries, all or none, and return the number of new ones.

        An existing entry is not changed. If other evidence has replaced its evidence since, the
        existing entry becomes current again.
        """
        if not entries:
            return 0
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            before = db.total_changes
            marks = ", ".join("?" * len(_COLUMNS.split(", ")))
            statement = f"INSERT INTO decisions ({_COLUMNS}) VALUES ({marks})"  # noqa: S608
            db.executemany(statement, [_row(entry) for entry in entries])
            written = db.total_changes - before
            db.executemany(
                "INSERT INTO stood (pipeline, window_end, evidence_hash, recorded_at)"
                " VALUES (?, ?, ?, ?)",
                [(e.pipeline, e.window.end, e.evidence_hash, e.recorded_at) for e in entries],
            )
            db.execute("COMMIT")
        return written

    def rows_after(
        self, cursor: int = 0, pipeline: str | None = None, limit: int = 1000
    ) -> list[Entry]:
        """Return entries with a greater cursor, oldest first.

        A sensor remembers the last cursor that it forwarded.
        """
        rows = self._read(
            f"{_READ} WHERE cursor > ? AND pipeline = coalesce(?, pipeline)"
            " ORDER BY cursor LIMIT ?",
            (cursor, pipeline, limit),
        )
        return [_entry(row) for row in rows]

    def entries(self, pipeline: str) -> list[Entry]:
        """Return all entries of a pipeline, in the order they were recorded."""
        return self.rows_after(0, pipeline, limit=-1)

    def entry_of(self, trigger_id: str) -> Entry | None:
        """Return the decision that triggered a retraining; None if a person started it."""
        rows = self._read(f"{_READ} WHERE trigger_id = ?", (trigger_id,))
        return _entry(rows[0]) if rows else None

    def record_step(
        self, pipeline: str, trigger_id: str, step: StepName, detail: Mapping[str, Any], at: int
    ) -> bool:
        """Record that `step` was done; return False if it was recorded before."""
        if step not in STEPS:
            raise ValueError(f"unknown step {step!r}")
        values = (pipeline, trigger_id, step, canonical_json(dict(detail)).decode(), at)
        return self._insert("steps", "pipeline, trigger_id, step, detail, recorded_at", values)

    def steps(self, pipeline: str, trigger_id: str | None = None) -> list[Step]:
        """Return the steps of a pipeline, or of one trigger, in the order they were recorded."""
        rows = self._read(
            "SELECT pipeline, trigger_id, step, detail, recorded_at, cursor FROM steps"
            " WHERE pipeline = ? AND trigger_id = coalesce(?, trigger_id) ORDER BY cursor",
            (pipeline, trigger_id),
        )
        return [
            Step(name, trigger, step, json.loads(detail), at, cursor)
            for name, trigger, step, detail, at, cursor in rows
        ]

    def begin_attempt(self, pipeline: str, trigger_id: str, at: int) -> int:
        """Count an attempt at a retraining before it starts, and return its number, from 1."""
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            attempt = 1 + int(
                db.execute(
                    "SELECT count(*) FROM attempts WHERE trigger_id = ?", (trigger_id,)
                ).fetchone()[0]
            )
            db.execute(
                "INSERT INTO attempts (pipeline, trigger_id, attempt, recorded_at)"
                " VALUES (?, ?, ?, ?)",
                (pipeline, trigger_id, attempt, at),
            )
            db.execute("COMMIT")
        return attempt

    def acknowledge(
        self, pipeline: str, window_end: int, principal: str, reason: str, at: int
    ) -> bool:
        """Record that `principal` acknowledges a window; return False if it was recorded before."""
        values = (pipeline, window_end, principal, reason, at)
        return self._insert("acks", "pipeline, window_end, principal, reason, recorded_at", values)

    def acks(self, pipeline: str) -> list[Ack]:
        """Return all acknowledgements of a pipeline, in the order they were recorded."""
        rows = self._read(
            "SELECT pipeline, window_end, principal, reason, recorded_at, cursor FROM acks"
            " WHERE pipeline = ? ORDER BY cursor",
            (pipeline,),
        )
        return [Ack(*row) for row in rows]

    def accept(self, said: Acceptance) -> bool:
        """Record an acceptance of a window's findings; return False if it is already in force."""
        columns = "pipeline, window_end, principal, reason, about, withdrawn, recorded_at"
        topics = canonical_json(sorted(said.about)).decode()
        key = (said.pipeline, said.window_end, said.principal, said.reason)
        values = (*key, topics, int(said.withdrawn), said.recorded_at)
        return self._insert("acceptances", columns, values)

    def acceptances(self, pipeline: str) -> list[Acceptance]:
        """Return all acceptances and withdrawals of a pipeline, in the order they were recorded."""
        rows = self._read(
            "SELECT pipeline, window_end, principal, reason, about, recorded_at, withdrawn,"
            " cursor FROM acceptances WHERE pipeline = ? ORDER BY cursor",
            (pipeline,),
        )
        return [
            Acceptance(
                name, end, principal, why, tuple(json.loads(topics)), at, bool(withdrawn), cursor
            )
            for name, end, principal, why, topics, at, withdrawn, cursor in rows
        ]

    def _insert(self, table: str, columns: str, values: Sequence[object]) -> bool:
        """Insert a row into an append-only table; return False if the row exists already.

        `table` and `columns` are names that this module defines, so they are safe in SQL.
        """
        with self._connect() as db:
            marks = ", ".join("?" * len(values))
            statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
            return db.execute(statement, values).rowcount == 1


def newest_entries(entries: Iterable[Entry]) -> dict[int, Entry]:
    """Return {end of a window: its current entry}; later evidence replaces earlier evidence."""
    newest: dict[int, Entry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.stood, entry.cursor)):
        newest[entry.window.end] = entry
    return dict(sorted(newest.items()))


def _row(entry: Entry) -> tuple[object, ...]:
    return (
        entry.pipeline,
        entry.window.first,
        entry.window.end,
        entry.evidence_hash,
        entry.decision.action,
        entry.decision.trigger_id,
        canonical_json(list(entry.decision.reasons)).decode(),
        canonical_json([finding.to_json() for finding in entry.evidence]).decode(),
        entry.policy_hash,
        entry.recorded_at,
        None if entry.attribution is None else canonical_json(entry.attribution).decode(),
    )


def _entry(row: Sequence[Any]) -> Entry:
    (
        pipeline,
        first,
        end,
        _,
        action,
        trigger,
        reasons,
        evidence,
        policy,
        recorded,
        attribution,
        cursor,
        places,
    ) = row
    return Entry(
        pipeline,
        Window(first, end),
        Decision(action, tuple(json.loads(reasons)), trigger),
        tuple(Evidence.from_json(load) for load in json.loads(evidence)),
        policy,
        recorded,
        cursor,
        None if attribution is None else json.loads(attribution),
        tuple(sorted(map(int, places.split(",")))) if places else (),
    )
