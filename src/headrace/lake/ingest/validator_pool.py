"""Many deliveries judged at once: here and, where a core is free, in a second process.

Judging is Python as much as it is arrow kernels, so threads do not help; a second interpreter does.
It is a help and never needed: without it, or if it dies, everything is judged here.
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

from headrace.lake.ingest.validator import Desk, Judged, Write
from headrace.sources.base import Delivery

# A second process takes about a second to start: fewer deliveries are judged sooner without it.
WORTH_IT = 64

Placed = tuple[int, Judged]


class Helper:
    """The second process, started when it is first needed; it leaves when it has nothing to do.

    What it is sent is pickled, through pipes that only the two of them hold.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    def start(self) -> None:
        """Returns at once; a process that is there already, and alive, is kept."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        self._ready = False
        with suppress(OSError):
            # A session of its own: Ctrl-C is for its parent, and the end of the pipe ends it.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "headrace.lake.ingest.validator_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )

    def wait_until_ready(self) -> bool:
        """False if it could not start."""
        self._ready = self._ready or self._receive() == "ready"
        return self._ready

    def judge(self, desk: Desk, delivery: Delivery) -> Judged | None:
        """None if the process is no more."""
        if self._process is None or self._process.stdin is None:
            return None
        try:
            pickle.dump((desk, delivery), self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
        except OSError:
            return None
        judged = self._receive()
        return judged if isinstance(judged, Judged) else None

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # a request that was not sent cannot be sent any more
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
    """A context in which `judge` may have help; one at a time in a process has it."""

    def __init__(self, desk: Desk, write: Write, expected: int) -> None:
        """`write`: as a desk's, for what is judged here; `expected`: deliveries there may be."""
        self._theirs, self._ours = desk, replace(desk, write=write)
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
        """Wait until it is known whether there is help, and say so; nobody needs to."""
        return self._helped and self._starting.result()

    def judge(self, deliveries: Sequence[Delivery]) -> Iterator[Placed]:
        """(place in `deliveries`, its verdict), in the order in which they are ready."""
        todo = deque(enumerate(deliveries))
        beside: SimpleQueue[Placed] = SimpleQueue()
        can_help = self._helped and self._starting.done() and self._starting.result()
        help_ = self._pool.submit(self._help, todo, beside) if can_help else None
        try:
            while item := _next(todo):
                yield item[0], self._ours.judge(item[1])
                yield from _ready(beside)
            if help_ is not None:
                help_.result()
            yield from _ready(beside)
            # What the helper gave back when it died.
            yield from ((place, self._ours.judge(delivery)) for place, delivery in todo)
        finally:
            todo.clear()

    def _help(self, todo: deque[tuple[int, Delivery]], beside: SimpleQueue[Placed]) -> None:
        while item := _next(todo):
            judged = _HELPER.judge(self._theirs, item[1])
            if judged is None:
                self._helped = False
                _HELPER.stop()
                _BUSY.release()
                todo.append(item)
                return
            beside.put((item[0], judged))


def _next(todo: deque[tuple[int, Delivery]]) -> tuple[int, Delivery] | None:
    try:
        return todo.popleft()
    except IndexError:
        return None


def _ready(beside: SimpleQueue[Placed]) -> Iterator[Placed]:
    while not beside.empty():
        yield beside.get()


def _cores() -> int:
    """How many this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1
