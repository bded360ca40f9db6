"""Runs that die by SIGKILL, at any moment that a seed picks."""

import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path

# The server is started once for all tests of a worker, so it is told here what they all need:
# whatever it does not import, each of its children imports anew.
PRELOADED = (
    *("pytest", "hypothesis.strategies", "sqlalchemy", "numpy", "pandas"),
    *("tests.lake.kit_oncall", "tests.streams.kit", "tests.datasets.frames"),
    *("tests.sources.buckets", "tests.sources.databases"),
    *("headrace.lake.tables.iceberg", "headrace.lake.tables.fileio", "pyiceberg.avro.decoder_fast"),
    *(
        "headrace.datasets.store.store",
        "headrace.operations.batch_actions",
        "headrace.streams.nats_jetstream",
    ),
    "sqlalchemy.dialects.sqlite",
)


def forked() -> ForkServerContext:
    """Where processes come from that need not import anything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


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
    threading.setprofile(None)
    (root / "calls").write_text(str(next(calls)))


def child(run: Callable[[Path], None], root: Path, last: int = -1) -> int:
    """Exit code of `run(root)` in a process of its own.

    `run` is a function of a module, or a partial of one. Without `last` it lives, and leaves in
    `calls` how many calls it took.
    """
    process = forked().Process(target=counted_run, args=(run, root, last))
    process.start()
    process.join()
    return process.exitcode
