"""Lock between runs that stage files and maintenance that deletes unknown files.

An ingest stages a file, or reuses a file of a killed run, before the ledger has a record of it.
Until then, only this lock protects the file. The kernel releases the lock when the process dies.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.core.errors import StateError
from headrace.core.home import Home

_PAUSE = 0.05


@contextmanager
def staging_lock(home: Home) -> Iterator[None]:
    """Hold the shared lock while files are staged; any number of runs may hold it at once."""
    with _open(home) as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


@contextmanager
def deletion_lock(home: Home, wait: float) -> Iterator[None]:
    """Hold the exclusive lock while unknown files are deleted; wait up to `wait` seconds for it.

    Raises:
        StateError: other runs held the lock all that time; nothing was done.
    """
    until = time.monotonic() + wait
    with _open(home) as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise StateError(
                        f"an ingest was running for {wait:g} seconds; nothing was deleted",
                        where=str(home.root),
                        fix="run it again when no ingest is running; unneeded files do no harm",
                    ) from None
                time.sleep(_PAUSE)
        yield


@contextmanager
def _open(home: Home) -> Iterator[int]:
    handle = os.open(home.root / "lake.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)  # releases the lock as well
