"""Which kernel computes, and with how many threads. The bits are the same either way.

`HEADRACE_KERNEL` is `numpy` or `compiled` to force one; `HEADRACE_THREADS` a number. Without them
the compiled kernel is taken where numba is installed and there is enough to do to pay for loading
it, and threads are as many as the process may use.
"""

import os
from functools import cache
from importlib.util import find_spec

from headrace.engine import chosen_threads, limited_to
from headrace.errors import HeadraceError

__all__ = ["compiled", "has_numba", "limited_to", "threads"]

# Below this many rows numpy is done before numba is loaded.
WORTH_IT = 100_000


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
    wish = chosen_threads()
    if wish is None:
        given = os.environ.get("HEADRACE_THREADS", "")
        wish = int(given) if given.isdigit() and int(given) else len(os.sched_getaffinity(0))
    return min(wish, 16)
