"""DuckDB in memory for batches that come one after another.

Most batches are a day of some hundred rows, on which DuckDB would spend its time planning. So a
query is prepared once in each thread, over a stream that gives whatever batch is at hand.
"""

import atexit
from weakref import WeakSet

import duckdb
import pyarrow as pa

_OPEN: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()


class BatchStream:
    """What a prepared query reads: the batch that is in it now (Arrow's PyCapsules)."""

    table: pa.Table = None

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def private_engine() -> duckdb.DuckDBPyConnection:
    """A database of its own for one thread, in UTC, closed when the process ends at the latest.

    One thread keeps rows in order and is enough for a batch; nothing outside can be reached.
    """
    connection = duckdb.connect(":memory:", config={"threads": 1})
    for setting in ("TimeZone = 'UTC'", "enable_external_access = false"):
        connection.execute(f"SET {setting}").fetchall()
    _OPEN.add(connection)
    return connection


@atexit.register
def _close_all() -> None:
    for connection in list(_OPEN):
        connection.close()
