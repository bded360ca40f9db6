"""Validation of many deliveries: in this process and, if a core is free, in a second one.

Validation mostly runs Python code, so a second process makes it faster, whereas threads do not. The
second process is optional: without it, or if it dies, this process validates all deliveries.
"""

import atexit
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import Self

from headrace.lake.ingest.validator import BatchValidator, ValidatedBatch, Write
from headrace.sources.base import Delivery

# Minimum number of deliveries for which a second process is started; its start takes a second.
WORTH_IT = 64

Placed = tuple[int, ValidatedBatch]


class Helper:
    """Second process, which validates deliveries. It starts when first needed and exits when idle.

    Requests and answers are pickled and sent through pipes that only the two processes can use.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    def start(self) -> None:
        """Start the process unless it is alive already; return at once."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        self._ready = False
        with suppress(OSError):
            # The second process has its own session, so that Ctrl-C does not reach it. It ends when
            # its input pipe closes.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "headrace.lake.ingest.validator_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )

    def wait_until_ready(self) -> bool:
        """Wait for the process; return False if it could not start."""
        self._ready = self._ready or self._receive() == "ready"
        return self._ready

    def judge(self, validator: BatchValidator, delivery: Delivery) -> ValidatedBatch | None:
        """Return the verdict on a delivery; None if the process has ended."""
        if self._process is None or self._process.stdin is None:
            return None
        try:
            pickle.dump((validator, delivery), self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
        except OSError:
            return None
        response = self._receive()
        return response if isinstance(response, ValidatedBatch) else None

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # the last request cannot be flushed to a dead process
                if pipe is not None:
                    pipe.close()

    def _receive(self) -> object:
        if self._process is None or self._process.stdout is None:
            return None
        try:
            return pickle.load(self._process.stdout)  # noqa: S301 - our own process wrote it
        except (OSError, EOFError, pickle.UnpicklingError):
            return None


_HELPER = Helper()
_BUSY = threading.Lock()
atexit.register(_HELPER.stop)


class Judges:
    """Context manager that validates deliveries.

    Within a process, only one instance at a time uses the helper.
    """

    def __init__(self, validator: BatchValidator, write: Write, expected: int) -> None:
        """Set up the pool.

        Args:
            validator: validator of the table.
            write: `BatchValidator.write` for the deliveries validated in this process.
            expected: expected number of deliveries.
        """
        self._remote, self._local = validator, replace(validator, write=write)
        self._helped = expected >= WORTH_IT and _cores() > 1 and _BUSY.acquire(blocking=False)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="headrace-judge")

    def __enter__(self) -> Self:
        if self._helped:
            _HELPER.start()
            self._starting = self._pool.submit(_HELPER.wait_until_ready)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        if self._helped:
            _BUSY.release()

    def wait(self) -> bool:
        """Wait until the helper has started or failed to start; return True if it is in use."""
        return self._helped and self._starting.result()

    def judge(self, deliveries: Sequence[Delivery]) -> Iterator[Placed]:
        """Yield (position in `deliveries`, verdict) as soon as each verdict is ready."""
        todo = deque(enumerate(deliveries))
        beside: SimpleQueue[Placed] = SimpleQueue()
        can_help = self._helped and self._starting.done() and self._starting.result()
        help_ = self._pool.submit(self._help, todo, beside) if can_help else None
        try:
            while item := _next(todo):
                yield item[0], self._local.judge(item[1])
                yield from _ready(beside)
            if help_ is not None:
                help_.result()
            yield from _ready(beside)
            # If the helper died, its last delivery was put back into `todo`.
            yield from ((place, self._local.judge(delivery)) for place, delivery in todo)
        finally:
            todo.clear()

    def _help(self, todo: deque[tuple[int, Delivery]], beside: SimpleQueue[Placed]) -> None:
        while item := _next(todo):
            validated = _HELPER.judge(self._remote, item[1])
            if validated is None:
                self._helped = False
                _HELPER.stop()
                _BUSY.release()
                todo.append(item)
                return
            beside.put((item[0], validated))


def _next(todo: deque[tuple[int, Delivery]]) -> tuple[int, Delivery] | None:
    try:
        return todo.popleft()
    except IndexError:
        return None


def _ready(beside: SimpleQueue[Placed]) -> Iterator[Placed]:
    while not beside.empty():
        yield beside.get()


def _cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1
