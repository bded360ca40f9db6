"""A main module with a file, for libraries that insist on one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_a_program() -> Iterator[None]:
    """Give the main module a file: PySpark takes one without (`python -c`) for doctests.

    The attribute is removed at the end: a process started later would try to run the file.
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
