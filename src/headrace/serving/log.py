"""Served log: one row for each answer, so that every vector can be recomputed.

SQLite in WAL mode with full sync: appends are durable, several processes may write, and a crash
leaves no partial rows. Parquet would need one file and two disk syncs for each answer, or a buffer
whose rows a crash would lose. To query the log in DuckDB, use the Arrow table that `table()`
returns, because DuckDB's SQLite reader is an extension that may not be installed. Read the JSON
columns with `json_extract`.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa

from headrace.core.clock import now_us
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json
from headrace.core.sqlite import open_database, transaction
from headrace.features.kernel.row_content import Cell
from headrace.serving.vectors import Vector

_MIGRATIONS = (
    """
    CREATE TABLE served (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, served_at INTEGER NOT NULL,
        t INTEGER NOT NULL, request TEXT NOT NULL, vector TEXT NOT NULL,
        definition TEXT NOT NULL, frontier TEXT NOT NULL, model TEXT NOT NULL, score REAL,
        share REAL NOT NULL)
    """,
    "ALTER TABLE served ADD COLUMN probabilities TEXT",
)
_CACHED_ENTITIES = 1 << 16
_INTEGERS, _TEXTS = ("sequence", "served_at", "t"), ("request", "vector", "definition")
SCHEMA = pa.schema(
    [
        *((name, pa.int64()) for name in _INTEGERS),
        *((name, pa.string()) for name in (*_TEXTS, "frontier", "model")),
        *((name, pa.float64()) for name in ("score", "share")),
        ("probabilities", pa.string()),
    ]
)


@dataclass(frozen=True)
class Entry:
    """Log entry of one answer; `model` is empty if only the vector was requested.

    `score` is a probability or a predicted number; None for classes, which have `probabilities`.
    `served_at` is the time of the answer in microseconds UTC; None means the time of logging.
    """

    vector: Vector
    model: str = ""
    score: float | None = None
    served_at: int | None = None
    probabilities: Mapping[str, float] | None = None


class ServedLog:
    """Append-only log at `path`. Close it after use.

    Args:
        path: the SQLite file; its schema version is checked and migrated.
        share: fraction of the entities (keys of the spine) to log, 0 to 1. The hash of an entity
            decides if it is logged, so every process logs the same entities. Each row of the log
            records the share.
    """

    def __init__(self, path: Path, *, share: float = 1.0) -> None:
        if not 0 <= share <= 1:
            raise DeclarationError(
                f"the share {share} is not a fraction",
                where=str(path),
                fix="give a number from 0 to 1",
            )
        self.path, self.share = path, share
        # Hashing an entity takes as long as computing an answer, so recent results are cached.
        self._takes = lru_cache(_CACHED_ENTITIES)(partial(is_sampled, share=share))
        self._connection = open_database(path, _MIGRATIONS)

    def close(self) -> None:
        self._connection.close()

    def takes(self, entity: tuple[Cell, ...]) -> bool:
        """Return True if answers for this entity (the values of the spine's key) are logged."""
        return self._takes(entity)

    def append(self, entries: Iterable[Entry]) -> int:
        """Log the entries of sampled entities in one transaction; return the number of new rows."""
        rows = [_row(entry, self.share) for entry in entries if self.takes(_entity(entry.vector))]
        if rows:
            names = ", ".join(SCHEMA.names[1:])
            marks = ", ".join("?" * len(SCHEMA.names[1:]))
            with transaction(self._connection):
                self._connection.executemany(
                    f"INSERT INTO served ({names}) VALUES ({marks})",  # noqa: S608
                    rows,
                )
        return len(rows)

    def table(self, after: int = 0, limit: int = -1) -> pa.Table:
        """Return the first `limit` rows with `sequence > after`, ordered; columns as in `SCHEMA`.

        Times are int64 microseconds UTC; `request`, `vector`, `frontier` and
        `probabilities` (null if the model predicts no classes) are canonical JSON.

        Raises:
            StateError: the file is damaged.
        """
        try:
            rows = self._connection.execute(
                f"SELECT {', '.join(SCHEMA.names)} FROM served"  # noqa: S608
                " WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise StateError(
                f"the served log cannot be read: {error}",
                where=str(self.path),
                fix="recover rows with `sqlite3 FILE .recover`, then move the file away",
            ) from error
        columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], SCHEMA)

    def parts(self, size: int = 10_000) -> Iterator[pa.Table]:
        """Yield the log as tables of at most `size` rows."""
        after = 0
        while (part := self.table(after, size)).num_rows:
            yield part
            after = part["sequence"][-1].as_py()


def is_sampled(entity: tuple[Cell, ...], share: float) -> bool:
    """Return True if the hash of the entity is in the logged fraction `share` of all hashes."""
    number = int.from_bytes(hashlib.sha256(canonical_json(entity)).digest()[:8], "big")
    return number < share * 2**64


def _entity(vector: Vector) -> tuple[Cell, ...]:
    return tuple([vector.request[name] for name in vector.key])


def _row(entry: Entry, share: float) -> tuple[str | int | float | None, ...]:
    vector = entry.vector
    return (
        now_us() if entry.served_at is None else entry.served_at,
        vector.t,
        canonical_json(vector.request).decode(),
        canonical_json(vector.values).decode(),
        vector.definition,
        canonical_json(dict(vector.frontier)).decode(),
        entry.model,
        entry.score,
        share,
        None if entry.probabilities is None else canonical_json(dict(entry.probabilities)).decode(),
    )
