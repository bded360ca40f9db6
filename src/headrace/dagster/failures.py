"""Errors as people read them in a run: what, where, fix; the traceback stays below."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from headrace.core.errors import HeadraceError


@contextmanager
def readable() -> Iterator[None]:
    """A `HeadraceError` inside fails the step with its own words, without a retry."""
    try:
        yield
    except HeadraceError as error:
        raise dg.Failure(
            str(error), metadata={"fix": error.fix, "where": error.where}, allow_retries=False
        ) from error
