"""Who writes files that nobody knows of yet keeps out of the way of who deletes such files.

An ingest stages a file first and tells the ledger of it after; it may also find one that a killed
run left, and use it. Between the two only this lock says that the file is needed. It is the
kernel's: whoever is killed lets go of it.
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
def working(home: Home) -> Iterator[None]:
    """Held while files are staged; any number at once."""
    with _open(home) as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(home: Home, wait: float) -> Iterator[None]:
    """Held while files that nobody knows are deleted; waits so many seconds for who works.

    Raises:
        StateError: somebody was at work all that time; nothing was done.
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
                        f"an ingest was at work for {wait:g} seconds; nothing was deleted",
                        where=str(home.root),
                        fix="run it again when less is going on; what is there does no harm",
                    ) from None
                time.sleep(_PAUSE)
        yield


@contextmanager
def _open(home: Home) -> Iterator[int]:
    handle = os.open(home.root / "lake.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)  # and the lock with it
