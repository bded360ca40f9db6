"""`RawRows`: the rows of a delivery as text, before a contract types them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

TEXT_SHOWN = 500  # most characters stored of a malformed line


class Malformed(NamedTuple):
    """Part of a delivery that is not a row: its first line, its shortened text, and the reason."""

    line: int
    text: str
    why: str


@dataclass(frozen=True)
class RawRows:
    """Rows of one delivery, as text.

    Attributes:
        table: one string column per delivered column, in delivered order. JSON numbers keep their
            source text; JSON booleans become "true" and "false". JSON null, an absent field and an
            unquoted null token of a CSV file become null.
        lines: line number of each row, int64, ascending. CSV: the physical line on which the row
            starts; the header is line 1. Pages, NDJSON and Parquet: the number of the record in
            the delivery, from 1.
        columns: names as delivered, in order.
        malformed: parts that could not be read as rows, by line.
        delivered: number of delivered rows, including malformed ones. A malformed header does not
            count as a row; an unreadable page counts as one.
    """

    table: pa.Table
    lines: npt.NDArray[np.int64]
    columns: tuple[str, ...]
    malformed: tuple[Malformed, ...]
    delivered: int


def shortened(text: str) -> str:
    """Return `text`, cut after `TEXT_SHOWN` characters."""
    return text if len(text) <= TEXT_SHOWN else text[:TEXT_SHOWN] + "…"


def no_rows(*malformed: Malformed, delivered: int = 0) -> RawRows:
    """Return the result for a delivery without readable rows."""
    return RawRows(pa.table({}), np.empty(0, np.int64), (), malformed, delivered)
