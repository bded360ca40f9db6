"""Temporary `__file__` of the main module, for libraries that require one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_a_program() -> Iterator[None]:
    """Set `__file__` of the main module: without one (`python -c`), PySpark assumes doctests.

    It is removed at the end, because a process started later would try to run that file.
    """
    main = sys.modules["__main__"]
    if hasattr(main, "__file__"):
        yield
        return
    main.__file__ = "-c"
    try:
        yield
    finally:
        del main.__file__
