"""A main module with a file, for libraries that insist on one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_a_program() -> Iterator[None]:
    """PySpark takes a main module without a file (`python -c`) for its doctests, and exits.

    The file is gone again whatever happens inside: a process started later would try to run it.
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
