"""Which kernel computes, and with how many threads. The bits are the same either way.

`HEADRACE_KERNEL` is `numpy` or `compiled` to force one; `HEADRACE_THREADS` a number. Without them
the compiled kernel is taken where numba is installed and there is enough to do to pay for loading
it, and threads are as many as the process may use.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec

from headrace.errors import HeadraceError

# Below this many rows numpy is done before numba is loaded.
WORTH_IT = 100_000
_chosen: ContextVar[int | None] = ContextVar("threads", default=None)


def compiled(rows: int) -> bool:
    """Whether to compute over so many rows with the compiled kernel."""
    wish = os.environ.get("HEADRACE_KERNEL", "")
    if wish == "compiled" and not has_numba():
        raise HeadraceError(
            "HEADRACE_KERNEL=compiled, and numba is not installed",
            where="the environment",
            fix="pip install headrace[fast], or unset HEADRACE_KERNEL",
        )
    if wish not in {"", "numpy", "compiled"}:
        raise HeadraceError(
            f"HEADRACE_KERNEL={wish!r} names no kernel",
            where="the environment",
            fix="numpy or compiled, or leave it unset",
        )
    return wish == "compiled" or (wish == "" and rows >= WORTH_IT and has_numba())


@cache
def has_numba() -> bool:
    return find_spec("numba") is not None


def threads() -> int:
    wish = _chosen.get()
    if wish is None:
        given = os.environ.get("HEADRACE_THREADS", "")
        wish = int(given) if given.isdigit() and int(given) else len(os.sched_getaffinity(0))
    return min(wish, 16)


@contextmanager
def limited_to(count: int | None) -> Iterator[None]:
    """Compute with so many threads; None leaves it as it is."""
    token = _chosen.set(count if count is not None else _chosen.get())
    try:
        yield
    finally:
        _chosen.reset(token)
