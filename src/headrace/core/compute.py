"""With what to compute, and with how many threads; and DuckDB in memory for batches that come one
after another.

Loops over many rows are in machine code where numba is installed and there is enough to do to pay
for loading it; the bits are the same either way. `HEADRACE_KERNEL` is `numpy` or `compiled` to
force one; `HEADRACE_THREADS` a number, else threads are as many as the process may use.

Most batches are a day of some hundred rows, on which DuckDB would spend its time planning. So a
query is prepared once in each thread, over a stream that gives whatever batch is at hand.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from weakref import WeakSet

import duckdb
import pyarrow as pa

from headrace.core.errors import HeadraceError

_chosen: ContextVar[int | None] = ContextVar("threads", default=None)
# Below this many rows numpy is done before numba is loaded.
WORTH_IT = 100_000
_OPEN: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()


def chosen_threads() -> int | None:
    """The number that `limited_to` gave; None if it is left to each library."""
    return _chosen.get()


@contextmanager
def limited_to(count: int | None) -> Iterator[None]:
    """Compute with so many threads; None leaves it as it is."""
    if count is None:
        yield
        return
    token, before = _chosen.set(count), pa.cpu_count()
    pa.set_cpu_count(count)
    try:
        yield
    finally:
        pa.set_cpu_count(before)
        _chosen.reset(token)


def compiled(rows: int) -> bool:
    """Whether to compute over so many rows with the compiled kernel."""
    wish = os.environ.get("HEADRACE_KERNEL", "")
    if wish == "compiled" and not has_numba():
        raise HeadraceError(
            "HEADRACE_KERNEL=compiled, and numba is not installed",
            where="the environment",
            fix="pip install headrace[fast], or unset HEADRACE_KERNEL",
        )
    if wish not in {"", "numpy", "compiled"}:
        raise HeadraceError(
            f"HEADRACE_KERNEL={wish!r} names no kernel",
            where="the environment",
            fix="numpy or compiled, or leave it unset",
        )
    return wish == "compiled" or (wish == "" and rows >= WORTH_IT and has_numba())


@cache
def has_numba() -> bool:
    return find_spec("numba") is not None


def threads() -> int:
    wish = chosen_threads()
    if wish is None:
        given = os.environ.get("HEADRACE_THREADS", "")
        wish = int(given) if given.isdigit() and int(given) else len(os.sched_getaffinity(0))
    return min(wish, 16)


def duckdb_limits() -> dict[str, int]:
    """The configuration of a database that computes with as many threads as were chosen."""
    chosen = chosen_threads()
    return {} if chosen is None else {"threads": chosen}


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
