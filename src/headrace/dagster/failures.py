"""Errors as shown in a run: what, where, fix; the traceback stays below."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from headrace.core.errors import HeadraceError


@contextmanager
def readable() -> Iterator[None]:
    """Fail the step with the text of a `HeadraceError` raised in the block, without a retry."""
    try:
        yield
    except HeadraceError as error:
        raise dg.Failure(
            str(error), metadata={"fix": error.fix, "where": error.where}, allow_retries=False
        ) from error
