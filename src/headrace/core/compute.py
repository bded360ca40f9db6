"""Compute settings: kernel choice, thread limits, and per-thread in-memory DuckDB connections.

Loops are compiled by numba, if it is installed and there are so many rows that loading it pays off;
both kernels give the same bits. `HEADRACE_KERNEL` forces `numpy` or `compiled`.
`HEADRACE_THREADS` sets the number of threads (at most 16); the default is the number of CPUs that
the process may use.

Most batches are one day with a few hundred rows, for which DuckDB would spend its time planning. So
each thread prepares a query once, over a `BatchStream` that yields the current batch.
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

_thread_limit: ContextVar[int | None] = ContextVar("threads", default=None)
# Below this many rows numpy finishes before numba is loaded.
WORTH_IT = 100_000
_OPEN: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()


def thread_limit() -> int | None:
    """Return the number set by `limited_to`; None if each library decides."""
    return _thread_limit.get()


@contextmanager
def limited_to(count: int | None) -> Iterator[None]:
    """Limit the block to `count` threads; None changes nothing."""
    if count is None:
        yield
        return
    token, before = _thread_limit.set(count), pa.cpu_count()
    pa.set_cpu_count(count)
    try:
        yield
    finally:
        pa.set_cpu_count(before)
        _thread_limit.reset(token)


def compiled(rows: int) -> bool:
    """Return True if the compiled kernel should process this number of rows."""
    wish = os.environ.get("HEADRACE_KERNEL", "")
    if wish == "compiled" and not has_numba():
        raise HeadraceError(
            "HEADRACE_KERNEL=compiled, but numba is not installed",
            where="the environment",
            fix="pip install headrace[fast], or unset HEADRACE_KERNEL",
        )
    if wish not in {"", "numpy", "compiled"}:
        raise HeadraceError(
            f"HEADRACE_KERNEL={wish!r} is not a kernel",
            where="the environment",
            fix="set it to numpy or compiled, or leave it unset",
        )
    return wish == "compiled" or (wish == "" and rows >= WORTH_IT and has_numba())


@cache
def has_numba() -> bool:
    return find_spec("numba") is not None


def threads() -> int:
    wish = thread_limit()
    if wish is None:
        setting = os.environ.get("HEADRACE_THREADS", "")
        wish = int(setting) if setting.isdigit() and int(setting) else len(os.sched_getaffinity(0))
    return min(wish, 16)


def duckdb_limits() -> dict[str, int]:
    """Return DuckDB's configuration for the number of threads set by `limited_to`."""
    limit = thread_limit()
    return {} if limit is None else {"threads": limit}


class BatchStream:
    """Input of a prepared query: yields the current batch by Arrow's PyCapsule interface."""

    table: pa.Table = None

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def private_engine() -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB in UTC with one thread; it is closed when the process ends.

    One thread keeps rows in order and is enough for a batch. Access to files and the network is
    disabled.
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
