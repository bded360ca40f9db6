"""What a table held before: its latest published rows, and the field ids it has."""

from dataclasses import dataclass

import pyarrow as pa

from headrace.errors import StateError
from headrace.home import Home, default_root
from headrace.lake.tables import Lake

_ENOUGH = 20_000


@dataclass(frozen=True)
class Published:
    """`rows` as the contract types them; None if nothing was published here."""

    rows: pa.Table | None = None
    field_ids: tuple[int, ...] = ()


def published(table: str) -> Published:
    """The latest rows of `table` under `HEADRACE_HOME`, some ten thousand; makes no home."""
    if not (default_root() / "format.json").exists():
        return Published()
    lake = Lake(Home.find())
    try:
        ids = tuple(column.field_id for column in lake.schema(table))
        return Published(_latest(lake, table), ids)
    except StateError:
        return Published()


def _latest(lake: Lake, table: str) -> pa.Table:
    import duckdb

    files, rows = [], 0
    for file in sorted(lake.files(table), key=lambda one: -one.snapshot_id):
        files.append(file.path)
        rows += file.rows
        if rows >= _ENOUGH:
            break
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        relation = lake.relation(table, files=files)
        return db.sql(f"SELECT * FROM {relation} LIMIT {_ENOUGH}").to_arrow_table()  # noqa: S608
