"""Conversion of Headrace errors to step failures that show what, where and fix."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from headrace.core.errors import HeadraceError


@contextmanager
def readable() -> Iterator[None]:
    """Convert a `HeadraceError` in the block to a step failure with its text, without retries."""
    try:
        yield
    except HeadraceError as error:
        raise dg.Failure(
            str(error), metadata={"fix": error.fix, "where": error.where}, allow_retries=False
        ) from error
