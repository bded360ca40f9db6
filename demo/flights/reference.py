"""The reference tables of the airport's database, which is SQLite in the demonstration."""

import sqlite3
from pathlib import Path

import pyarrow as pa

UPDATED_AT = "2012-12-15T00:00:00Z"  # updated before the year begins, and never again
KEYS = {"planes": "tailnum", "airlines": "carrier", "airports": "faa"}
TYPES = {
    "year": "INTEGER", "engines": "INTEGER", "seats": "INTEGER", "speed": "INTEGER",
    "lat": "REAL", "lon": "REAL", "alt": "INTEGER", "tz": "INTEGER",
}  # fmt: skip
_CASTS = {"INTEGER": int, "REAL": float, "TEXT": str}


def write_reference(path: Path, tables: dict[str, pa.Table]) -> None:
    """Write each table with its key and, as its last column, `updated_at`."""
    temporary = path.with_name(path.name + ".part")
    temporary.unlink(missing_ok=True)
    with sqlite3.connect(temporary) as connection:
        for name, table in tables.items():
            _write(connection, name, table)
    connection.close()
    temporary.replace(path)


def _write(connection: sqlite3.Connection, name: str, table: pa.Table) -> None:
    types = {column: TYPES.get(column, "TEXT") for column in table.column_names}
    declared = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
    key = KEYS[name]
    connection.execute(
        f'CREATE TABLE "{name}" ({declared}, "updated_at" TEXT NOT NULL, PRIMARY KEY ("{key}"))'
    )
    columns = [
        [None if value is None else _CASTS[kind](value) for value in table[column].to_pylist()]
        for column, kind in types.items()
    ]
    places = ", ".join("?" * (len(types) + 1))
    rows = zip(*columns, [UPDATED_AT] * table.num_rows, strict=True)
    connection.executemany(f'INSERT INTO "{name}" VALUES ({places})', rows)  # noqa: S608
