"""`RawRows`: what was delivered, as text, before any contract has looked at it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

TEXT_SHOWN = 500  # characters of a malformed line that are kept


class Malformed(NamedTuple):
    """A part of a delivery that is not a row: where it starts, its text (shortened), and why."""

    line: int
    text: str
    why: str


@dataclass(frozen=True)
class RawRows:
    """The rows of one delivery.

    Attributes:
        table: one string column for each delivered column, in delivered order. JSON numbers keep
            their source text, JSON booleans are "true" and "false". Null where the source has
            none: JSON null, an absent field, an unquoted null token of a CSV file.
        lines: int64, one for each row of `table`, ascending. CSV: the physical line of the file
            on which the row starts, the header being line 1. Pages and NDJSON: the ordinal of
            the record in the delivery, from 1.
        columns: names as delivered, in order.
        malformed: what could not be read as a row, by line; never silently dropped.
        delivered: rows delivered, malformed ones included. A header that cannot be read is
            malformed without being a row; a page that cannot be read counts as one.
    """

    table: pa.Table
    lines: npt.NDArray[np.int64]
    columns: tuple[str, ...]
    malformed: tuple[Malformed, ...]
    delivered: int


def shortened(text: str) -> str:
    """`text`, cut to what a report can show."""
    return text if len(text) <= TEXT_SHOWN else text[:TEXT_SHOWN] + "…"


def no_rows(*malformed: Malformed, delivered: int = 0) -> RawRows:
    """A delivery in which nothing could be read as a row."""
    return RawRows(pa.table({}), np.empty(0, np.int64), (), malformed, delivered)
