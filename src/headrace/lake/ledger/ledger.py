"""The ingest ledger: deliveries, verdicts and batch states; writes are idempotent."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from headrace.core.clock import now_us
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.core.sqlite import open_database, transaction
from headrace.lake.ledger.records import STATES, Batch, JudgementRow, LaneProgress
from headrace.lake.ledger.schema import MIGRATIONS
from headrace.lake.tables import relocation
from headrace.sources.base import Delivery, Offsets

__all__ = ["STATES", "Batch", "JudgementRow", "LaneProgress", "Ledger"]

_BATCH = tuple(Batch.__dataclass_fields__)
_JUDGEMENT = tuple(JudgementRow.__dataclass_fields__)
# Columns written with a verdict. The other three record when its file was published and withdrawn.
_VERDICT_COLUMNS = _JUDGEMENT[:-3]
_PATHS = ("staged_path", "quarantine_path")
# The verdict's report may be long; queries that only count do not read it.
_LIGHT = ", ".join("''" if name == "judgement" else name for name in _JUDGEMENT)


class Ledger:
    """The ledger under `home`. Close it, or use it as a context manager."""

    def __init__(self, home: Home) -> None:
        self.path = home.ledger
        self._root = home.root
        self._connection = open_database(home.ledger, MIGRATIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """Connection in autocommit mode, for other records such as actions."""
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group writes into one transaction, which costs a single sync."""
        with transaction(self._connection):
            yield

    def latest(self) -> int:
        """Return the time (us) of the latest delivery or action; 0 if there is none."""
        moments = self._connection.execute(
            "SELECT (SELECT max(received_at) FROM batches), (SELECT max(at) FROM actions)"
        ).fetchone()
        return max((int(moment) for moment in moments if moment is not None), default=0)

    # Deliveries

    def deliver(self, table: str, owner: str, delivery: Delivery, raw_path: str) -> None:
        """Record a delivery; idempotent. Known bytes from a new origin count as a redelivery.

        Raises:
            StateError: another consumer has already recorded these events of the stream.
        """
        now = now_us()
        self._connection.execute(
            "INSERT OR IGNORE INTO batches (batch_id, tbl, slot, source, origin, producer, owner,"
            " format, sha256, bytes, arrived_at, received_at, sequence, raw_path)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                delivery.batch_id, table, delivery.slot, delivery.source, delivery.origin,
                delivery.producer, owner, delivery.format, delivery.content_sha,
                len(delivery.payload), delivery.arrived_at, now, delivery.sequence, raw_path,
            ),
        )  # fmt: skip
        self._connection.execute(
            "INSERT OR IGNORE INTO deliveries VALUES (?,?,?,?,?)",
            (delivery.batch_id, table, delivery.origin, delivery.arrived_at, now),
        )
        if delivery.offsets is not None:
            self._advance(table, delivery.offsets, delivery.batch_id)

    def _advance(self, table: str, offsets: Offsets, batch_id: str) -> None:
        """Record the next part of a lane (a broker partition of a stream).

        It must start where the last recorded part ended.
        """
        if offsets.after != self.position(table, offsets.stream, offsets.lane):
            raise StateError(
                f"another consumer has recorded the events of stream {offsets.stream} after"
                f" {offsets.after or 'its start'}",
                where=f"table {table}, {self.path}",
                fix="run one consumer for each table and home; nothing was lost or duplicated",
            )
        self._connection.execute(
            "INSERT INTO offsets (tbl, stream, lane, after_, first, last, events, first_at,"
            " last_at, lost, batch_id) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                table, offsets.stream, offsets.lane, offsets.after, offsets.first, offsets.last,
                offsets.events, offsets.first_at, offsets.last_at, offsets.missed, batch_id,
            ),
        )  # fmt: skip

    def position(self, table: str, stream: str, lane: str) -> str:
        """Return the position of the last recorded event of a lane; "" if there is none."""
        row = self._connection.execute(
            "SELECT last FROM offsets WHERE tbl = ? AND stream = ? AND lane = ?"
            " ORDER BY id DESC LIMIT 1",
            (table, stream, lane),
        ).fetchone()
        return "" if row is None else str(row[0])

    def positions(self, table: str, stream: str) -> dict[str, str]:
        """Return the last position of every lane of a stream."""
        rows = self._connection.execute(
            "SELECT lane, last FROM offsets WHERE id IN (SELECT max(id) FROM offsets"
            " WHERE tbl = ? AND stream = ? GROUP BY lane)",
            (table, stream),
        )
        return {str(lane): str(last) for lane, last in rows.fetchall()}

    def chain(self, table: str, stream: str, lane: str) -> list[tuple[str, str]]:
        """Return (end position, batch) of each recorded part of a lane, the latest first."""
        rows = self._connection.execute(
            "SELECT last, batch_id FROM offsets WHERE tbl = ? AND stream = ? AND lane = ?"
            " ORDER BY id DESC",
            (table, stream, lane),
        )
        return [(str(last), str(batch_id)) for last, batch_id in rows.fetchall()]

    def lane_progress(self, table: str, stream: str) -> dict[str, LaneProgress]:
        """Return the progress of each lane of a stream."""
        rows = self._connection.execute(
            "SELECT lane, sum(events), count(*), sum(lost), max(last_at) FROM offsets"
            " WHERE tbl = ? AND stream = ? GROUP BY lane ORDER BY lane",
            (table, stream),
        )
        return {
            lane: LaneProgress(
                self.position(table, stream, lane), events, batches, lost_events, last_at
            )
            for lane, events, batches, lost_events, last_at in rows.fetchall()
        }

    def batches(self, table: str) -> dict[str, Batch]:
        """Return every batch of `table` by id, in order of arrival."""
        rows = self._connection.execute(
            f"SELECT {', '.join(_BATCH)} FROM batches WHERE tbl = ?"  # noqa: S608
            " ORDER BY arrived_at, sequence, batch_id",
            (table,),
        )
        return {row[0]: Batch(*row) for row in rows}

    def find(self, batch_id: str) -> tuple[str, Batch]:
        """Return the table and the batch of this id.

        Raises:
            StateError: the ledger does not know it.
        """
        row = self._connection.execute(
            f"SELECT tbl, {', '.join(_BATCH)} FROM batches WHERE batch_id = ?",  # noqa: S608
            (batch_id,),
        ).fetchone()
        if row is None:
            raise StateError(
                f"no batch {batch_id}",
                where=str(self.path),
                fix="see `headrace gate ls` for batch ids",
            )
        return row[0], Batch(*row[1:])

    def origins(self, table: str) -> dict[str, set[str]]:
        """Return the origins under which each batch was delivered."""
        origins: dict[str, set[str]] = {}
        for batch_id, origin in self._connection.execute(
            "SELECT batch_id, origin FROM deliveries WHERE tbl = ?", (table,)
        ):
            origins.setdefault(batch_id, set()).add(origin)
        return origins

    def repeated_events(self, table: str, stream: str) -> int:
        """Count the events in micro-batches that repeat earlier ones byte for byte.

        These events add no rows.
        """
        row = self._connection.execute(
            "SELECT coalesce(sum(again), 0) FROM (SELECT sum(events) - max(events) AS again"
            " FROM offsets WHERE tbl = ? AND stream = ? GROUP BY batch_id)",
            (table, stream),
        ).fetchone()
        return int(row[0])

    # Verdicts

    def judge(self, table: str, row: JudgementRow, *, overwrite: bool = False) -> None:
        """Record a verdict on a batch.

        An earlier verdict under the same rules is kept, unless it is ERROR or `overwrite` is set.

        A batch that is already published stays `published`: its last good file stays in the table.
        """
        columns = _VERDICT_COLUMNS
        values = [
            relocation.below(getattr(row, name)) or getattr(row, name)
            if name in _PATHS
            else getattr(row, name)
            for name in columns
        ]
        self._connection.execute(
            f"INSERT INTO judgements (tbl, {', '.join(columns)})"  # noqa: S608
            f" VALUES (?{',?' * len(columns)})"
            " ON CONFLICT (batch_id, tbl, rule_hash) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in columns[2:])
            + " WHERE ? OR judgements.verdict = 'ERROR'",
            (table, *values, overwrite),
        )
        state = "pending" if row.verdict in ("BLOCK", "ERROR") else "judged"
        self._connection.execute(
            "UPDATE batches SET state = ? WHERE tbl = ? AND batch_id = ?"
            " AND state IN ('received', 'pending', 'judged')",
            (state, table, row.batch_id),
        )

    def judgements(
        self, table: str, base_hash: str | None = None
    ) -> dict[tuple[str, str], JudgementRow]:
        """Return the verdicts by (batch, rule hash), oldest first, without their reports.

        With `base_hash`, only verdicts under these rules of the table.
        """
        where, values = ("tbl = ?", [table])
        if base_hash is not None:
            where, values = ("tbl = ? AND base_hash = ?", [table, base_hash])
        rows = self._connection.execute(
            f"SELECT {_LIGHT} FROM judgements WHERE {where}"  # noqa: S608
            " ORDER BY judged_at, rowid",
            values,
        )
        return {(row[0], row[1]): self._resolved(JudgementRow(*row)) for row in rows}

    def decided(self, table: str) -> dict[str, int]:
        """Return when the gate last decided on each batch, in int64 microseconds UTC.

        Crashes are not decisions, and neither are verdicts with overrides or with conflicts.
        """
        rows = self._connection.execute(
            "SELECT batch_id, max(judged_at) FROM judgements AS j WHERE tbl = ?"
            " AND derived_from = '' AND verdict <> 'ERROR' AND NOT EXISTS (SELECT 1 FROM conflicts"
            " AS c WHERE c.tbl = j.tbl AND c.batch_id = j.batch_id AND c.rule_hash = j.rule_hash)"
            " GROUP BY batch_id",
            (table,),
        )
        return dict(rows.fetchall())

    def _resolved(self, row: JudgementRow) -> JudgementRow:
        """Return the row with absolute paths in this home, which may have been moved."""
        staged, quarantined = self._path(row.staged_path), self._path(row.quarantine_path)
        return replace(row, staged_path=staged, quarantine_path=quarantined)

    def _path(self, stored: str) -> str:
        return f"{self._root}/{stored}" if stored and not stored.startswith("/") else stored

    def report(self, table: str, batch_id: str, rule_hash: str) -> str:
        """Return the JSON report on a batch validated under these rules.

        Raises:
            StateError: the batch was not validated under these rules.
        """
        row = self._connection.execute(
            "SELECT judgement FROM judgements WHERE tbl = ? AND batch_id = ? AND rule_hash = ?",
            (table, batch_id, rule_hash),
        ).fetchone()
        if row is None:
            raise StateError(
                f"batch {batch_id} of {table} was not validated under rules {rule_hash}",
                where=str(self.path),
                fix="ingest its slot again",
            )
        return str(row[0])

    def showings(self, table: str) -> dict[str, list[tuple[int, str]]]:
        """Return {batch: [(time in microseconds UTC, published path)]}, in order of time.

        An empty path means that none of its rows was published from that time on.
        """
        showings: dict[str, list[tuple[int, str]]] = {}
        # Two verdicts may share a file: rejecting quarantined rows changes no published row.
        rows = self._connection.execute(
            "SELECT batch_id, min(published_at) AS at, staged_path FROM judgements"
            " WHERE tbl = ? AND published_at IS NOT NULL GROUP BY batch_id, staged_path"
            " UNION ALL SELECT batch_id, at, staged_path FROM returns WHERE tbl = ?"
            " ORDER BY batch_id, at, staged_path",
            (table, table),
        )
        for batch_id, at, path in rows:
            showings.setdefault(batch_id, []).append((at, self._path(path)))
        return showings

    def withdrawals(self, table: str) -> dict[str, int]:
        """Return the time at which each batch last left the table, in int64 microseconds UTC."""
        rows = self._connection.execute(
            "SELECT batch_id, max(withdrawn_at) FROM judgements"
            " WHERE tbl = ? AND withdrawn_at IS NOT NULL GROUP BY batch_id",
            (table,),
        )
        return dict(rows.fetchall())

    # States of batches

    def mark_published(self, table: str, rows: Iterable[tuple[str, str, int, int]]) -> None:
        """Mark verdicts as published.

        Each row: batch, staged path, commit time in microseconds, snapshot id. A file keeps the
        time of its first commit. A verdict without a file (empty path) gets the time of the last
        commit.
        """
        for batch_id, path, committed_at, snapshot_id in rows:
            self._connection.execute(
                "UPDATE judgements SET published_at = ?, snapshot_id = ?"
                " WHERE tbl = ? AND batch_id = ? AND staged_path = ?"
                " AND (published_at IS NULL OR staged_path = '')"
                " AND verdict IN ('PASS', 'WARN', 'QUARANTINE')",
                (committed_at, snapshot_id, table, batch_id, relocation.below(path) or path),
            )
            self._connection.execute(
                "UPDATE batches SET state = 'published', published_at = ?, snapshot_id = ?"
                " WHERE tbl = ? AND batch_id = ? AND state <> 'recalled'",
                (committed_at, snapshot_id, table, batch_id),
            )

    def mark_returned(self, table: str, rows: Iterable[tuple[str, str, int]]) -> None:
        """Record files that are published again: batch, path, and the time in microseconds UTC."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO returns VALUES (?,?,?,?)",
            [(table, batch, relocation.below(path) or path, at) for batch, path, at in rows],
        )

    def mark_unpublished(self, table: str, batch_ids: Iterable[str]) -> None:
        """Mark batches as waiting for a commit, after the table lost them (as by a rollback).

        Recalled batches stay recalled.
        """
        for batch_id in batch_ids:
            self._connection.execute(
                "UPDATE batches SET state = 'judged', note = ''"
                " WHERE tbl = ? AND batch_id = ? AND state <> 'recalled'",
                (table, batch_id),
            )
            self._connection.execute(
                "UPDATE judgements SET published_at = NULL, snapshot_id = NULL"
                " WHERE tbl = ? AND batch_id = ?",
                (table, batch_id),
            )
            self._connection.execute(
                "DELETE FROM returns WHERE tbl = ? AND batch_id = ?", (table, batch_id)
            )

    def mark_withdrawn(self, table: str, batch_ids: Iterable[str]) -> None:
        """Mark batches whose override has ended: they leave the table with the next commit."""
        now = now_us()
        for batch_id in batch_ids:
            self._connection.execute(
                "UPDATE judgements SET withdrawn_at = ? WHERE tbl = ? AND batch_id = ? AND forced"
                " AND published_at IS NOT NULL",
                (now, table, batch_id),
            )
            self._set_state(table, batch_id, "pending", "")

    def mark_superseded(self, table: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Record pairs of an unpublished batch and the batch that supersedes it."""
        for batch_id, successor in pairs:
            self._connection.execute(
                "UPDATE batches SET state = 'superseded', note = ?"
                " WHERE tbl = ? AND batch_id = ? AND state IN ('pending', 'judged')",
                (f"superseded by {successor}", table, batch_id),
            )

    def reject(self, table: str, batch_id: str, reason: str) -> None:
        """Reject a pending batch permanently: all its rows count as rejected."""
        batch = self.batches(table).get(batch_id)
        if batch is None or batch.state not in ("pending", "rejected"):
            raise StateError(
                f"batch {batch_id} of {table} is {batch.state if batch else 'unknown'}, not"
                " pending",
                where=str(self.path),
                fix="only a pending batch can be rejected; see `headrace gate ls`",
            )
        self._set_state(table, batch_id, "rejected", reason)

    def mark_released(self, table: str, batch_id: str) -> None:
        """Mark a pending batch as approved: it waits for a commit and cannot be superseded."""
        self._connection.execute(
            "UPDATE batches SET state = 'judged' WHERE tbl = ? AND batch_id = ?"
            " AND state = 'pending'",
            (table, batch_id),
        )

    def recalled(self, table: str) -> frozenset[str]:
        """Return the recalled batches, which must not be published."""
        rows = self._connection.execute(
            "SELECT batch_id FROM batches WHERE tbl = ? AND state = 'recalled'", (table,)
        )
        return frozenset(row[0] for row in rows)

    def mark_recalled(self, table: str, batch_id: str, note: str) -> None:
        self._set_state(table, batch_id, "recalled", note)

    def mark_restored(self, table: str, batch_id: str) -> None:
        """Mark a recalled batch as waiting for a commit; its rows are usable after that commit."""
        self._set_state(table, batch_id, "judged", "")
        self.mark_unpublished(table, [batch_id])

    def _set_state(self, table: str, batch_id: str, state: str, note: str) -> None:
        self._connection.execute(
            "UPDATE batches SET state = ?, note = ? WHERE tbl = ? AND batch_id = ?",
            (state, note, table, batch_id),
        )
