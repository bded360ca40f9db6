"""Runs that die by SIGKILL, at any moment that a seed picks."""

import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path


def counted_run(run: Callable[[Path], None], root: Path, last: int) -> None:
    """Run, and die by SIGKILL at the `last` call of any function, C functions included.

    A number of calls, not of seconds: the kills fall all over the work, however busy the machine.
    """
    calls = itertools.count()

    def watch(_frame, _event, _arg):
        if next(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(watch)
    sys.setprofile(watch)
    run(root)
    sys.setprofile(None)
    (root / "calls").write_text(str(next(calls)))


def child(run: Callable[[Path], None], root: Path, last: int = -1) -> int:
    """Exit code of `run(root)` in a process forked from a server that has imported everything.

    `run` is a function of a module; without `last` it lives, and leaves in `calls` how many calls
    it took.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([run.__module__, "headrace.lake.iceberg"])
    process = context.Process(target=counted_run, args=(run, root, last))
    process.start()
    process.join()
    return process.exitcode
