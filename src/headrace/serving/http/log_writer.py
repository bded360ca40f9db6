"""Background writer of the served log: one thread appends the entries that other threads queue.

The queue is bounded. While it is full, requests are refused, and no queued entry is dropped. An
orderly stop writes the whole queue. A crash loses the queue, about the last `pause` seconds.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from headrace.core.errors import StateError
from headrace.features.kernel.row_content import Cell
from headrace.serving.log import Entry, ServedLog

_logger = logging.getLogger(__name__)
_BATCH = 500
_STRETCH, _BREAK = 8, 0.00005  # entries between two pauses, and seconds of each pause


class LogWriter:
    """Queue with a thread that appends the entries to `log`; `close` also closes the log.

    Args:
        log: the log; nothing else may use this object.
        capacity: maximum number of queued entries.
        pause: seconds between two appends; each append is one disk sync.
        written: called after each append with the numbers of written rows and queued entries.
    """

    def __init__(
        self,
        log: ServedLog,
        *,
        capacity: int = 20_000,
        pause: float = 0.1,
        written: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self._log, self._capacity, self._pause, self._written = log, capacity, pause, written
        self._waiting: deque[Entry] = deque()
        self._stop = threading.Event()
        self.failure: str = ""
        self._aside = 0
        self._thread = threading.Thread(target=self._run, name="served log", daemon=True)
        self._thread.start()

    def takes(self, entity: tuple[Cell, ...]) -> bool:
        """Return True if answers for an entity are logged."""
        return self._log.takes(entity)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self._capacity

    def enqueue(self, entries: Sequence[Entry]) -> None:
        """Add entries to the queue.

        Raises:
            StateError: the queue is full, or the log is closed; no entry was added.
        """
        if self.full or self._stop.is_set():
            raise StateError(
                "answers cannot be logged at present"
                + (f": {self.failure}" if self.failure else ""),
                where=str(self._log.path),
                fix="try again; if the error persists, check the disk",
            )
        self._waiting.extend(entries)

    def close(self) -> None:
        """Write the queue, then close the log.

        Raises:
            StateError: some answers could not be written.
        """
        self._stop.set()
        self._thread.join()
        self._log.close()
        unwritten = len(self._waiting) + self._aside
        if unwritten:
            raise StateError(
                f"{unwritten} answers were given but not logged:"
                f" {self.failure or 'see the process log'}",
                where=str(self._log.path),
                fix="make room on the disk" if self._waiting else "report the entries that failed",
            )

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            self._append()
        for _ in range(3):  # try again, because the disk may be busy only for a moment
            if self._append():
                return
            time.sleep(self._pause)

    def _append(self) -> bool:
        """Write the queue; return False if SQLite or the disk reports an error.

        An entry that cannot be written is dropped and counted, so that it does not block the rest.
        """
        size = _BATCH
        while self._waiting:
            batch = [self._waiting[n] for n in range(min(size, len(self._waiting)))]
            try:
                rows = self._log.append(_gently(batch))
            except (sqlite3.Error, OSError) as error:
                self.failure = f"{type(error).__name__}: {error}"
                _logger.error("the served log cannot be written: %s", self.failure)  # noqa: TRY400
                return False
            except Exception:
                if len(batch) > 1:
                    size = 1  # find the entry that fails
                    continue
                _logger.exception("an answer cannot be logged and is dropped")
                self._waiting.popleft()
                self._aside, size = self._aside + 1, _BATCH
                continue
            for _ in batch:
                self._waiting.popleft()
            self.failure = ""
            self._written(rows, len(self._waiting))
        return True


def _gently(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield entries with short pauses, so that other threads get the interpreter lock."""
    for number, entry in enumerate(entries):
        if number % _STRETCH == 0:
            time.sleep(_BREAK)
        yield entry
