"""Tasks in processes of their own, which end with the command that started them."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.queues import Queue
from queue import Empty
from types import FrameType
from typing import TypeVar

from headrace.core.progress import Tick, forward, report

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")
_POLL = 0.5  # seconds between looks at the tasks while there is no progress


def in_processes(
    work: Callable[[Task], Outcome], tasks: Sequence[Task], workers: int | None = None
) -> list[Outcome]:
    """Return the outcome of `work` for each task; progress of a worker is reported here.

    The first error ends all workers, as do Ctrl-C, SIGTERM, and the death of this process.

    Args:
        work: function of a module, which workers can import.
        tasks: its arguments.
        workers: greatest number of processes; one for each core by default.
    """
    context = get_context("spawn")
    ticks: Queue[Tick] = context.Queue()
    count = max(min(len(tasks), workers or os.cpu_count() or 1), 1)
    earlier = set(active_children())
    with (
        _exit_on_sigterm(),
        ProcessPoolExecutor(count, context, _start_worker, (ticks,)) as pool,
    ):
        try:
            running = [pool.submit(work, task) for task in tasks]
            _relay(running, ticks)
            return [future.result() for future in running]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(active_children()) - earlier:
                worker.terminate()
            raise


def _relay(running: Sequence[Future[Outcome]], ticks: "Queue[Tick]") -> None:
    """Report the progress of workers until all tasks have ended, or one has failed."""
    while True:
        ended = [future for future in running if future.done()]
        if any(future.exception() for future in ended):
            return
        try:
            tick = ticks.get(timeout=0 if len(ended) == len(running) else _POLL)
        except Empty:
            if len(ended) == len(running):
                return
            continue
        report(tick.stage, tick.finished, tick.total, tick.note)


def _start_worker(ticks: "Queue[Tick]") -> None:
    # Ctrl-C reaches every process of the terminal; only the first one handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forward(ticks.put)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the parent has ended, even if the parent was killed."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into `SystemExit` within the block, so that workers are ended first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
