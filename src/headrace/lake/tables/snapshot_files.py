"""Files of a snapshot, stored as JSON beside the tables.

A snapshot never changes, so its list is computed once. If the catalog is a SQLite file, this module
finds the current snapshot without pyiceberg, whose import takes longer than most reads.
"""

import json
import os
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace.core.errors import StateError
from headrace.core.files import write_json
from headrace.core.home import Home
from headrace.lake.tables.relocation import home_path

CATALOG = "headrace"
_KEEP = 8
_CATALOG_TABLES = {"iceberg_tables", "iceberg_namespace_properties"}
DUCKDB_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "int": "INTEGER",
    "double": "DOUBLE",
    "float": "FLOAT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "binary": "BLOB",
}


def duckdb_name(kind: str) -> str:
    """Return DuckDB's name of an Iceberg type: DECIMAL(18,2) for `decimal(18, 2)`."""
    if kind.startswith("decimal("):
        return kind.upper().replace(" ", "")
    return DUCKDB_TYPES[kind]


@dataclass(frozen=True)
class LiveFile:
    """One published Parquet file: all passing rows of one batch.

    `known_from` and `known_to` are its least and greatest known-at in microseconds UTC; None in
    file lists that were written before these bounds were stored.
    """

    path: str
    batch_id: str
    rows: int
    bytes: int
    snapshot_id: int
    known_from: int | None = None
    known_to: int | None = None


@dataclass(frozen=True)
class SnapshotColumn:
    """Column of a table; `type` is DuckDB's name of the type that it has in the files.

    A DECIMAL column is read as BIGINT.
    """

    field_id: int
    name: str
    type: str


@dataclass(frozen=True)
class SnapshotPlan:
    """Everything needed to read one snapshot of one table.

    `committed_at` is {id of a snapshot that still exists: commit time in microseconds UTC}.
    """

    table: str
    snapshot_id: int
    columns: tuple[SnapshotColumn, ...]
    files: tuple[LiveFile, ...]
    committed_at: dict[int, int]


def catalog_uri(home: Home) -> str:
    """Return `HEADRACE_CATALOG` (any SQLAlchemy address), or a SQLite file beside the tables."""
    return os.environ.get("HEADRACE_CATALOG") or f"sqlite:///{home.warehouse / 'catalog.sqlite'}"


def warehouse_root(home: Home) -> str:
    """Return `HEADRACE_WAREHOUSE` (folder or object-store address), or a folder of the home."""
    return (os.environ.get("HEADRACE_WAREHOUSE") or str(home.warehouse)).rstrip("/")


def metadata_without_iceberg(home: Home, namespace: str, table: str) -> dict[str, Any] | None:
    """Return a table's metadata; {} if there is no table, None if pyiceberg must read it."""
    uri = catalog_uri(home)
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    if not uri.startswith("sqlite:///"):
        return None
    if not path.exists():
        return {}
    check_catalog(home)
    location = _metadata_location(path, namespace, table)
    if location is None:
        return {}
    if "://" in location or not location.endswith(".json"):
        return None
    try:
        return dict(json.loads(Path(home_path(home.root, location)).read_text()))
    except FileNotFoundError:  # expired between the two reads; pyiceberg reads it again
        return None


def check_catalog(home: Home) -> None:
    """Check that a SQLite catalog file is missing, empty or an Iceberg catalog.

    Raises:
        StateError: the file is something else, and must not be written to.
    """
    uri = catalog_uri(home)
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    if not uri.startswith("sqlite:///") or not path.exists():
        return
    connection = sqlite3.connect(path, timeout=60)
    try:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        names = {str(name) for (name,) in connection.execute(query)}
    except sqlite3.OperationalError:  # locked, while it is being created
        return
    except sqlite3.DatabaseError as error:
        raise _alien(path, f"it is not a SQLite database ({error})") from error
    finally:
        connection.close()
    if names and not names & _CATALOG_TABLES:
        raise _alien(path, f"it holds the tables {', '.join(sorted(names)[:5])} of another program")


def _alien(path: Path, why: str) -> StateError:
    return StateError(
        f"this file is not a catalog of Iceberg tables: {why}",
        where=str(path),
        fix="point HEADRACE_CATALOG or HEADRACE_HOME at the right place, or move the file away",
    )


def _metadata_location(catalog: Path, namespace: str, table: str) -> str | None:
    connection = sqlite3.connect(catalog, timeout=60)
    try:
        row = connection.execute(
            "SELECT metadata_location FROM iceberg_tables"
            " WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?",
            (CATALOG, namespace, table),
        ).fetchone()
    except sqlite3.OperationalError:  # the catalog is being created
        return None
    finally:
        connection.close()
    return str(row[0]) if row and row[0] else None


def plan_path(home: Home, table: str, snapshot_id: int) -> Path:
    return home.warehouse / "plans" / table / f"{snapshot_id}.json"


def save_plan(home: Home, plan: SnapshotPlan) -> None:
    path = plan_path(home, plan.table, plan.snapshot_id)
    write_json(path, asdict(plan))
    newest = sorted(path.parent.glob("*.json"), key=lambda p: p.stat().st_mtime_ns, reverse=True)
    for old in newest[_KEEP:]:
        old.unlink(missing_ok=True)


def load_plan(home: Home, table: str, snapshot_id: int) -> SnapshotPlan | None:
    path = plan_path(home, table, snapshot_id)
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return SnapshotPlan(
        table=stored["table"],
        snapshot_id=int(stored["snapshot_id"]),
        columns=tuple(SnapshotColumn(**column) for column in stored["columns"]),
        files=tuple(
            LiveFile(**{**file, "path": home_path(home.root, file["path"])})
            for file in stored["files"]
        ),
        committed_at={int(key): int(value) for key, value in stored["committed_at"].items()},
    )
