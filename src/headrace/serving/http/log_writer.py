"""The served log off the answer's path: one thread appends what the others have answered.

What waits is bounded and nothing is dropped: where the log does not keep up, answers wait, and are
refused in the end. An orderly stop writes all; a crash loses what waits, that is the answers of
about the last `pause` seconds.
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
_STRETCH, _BREAK = 8, 0.00005  # entries at a time, seconds between


class LogWriter:
    """Appends entries to `log` in a thread of its own, and closes it in the end.

    Args:
        log: where to; no one else may use this object of it.
        capacity: entries that may wait.
        pause: seconds between two appends, each of which is one sync of the disk.
        written: told of rows written and of entries that wait, after each append.
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
        """Whether answers for an entity are logged."""
        return self._log.takes(entity)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self._capacity

    def put(self, entries: Sequence[Entry]) -> None:
        """Leave entries to be written.

        Raises:
            StateError: too many wait already, or the log is closed; then none of them was taken.
        """
        if self.full or self._stop.is_set():
            raise StateError(
                "answers cannot be logged at present"
                + (f": {self.failure}" if self.failure else ""),
                where=str(self._log.path),
                fix="try again; if it stays so, look at the disk",
            )
        self._waiting.extend(entries)

    def close(self) -> None:
        """Write what waits, then close the log.

        Raises:
            StateError: it could not be written; how many answers were lost.
        """
        self._stop.set()
        self._thread.join()
        self._log.close()
        lost = len(self._waiting) + self._aside
        if lost:
            raise StateError(
                f"{lost} answers were given and not logged: {self.failure or 'see the errors'}",
                where=str(self._log.path),
                fix="make room on the disk" if self._waiting else "report what was put aside",
            )

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            self._append()
        for _ in range(3):  # a disk that is busy now may not be in a moment
            if self._append():
                return
            time.sleep(self._pause)

    def _append(self) -> bool:
        """Write all that waits; false if the log refused.

        An entry that cannot be written at all is put aside: the others would wait for it for ever.
        """
        most = _BATCH
        while self._waiting:
            batch = [self._waiting[n] for n in range(min(most, len(self._waiting)))]
            try:
                rows = self._log.append(_gently(batch))
            except (sqlite3.Error, OSError) as error:
                self.failure = f"{type(error).__name__}: {error}"
                _logger.error("the served log refuses: %s", self.failure)  # noqa: TRY400
                return False
            except Exception:
                if len(batch) > 1:
                    most = 1  # one of them; which?
                    continue
                _logger.exception("an answer cannot be logged and is put aside")
                self._waiting.popleft()
                self._aside, most = self._aside + 1, _BATCH
                continue
            for _ in batch:
                self._waiting.popleft()
            self.failure = ""
            self._written(rows, len(self._waiting))
        return True


def _gently(entries: Sequence[Entry]) -> Iterator[Entry]:
    """With breaks, in which those who answer get the interpreter: it runs one thread at a time."""
    for number, entry in enumerate(entries):
        if number % _STRETCH == 0:
            time.sleep(_BREAK)
        yield entry
